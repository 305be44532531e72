"""Cloud Logging: metrics that are counted from log entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.forms import Form
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.log_metrics import extractor
from pilotlight.twin.gcp.metric_judge import USER
from pilotlight.twin.gcp.monitoring_metrics import Metric
from pilotlight.twin.gcp.types import LOG_METRIC
from pilotlight.twin.rows import Name, Properties, Row

# Logging API, projects.metrics: name, filter, description (read 2026-11).
_NAME = Form(r"[A-Za-z0-9_.,+!*',()%-][A-Za-z0-9_.,+!*',()%/-]{0,99}", "up to 100 letters, digits and _-.,+!*',()%/, not beginning with /")
_FILTER = 20_000
_DESCRIPTION = 8_000
_EXTRACTORS = 'use EXTRACT(FIELD) or REGEXP_EXTRACT(FIELD, "EXPRESSION WITH ONE GROUP")'
_COUNTED = {"metricKind": "DELTA", "valueType": "INT64", "unit": "1"}


def _limits(inputs: Properties) -> list[str]:
    found = _NAME.problems("name", inputs)
    for field, most in (("filter", _FILTER), ("description", _DESCRIPTION)):
        value = inputs.get(field)
        if isinstance(value, str) and len(value) > most:
            found.append(f"{field}: has {len(value)} characters: use at most {most}.")
    extractors = {"valueExtractor": inputs.get("valueExtractor"), **(inputs.get("labelExtractors") or {})}
    found += [f"{name}: {text!r}: {_EXTRACTORS}." for name, text in extractors.items() if isinstance(text, str) and not extractor(text)]
    described = inputs.get("metricDescriptor") or {}
    if not isinstance(described, Mapping):
        return found
    if described.get("valueType") == "DISTRIBUTION" and not inputs.get("valueExtractor"):
        found.append("valueExtractor: is missing: a distribution needs the values that it is of.")
    return [*found, *_label_problems(described.get("labels") or [], inputs.get("labelExtractors") or {})]


def descriptor(made: Properties) -> Metric:
    """What Monitoring knows of a metric of log lines, which any type of monitored resource may write."""
    described = {**_COUNTED, **(made.get("metricDescriptor") or {})}
    labels = frozenset(str(one["key"]) for one in described.get("labels") or [])
    return Metric(type=f"{USER}{made['name']}", kind=described["metricKind"], value=described["valueType"], labels=labels, resources=None)


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
            token=LOG_METRIC,
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
