"""Task `feature-extraction`: the last hidden state of every token."""

from typing import Any

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest
from handlers.functions.requests import PredictionRequest
from handlers.tasks.text import PING, Array, TextModel


class FeatureExtraction:
    """Answers as transformers' pipeline: (1, tokens, hidden) for a text, a list of those for a list."""

    warm_up = PING

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        self._model = model

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        features: list[Array] = [self._model.forward(text, cancellation) for text in request.texts]
        return features if request.many else features[0]
