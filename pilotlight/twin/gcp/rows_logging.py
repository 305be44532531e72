"""Cloud Logging: metrics that are counted from log entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import Form
from pilotlight.twin.rows import Name, Properties, Row

METRIC = "gcp:logging/metric:Metric"
# Logging API, projects.metrics: name, filter, description (read 2026-11).
_NAME = Form(r"[A-Za-z0-9_.,+!*',()%-][A-Za-z0-9_.,+!*',()%/-]{0,99}", "up to 100 letters, digits and _-.,+!*',()%/, not beginning with /")
_FILTER = 20_000
_DESCRIPTION = 8_000
_COUNTED = {"metricKind": "DELTA", "valueType": "INT64", "unit": "1"}


def _limits(inputs: Properties) -> list[str]:
    found = _NAME.problems("name", inputs)
    for field, most in (("filter", _FILTER), ("description", _DESCRIPTION)):
        value = inputs.get(field)
        if isinstance(value, str) and len(value) > most:
            found.append(f"{field}: has {len(value)} characters: use at most {most}.")
    descriptor = inputs.get("metricDescriptor") or {}
    if not isinstance(descriptor, Mapping):
        return found
    if descriptor.get("valueType") == "DISTRIBUTION" and not inputs.get("valueExtractor"):
        found.append("valueExtractor: is missing: a distribution needs the values that it is of.")
    return [*found, *_label_problems(descriptor.get("labels") or [], inputs.get("labelExtractors") or {})]


def _label_problems(labels: list[Any], extractors: Mapping[str, Any]) -> list[str]:
    """Every label has an extractor, and every extractor a label; a label without a key is one that is not known yet."""
    keys = [one.get("key") for one in labels if isinstance(one, Mapping)]
    if None in keys:
        return []
    return [
        *(f"labelExtractors: has none for the label {key!r}: every label has one." for key in keys if key not in extractors),
        *(f"metricDescriptor.labels: has no {key!r}, which labelExtractors extracts: add it." for key in extractors if key not in keys),
    ]


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=METRIC,
            id=lambda p: str(p["name"]),
            name=Name(field="name", max_length=100),
            replaces=frozenset({"name"}),
            computed=lambda twin, inputs: {"metricDescriptor": inputs.get("metricDescriptor") or _COUNTED},
            discovery="logging.v2:LogMetric",
            limits=_limits,
        ),
        api="logging.googleapis.com",
    ),
)
