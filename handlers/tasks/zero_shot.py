"""Task `zero-shot-classification`: labels that the caller chooses, scored by a model of natural language inference."""

from typing import Any

import numpy as np

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.parameters import candidates
from handlers.functions.problems import InputRefused
from handlers.functions.requests import PredictionRequest
from handlers.tasks.scores import apply, labels_of, require_labels
from handlers.tasks.text import Array, TextModel, encode

TEMPLATE = "This example is {}."


class ZeroShotClassification:
    """Answers `{"sequence", "labels", "scores"}` per text, best label first: the pipeline's own shape.

    Text and hypothesis (`hypothesis_template` with a label) are a pair, of which the text alone is cut. With `multi_label`, or one
    label, each is entailment against contradiction; without it the labels' entailments are weighed against each other.
    """

    warm_up = PredictionRequest(("ping",), many=False, parameters={"candidate_labels": ["ping"]})

    def __init__(self, model: TextModel, manifest: Manifest) -> None:
        """Raises ModelError when no label of the model begins with `entail`."""
        self._labels = labels_of(manifest.labels, manifest.task)
        found = [index for index, label in enumerate(self._labels) if label.lower().startswith("entail")]
        if not found:
            raise ModelError(f"manifest.json: labels {', '.join(self._labels)}: {manifest.task} needs one that begins with 'entail'.")
        self._entailment = found[0]
        self._model = model
        self._tokenizer = model.tokenizer
        self._tokenizer.enable_truncation(manifest.max_tokens, strategy="only_first")

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        labels = candidates(request.parameters["candidate_labels"])
        template = request.parameters.get("hypothesis_template", TEMPLATE)
        alone = request.parameters.get("multi_label", False) or len(labels) == 1
        answers = [self._answer(text, labels, template, alone, cancellation) for text in request.texts]
        return answers if request.many else answers[0]

    def _answer(self, text: str, labels: list[str], template: str, alone: bool, cancellation: Cancellation) -> dict[str, Any]:
        logits = np.stack([self._logits(text, template.format(label), cancellation) for label in labels])
        if alone:
            # The pipeline's choice: contradiction is the first number, or the last where that is entailment.
            scores = apply("softmax", logits[:, [-1 if self._entailment == 0 else 0, self._entailment]])[:, 1]
        else:
            scores = apply("softmax", logits[:, self._entailment])
        order = np.argsort(scores)[::-1].tolist()
        return {"sequence": text, "labels": [labels[index] for index in order], "scores": scores[order]}

    def _logits(self, text: str, hypothesis: str, cancellation: Cancellation) -> Array:
        try:
            encoding = encode(self._tokenizer, text, hypothesis)
        except Exception as error:  # the library raises plain Exception where cutting the first is not enough
            raise InputRefused("parameters.candidate_labels has a label that is too long for the model: shorten it.") from error
        logits: Array = self._model.compute(encoding, cancellation)[0]
        require_labels(len(logits), self._labels)
        return logits
