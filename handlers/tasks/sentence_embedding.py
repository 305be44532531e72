"""Task `sentence-embedding`: one vector per text, pooled and normalized as the manifest says."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.requests import PredictionRequest
from handlers.tasks.text import PING, Array, TextModel

POOLINGS = ("mean", "cls")
# Below this length a vector has no direction; the same floor as torch.nn.functional.normalize.
_SHORTEST = 1e-12


class SentenceEmbedding:
    """Answers one vector for a text, a list of vectors for a list."""

    warm_up = PING

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError for a pooling that is not served."""
        if manifest.pooling not in POOLINGS:
            raise ModelError(f"manifest.json: pooling {manifest.pooling!r}, sentence-embedding has {' and '.join(POOLINGS)}.")
        self._model = model
        self._pooling = manifest.pooling
        self._normalize = manifest.normalize

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        vectors = [self._pooled(self._model.forward(text, cancellation)) for text in request.texts]
        return vectors if request.many else vectors[0]

    def tokens(self, texts: Sequence[str]) -> int:
        """How many tokens are computed for these texts."""
        return sum(map(self._model.tokens, texts))

    def _pooled(self, hidden: Array) -> Array:
        # No text is padded, so the mean over all places is the mean over its tokens.
        vector: Array = hidden[0].mean(axis=0) if self._pooling == "mean" else hidden[0, 0]
        length = max(float(np.linalg.norm(vector)), _SHORTEST) if self._normalize else 1.0
        return np.ascontiguousarray(vector / np.float32(length))
