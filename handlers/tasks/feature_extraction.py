"""Task `feature-extraction`: the last hidden state of every token."""

from handlers.engines.manifest import Manifest
from handlers.functions.requests import PredictionRequest
from handlers.tasks.text import TextModel
from handlers.tasks.together import Prepared, TextTask


class FeatureExtraction(TextTask):
    """Answers as transformers' pipeline: (1, tokens, hidden) for a text, a list of those for a list."""

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        super().__init__(model)

    def prepare(self, request: PredictionRequest) -> Prepared:
        return Prepared(self._model.read(request.texts), lambda features: features if request.many else features[0])
