"""Task `zero-shot-classification`: labels that the caller chooses, scored by a model of natural language inference."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.parameters import candidates
from handlers.functions.problems import InputRefused
from handlers.functions.requests import PredictionRequest
from handlers.tasks.scores import apply, labels_of, require_labels
from handlers.tasks.text import Array, TextModel, Tokens, encode, of_encoding, shortened
from handlers.tasks.together import Prepared, TextTask

TEMPLATE = "This example is {}."


class ZeroShotClassification(TextTask):
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
        super().__init__(model)
        self._tokenizer = model.tokenizer
        self._tokenizer.enable_truncation(manifest.max_tokens, strategy="only_first")

    def prepare(self, request: PredictionRequest) -> Prepared:
        labels = candidates(request.parameters["candidate_labels"])
        return Prepared(self._pairs(request, labels), lambda logits: self._answers(request, labels, logits))

    def _pairs(self, request: PredictionRequest, labels: list[str]) -> Iterator[Tokens]:
        """Each text with each label's hypothesis."""
        template = request.parameters.get("hypothesis_template", TEMPLATE)
        for text in request.texts:
            # Once for all labels: it reads the whole text.
            read = shortened(self._tokenizer, text)
            for label in labels:
                try:
                    encoding = encode(self._tokenizer, read, template.format(label), offsets=True)
                except Exception as error:  # the library raises plain Exception where cutting the first is not enough
                    raise InputRefused("parameters.candidate_labels has a label that is too long for the model: shorten it.") from error
                yield of_encoding(encoding)

    def _answers(self, request: PredictionRequest, labels: list[str], logits: list[Array]) -> Any:
        alone = request.parameters.get("multi_label", False) or len(labels) == 1
        rows = np.concatenate(logits)
        require_labels(rows.shape[-1], self._labels)
        by_text = rows.reshape(len(request.texts), len(labels), -1)
        answers = [self._answer(text, labels, own, alone) for text, own in zip(request.texts, by_text, strict=True)]
        return answers if request.many else answers[0]

    def _answer(self, text: str, labels: list[str], logits: Array, alone: bool) -> dict[str, Any]:
        if alone:
            # The pipeline's choice: contradiction is the first number, or the last where that is entailment.
            scores = apply("softmax", logits[:, [-1 if self._entailment == 0 else 0, self._entailment]])[:, 1]
        else:
            scores = apply("softmax", logits[:, self._entailment])
        order = np.argsort(scores)[::-1].tolist()
        return {"sequence": text, "labels": [labels[index] for index in order], "scores": scores[order]}
