"""The labels of a classifier, from config.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.packaging.errors import PackagingError

# task -> what its architectures are called in transformers.
HEADS = {
    "text-classification": "ForSequenceClassification",
    "zero-shot-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "image-classification": "ForImageClassification",
}
# Far more than a head has: each becomes a name here before the head is looked at.
_MOST = 1_000_000


def read_labels(config: Mapping[str, Any], folder: Path, task: str) -> dict[str, str]:
    """Label by number, "0" first. Raises PackagingError for a model without the task's head, or without a label that the task needs."""
    architectures: list[str] = config.get("architectures") or []
    if not any(name.endswith(HEADS[task]) for name in architectures):
        raise PackagingError(
            f"{folder} holds {', '.join(architectures) or 'a model of no named architecture'}, which has no head for {task}: "
            f"use a …{HEADS[task]} model, or another task (feature-extraction, sentence-embedding)."
        )
    labels = _labels(config)
    if task == "zero-shot-classification" and not any(label.lower().startswith("entail") for label in labels.values()):
        told = f"{folder} has the labels {', '.join(labels.values())}: zero-shot-classification needs a model of natural language inference"
        raise PackagingError(f"{told}, which has a label that begins with 'entail' (id2label in config.json).")
    return labels


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    given = config.get("id2label")
    if given is None or given == {}:
        return {str(index): f"LABEL_{index}" for index in range(_count(config.get("num_labels")))}
    if not isinstance(given, dict):
        raise PackagingError(
            f'config.json has the id2label {json.dumps(given)[:120]}: an object of labels by number is allowed, {{"0": "no", "1": "yes"}}.'
        )
    labels = {number: str(label) for number, label in given.items()}
    if sorted(labels, key=lambda text: (len(text), text)) != [str(index) for index in range(len(labels))]:
        raise PackagingError(f"config.json numbers its labels {', '.join(labels)}: they must run from 0 upwards, without a gap.")
    return {str(index): labels[str(index)] for index in range(len(labels))}


def _count(given: Any) -> int:
    if given is None:
        return 2  # transformers' own default
    if type(given) is not int or not 0 < given <= _MOST:
        raise PackagingError(f"config.json has the num_labels {json.dumps(given)[:120]}: a whole number from 1 to {_MOST:,} is allowed.")
    return given
