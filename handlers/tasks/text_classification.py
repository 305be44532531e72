"""Task `text-classification`: labels with scores, in the shapes of transformers' pipeline."""

from typing import Any

import numpy as np

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.requests import PredictionRequest
from handlers.tasks.text import Array, TextModel

Score = dict[str, Any]


class TextClassification:
    """Answers the best label, or with the parameter `top_k` the best k (null: all) per text.

    `[{"label", "score"}]` for a text, `[{"label", "score"}, …]` for a list, `[[{"label", "score"}, …], …]` for a list
    with `top_k`: the pipeline's own shapes. `function_to_apply` overrides the function that the model's kind asks for.
    """

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError when the model has no labels."""
        if not manifest.labels:
            raise ModelError("manifest.json: labels are missing, text-classification answers with them: package the model again.")
        self._model = model
        self._labels = manifest.labels
        self._function = _function_for(manifest.problem_type, len(manifest.labels))

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        function = request.parameters.get("function_to_apply", self._function)
        scored = [self._scores(self._model.forward(text, cancellation), function) for text in request.texts]
        if "top_k" in request.parameters:
            best = [scores[: request.parameters["top_k"]] for scores in scored]
            return best if request.many else best[0]
        return [scores[0] for scores in scored]

    def _scores(self, logits: Array, function: str) -> list[Score]:
        """Every label with its score, best first; equal scores keep the model's order."""
        values = _apply(function, logits[0])
        if len(values) != len(self._labels):
            raise ModelError(f"The model gives {len(values)} scores and manifest.json names {len(self._labels)} labels.")
        order = np.argsort(-values, kind="stable")
        return [{"label": self._labels[index], "score": values[index]} for index in order.tolist()]


def _function_for(problem_type: str | None, labels: int) -> str:
    if problem_type == "regression":
        return "none"
    return "sigmoid" if problem_type == "multi_label_classification" or labels == 1 else "softmax"


def _apply(function: str, logits: Array) -> Array:
    if function == "softmax":
        shifted = np.exp(logits - logits.max())
        scores: Array = shifted / shifted.sum()
        return scores
    if function == "sigmoid":
        # In two halves, so that no exponent overflows.
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return logits
