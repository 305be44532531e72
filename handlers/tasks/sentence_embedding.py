"""Task `sentence-embedding`: one vector per text, pooled and normalized as the manifest says."""

from collections.abc import Sequence

import numpy as np

from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.requests import PredictionRequest
from handlers.tasks.text import Array, TextModel
from handlers.tasks.together import Prepared, TextTask

POOLINGS = ("mean", "cls")
# Below this length a vector has no direction; the same floor as torch.nn.functional.normalize.
_SHORTEST = 1e-12


class SentenceEmbedding(TextTask):
    """Answers one vector for a text, a list of vectors for a list."""

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError for a pooling that is not served."""
        if manifest.pooling not in POOLINGS:
            raise ModelError(f"manifest.json: pooling {manifest.pooling!r}, sentence-embedding has {' and '.join(POOLINGS)}.")
        super().__init__(model)
        self._pooling = manifest.pooling
        self._normalize = manifest.normalize

    def prepare(self, request: PredictionRequest) -> Prepared:
        def answer(states: list[Array]) -> list[Array] | Array:
            vectors = [self._pooled(hidden) for hidden in states]
            return vectors if request.many else vectors[0]

        return Prepared(self._model.read(request.texts), answer)

    def tokens(self, texts: Sequence[str]) -> int:
        """How many tokens are computed for these texts."""
        return sum(map(self._model.tokens, texts))

    def _pooled(self, hidden: Array) -> Array:
        # What was padding is cut off, so the mean over all places is the mean over the text's tokens.
        vector: Array = hidden[0].mean(axis=0) if self._pooling == "mean" else hidden[0, 0]
        length = max(float(np.sqrt(vector.dot(vector))), _SHORTEST) if self._normalize else 1.0
        return np.ascontiguousarray(vector / np.float32(length))
