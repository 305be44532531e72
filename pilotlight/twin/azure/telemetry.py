"""Telemetry of Application Insights: items as clients send them, and the rows of a workspace's tables that they become. Pure.

Sources (read 2026-11): Azure/azure-rest-api-specs, applicationinsights, Monitor.Exporters v2.1 (TelemetryEnvelope, RequestData,
RemoteDependencyData, MessageData, MetricsData); Azure Monitor Logs reference, AppRequests, AppDependencies, AppTraces, AppMetrics, of
whose columns those are here that an item fills.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.azure.times import iso

REQUESTS, DEPENDENCIES, TRACES, METRICS = "AppRequests", "AppDependencies", "AppTraces", "AppMetrics"
_FIRST: Mapping[str, str] = {"TimeGenerated": "datetime", **dict.fromkeys(("Id", "Name"), "string")}
_RESULT: Mapping[str, str] = {"Success": "bool", "ResultCode": "string", "DurationMs": "real"}
_LAST: Mapping[str, str] = {
    **dict.fromkeys(("OperationId", "OperationName", "ParentId", "AppRoleName", "AppRoleInstance"), "string"),
    "Properties": "dynamic",
    "ItemCount": "long",
    **dict.fromkeys(("IKey", "SDKVersion", "Type", "_ResourceId"), "string"),
}
TABLES: Mapping[str, Mapping[str, str]] = {
    REQUESTS: {**_FIRST, "Url": "string", "Source": "string", **_RESULT, **_LAST},
    DEPENDENCIES: {**_FIRST, **dict.fromkeys(("DependencyType", "Target", "Data"), "string"), **_RESULT, **_LAST},
    TRACES: {"TimeGenerated": "datetime", "Message": "string", "SeverityLevel": "long", **_LAST},
    METRICS: {"TimeGenerated": "datetime", "Name": "string", **dict.fromkeys(("Sum", "Min", "Max"), "real"), **_LAST},
}
_DURATION = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,7})?)")
_LEVELS = ("Verbose", "Information", "Warning", "Error", "Critical")


class ItemError(Exception):
    """An item that is not taken; `status` is what its client is told."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row on its way to a workspace; `age_s` is how long ago it was, when it came. A `Source` of the store of logs."""

    workspace: str
    age_s: float

    @property
    def kept_in(self) -> str:
        return self.workspace

    def entry(self, line: str, moment: float) -> dict[str, Any]:
        """The row of which `line` is all but its time, which is the twin's: its clients have other clocks."""
        return {"TimeGenerated": iso(moment - self.age_s), **json.loads(line)}


def told_at(item: Mapping[str, Any]) -> float:
    """When it was, in seconds since the epoch. ItemError."""
    try:
        moment = datetime.fromisoformat(str(item.get("time")))
    except ValueError:
        raise ItemError(f"time: {item.get('time')!r} is no time: use ISO 8601.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def row_of(item: Mapping[str, Any], component: str) -> dict[str, Any]:
    """All of an item's row but its time, for the component of that id. ItemError."""
    data = item.get("data")
    kind = data.get("baseType") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or kind not in _KINDS:
        raise ItemError(f"data.baseType: {kind!r} is not served by the local twin: it has tables for {', '.join(_KINDS)}.")
    base, tags = data.get("baseData"), item.get("tags") or {}
    if not isinstance(base, Mapping) or not isinstance(tags, Mapping):
        raise ItemError("data.baseData: is missing.")
    table, made = _KINDS[str(kind)]
    # What stands for so many, where a client samples; a metric's own count is below.
    count = {"ItemCount": round(100 / float(item.get("sampleRate") or 100))}
    return {
        **count,
        **made(base),
        "OperationId": str(tags.get("ai.operation.id", "")),
        "OperationName": str(tags.get("ai.operation.name", "")),
        "ParentId": str(tags.get("ai.operation.parentId", "")),
        "AppRoleName": str(tags.get("ai.cloud.role", "")),
        "AppRoleInstance": str(tags.get("ai.cloud.roleInstance", "")),
        "Properties": {str(key): str(value) for key, value in (base.get("properties") or {}).items()},
        "IKey": str(item.get("iKey", "")),
        "SDKVersion": str(tags.get("ai.internal.sdkVersion", "")),
        "Type": table,
        "_ResourceId": component.lower(),
    }


def _request(base: Mapping[str, Any]) -> dict[str, Any]:
    _require(base, "id", "duration", "responseCode", "success")
    return {"Url": str(base.get("url") or ""), "Source": str(base.get("source") or ""), **_result(base, "responseCode")}


def _dependency(base: Mapping[str, Any]) -> dict[str, Any]:
    _require(base, "name", "duration")
    told = {"DependencyType": base.get("type"), "Target": base.get("target"), "Data": base.get("data")}
    return {**{name: str(value or "") for name, value in told.items()}, **_result(base, "resultCode")}


def _trace(base: Mapping[str, Any]) -> dict[str, Any]:
    _require(base, "message")
    level = base.get("severityLevel")
    return {"Message": str(base["message"]), "SeverityLevel": _LEVELS.index(str(level)) if level in _LEVELS else None}


def _metric(base: Mapping[str, Any]) -> dict[str, Any]:
    """Of several values the first alone is kept (MetricsData)."""
    _require(base, "metrics")
    one = base["metrics"][0] if isinstance(base["metrics"], list) and base["metrics"] else {}
    if not isinstance(one, Mapping) or not isinstance(one.get("value"), int | float):
        raise ItemError("data.baseData.metrics: has no value.")
    value, count = float(one["value"]), int(one.get("count") or 1)
    low, high = (float(one[name]) if one.get(name) is not None else value / count for name in ("min", "max"))
    return {"Name": str(one.get("name") or ""), "Sum": value, "Min": low, "Max": high, "ItemCount": count}


def _result(base: Mapping[str, Any], code: str) -> dict[str, Any]:
    success = base.get("success", True)
    if not isinstance(success, bool):
        raise ItemError(f"data.baseData.success: {success!r} is no boolean.")
    return {
        "Id": str(base.get("id") or ""),
        "Name": str(base.get("name") or ""),
        "Success": success,
        "ResultCode": str(base.get(code) or ""),
        "DurationMs": _milliseconds(base["duration"]),
    }


def _require(base: Mapping[str, Any], *names: str) -> None:
    if missing := [name for name in ("ver", *names) if base.get(name) is None]:
        raise ItemError(f"data.baseData: {', '.join(missing)}: is missing.")


def _milliseconds(duration: Any) -> float:
    found = _DURATION.fullmatch(str(duration))
    if found is None:
        raise ItemError(f"data.baseData.duration: {duration!r} is no duration: use DD.HH:MM:SS.MMMMMM.")
    days, hours, minutes, seconds = found.groups()
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000


_KINDS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "RequestData": (REQUESTS, _request),
    "RemoteDependencyData": (DEPENDENCIES, _dependency),
    "MessageData": (TRACES, _trace),
    "MetricData": (METRICS, _metric),
}
