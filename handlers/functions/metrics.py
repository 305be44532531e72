"""Metrics as log lines: one JSON object in CloudWatch's embedded metric format is a log line and its metrics in one.

On Cloud Run and on Container Apps it is a line of the event `metrics` with the same names, from which log-based metrics take values and
labels, and queries of Log Analytics columns. Source of the format: CloudWatch user guide, "Specification: Embedded metric format"; a
dimension has one value a line there, which is why each stage of a cold start is a line of its own.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from handlers.functions import logs

NAMESPACE = "Pilotlight"
EVENT = "metrics"
COLD_START = "ColdStart"
OBJECTS_PROCESSED = "ObjectsProcessed"
OBJECTS_FAILED = "ObjectsFailed"
OBJECTS_PASSED_OVER = "ObjectsPassedOver"
REQUEST_LATENCY = "RequestLatency"
REQUESTS_THROTTLED = "RequestsThrottled"


def count(service: str | None, counts: Mapping[str, int], **fields: object) -> None:
    """Write counters with the dimension Service; zeros too, so that a metric's absence means that nothing ran.

    `fields` go into the line beside the metrics, for who reads the log. Without a service nothing is written.
    """
    _write(service, counts, "Count", {}, fields)


def cold_start(service: str | None, stages: Mapping[str, float], **fields: object) -> None:
    """Write the stages of a cold start, in milliseconds, with the dimensions Service and Stage: one line a stage."""
    for stage, milliseconds in stages.items():
        _write(service, {COLD_START: milliseconds}, "Milliseconds", {"Stage": stage}, fields)


def latency(service: str | None, milliseconds: float) -> dict[str, Any]:
    """The fields of a request's line that tell how long the model server took, pings never: `ms`, and where CloudWatch reads the line the
    metric RequestLatency with the dimension Service. Elsewhere alerts read `ms`."""
    told = round(milliseconds, 1)
    if not service or _elsewhere():
        return {"ms": told}
    return {**_declared({REQUEST_LATENCY: told}, "Milliseconds", {"Service": service}), "ms": told}


def _write(
    service: str | None, values: Mapping[str, float], unit: str, dimensions: Mapping[str, str], fields: Mapping[str, object]
) -> None:
    if not service or not values:
        return
    named = {"Service": service, **dimensions}
    if _elsewhere():
        logs.write(EVENT, level="INFO", **{**fields, **named, **values})
        return
    sys.stdout.write(json.dumps({**fields, **_declared(values, unit, named)}, default=repr) + "\n")
    sys.stdout.flush()


def _elsewhere() -> bool:
    """Whether lines go where no embedded metrics are taken out of them."""
    return logs.on_cloud_run() or logs.on_container_apps()


def _declared(values: Mapping[str, float], unit: str, named: Mapping[str, str]) -> dict[str, object]:
    declared = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(named)],
        "Metrics": [{"Name": name, "Unit": unit} for name in values],
    }
    return {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [declared]}, **named, **values}
