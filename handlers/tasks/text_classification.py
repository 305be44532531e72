"""Task `text-classification`: labels with scores, in the shapes of transformers' pipeline."""

from typing import Any

from handlers.engines.manifest import Manifest
from handlers.functions.requests import PredictionRequest
from handlers.tasks.scores import function_for, labels_of, ranked
from handlers.tasks.text import Array, TextModel
from handlers.tasks.together import Prepared, TextTask


class TextClassification(TextTask):
    """Answers the best label, or with the parameter `top_k` the best k (null: all) per text.

    `[{"label", "score"}]` for a text, `[{"label", "score"}, …]` for a list, `[[{"label", "score"}, …], …]` for a list
    with `top_k`: the pipeline's own shapes. `function_to_apply` overrides the function that the model's kind asks for.
    """

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError when the model has no labels."""
        super().__init__(model)
        self._labels = labels_of(manifest.labels, manifest.task)
        self._function = function_for(manifest.problem_type, len(self._labels))

    def prepare(self, request: PredictionRequest) -> Prepared:
        return Prepared(self._model.read(request.texts), lambda logits: self._answer(request, logits))

    def _answer(self, request: PredictionRequest, logits: list[Array]) -> Any:
        function = request.parameters.get("function_to_apply", self._function)
        scored = [ranked(function, each[0], self._labels) for each in logits]
        if "top_k" in request.parameters:
            best = [scores[: request.parameters["top_k"]] for scores in scored]
            return best if request.many else best[0]
        return [scores[0] for scores in scored]
