"""From a classifier's raw numbers to labels with scores, as transformers' pipelines make them."""

from typing import Any

import numpy as np

from handlers.engines.manifest import ModelError

Array = np.ndarray[Any, Any]
Score = dict[str, Any]


def function_for(problem_type: str | None, labels: int) -> str:
    """The function that the model's kind asks for."""
    if problem_type == "regression":
        return "none"
    return "sigmoid" if problem_type == "multi_label_classification" or labels == 1 else "softmax"


def apply(function: str, logits: Array) -> Array:
    """`softmax` (over the last axis), `sigmoid` or `none`."""
    if function == "softmax":
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores: Array = shifted / shifted.sum(axis=-1, keepdims=True)
        return scores
    if function == "sigmoid":
        # In two halves, so that no exponent overflows.
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return logits


def ranked(function: str, logits: Array, labels: tuple[str, ...]) -> list[Score]:
    """Every label with its score, best first; equal scores keep the model's order. Raises ModelError for another number of scores."""
    values = apply(function, logits)
    require_labels(len(values), labels)
    order = np.argsort(-values, kind="stable")
    return [{"label": labels[index], "score": values[index]} for index in order.tolist()]


def require_labels(scores: int, labels: tuple[str, ...]) -> None:
    """Raises ModelError."""
    if scores != len(labels):
        raise ModelError(f"The model gives {scores} scores and manifest.json names {len(labels)} labels.")


def labels_of(labels: tuple[str, ...] | None, task: str) -> tuple[str, ...]:
    """Raises ModelError when the model has no labels."""
    if not labels:
        raise ModelError(f"manifest.json: labels are missing, {task} answers with them: package the model again.")
    return labels
