"""The labels of a classifier, from config.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.packaging.errors import PackagingError


def read_labels(config: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Label by number, "0" first. Raises PackagingError for a model without a classification head."""
    architectures = [str(name) for name in config.get("architectures") or ()]
    if not any(name.endswith("ForSequenceClassification") for name in architectures):
        raise PackagingError(
            f"{folder} holds {', '.join(architectures) or 'a model of no named architecture'}, which has no head for text-classification: "
            "use a …ForSequenceClassification model, or another task (feature-extraction, sentence-embedding)."
        )
    given = config.get("id2label")
    if not given:
        # Transformers' own default: two labels.
        return {str(index): f"LABEL_{index}" for index in range(int(config.get("num_labels", 2)))}
    labels = {str(number): str(label) for number, label in given.items()}
    if sorted(labels, key=lambda text: (len(text), text)) != [str(index) for index in range(len(labels))]:
        raise PackagingError(f"config.json numbers its labels {', '.join(labels)}: they must run from 0 upwards, without a gap.")
    return {str(index): labels[str(index)] for index in range(len(labels))}
