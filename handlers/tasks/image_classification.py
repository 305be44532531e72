"""Task `image-classification`: labels with scores for images, in the shapes of transformers' pipeline."""

from typing import Any, Protocol

import numpy as np

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.problems import InputRefused, InternalFault
from handlers.functions.requests import PredictionRequest
from handlers.tasks.images import MOST_TOGETHER, decode, pixels
from handlers.tasks.scores import Array, Score, function_for, labels_of, ranked

INPUT = "pixel_values"
# Of transformers' pipeline.
TOP_K = 5
# A PNG of one grey pixel.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="


class ImageEngine(Protocol):
    """What an engine gives this task."""

    inputs: list[str]

    def infer(self, feed: dict[str, Array], cancellation: Cancellation) -> Array: ...


class ImageClassification:
    """Answers the best labels (`top_k`: 5; null: all) of an image, a list of such lists for a list of images."""

    warm_up = PredictionRequest((_PIXEL,), many=False, parameters={})

    def __init__(self, engine: ImageEngine, manifest: Manifest) -> None:
        """Raises ModelError when the model has no labels, another input, or a manifest that does not say how images are made for it."""
        if manifest.image is None or engine.inputs != [INPUT]:
            came = f"takes {', '.join(engine.inputs)}" if manifest.image else "has no 'image' in manifest.json"
            raise ModelError(f"The model {came}: {manifest.task} needs {INPUT} and how to make it, package the model again.")
        self._engine = engine
        self._image = manifest.image
        self._labels = labels_of(manifest.labels, manifest.task)
        self._function = function_for(manifest.problem_type, len(self._labels))

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        function = request.parameters.get("function_to_apply", self._function)
        most = request.parameters.get("top_k", TOP_K)
        answers, together = [], 0
        for index, sent in enumerate(request.texts):
            # A request may hold many large images, and its caller may have left.
            cancellation.check()
            image = decode(sent, f"inputs[{index}]" if request.many else "inputs", white=self._image.white)
            if (together := together + image.width * image.height) > MOST_TOGETHER:
                raise InputRefused(f"'inputs' has images of more than {MOST_TOGETHER} pixels together: send them in several requests.")
            answers.append(self._scores(pixels(image, self._image), function, cancellation)[:most])
        return answers if request.many else answers[0]

    def _scores(self, values: Array, function: str, cancellation: Cancellation) -> list[Score]:
        logits = self._engine.infer({INPUT: values}, cancellation)
        if not np.isfinite(logits).all():
            raise InternalFault("The model computed a value that is not a number for this input.")
        return ranked(function, logits[0], self._labels)
