"""Alerts that fired, as Azure Alerts Management lists them: `GET /subscriptions/ID/providers/Microsoft.AlertsManagement/alerts`.

Source: Alerts Management REST API, "Alerts - Get All" (2019-05-05-preview; 2019-03-01 tells the same of metric alerts).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure import arm, times
from pilotlight.twin.azure.fired_alerts import RESOLVED
from pilotlight.twin.azure.types import ALERT
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

READ = "Microsoft.AlertsManagement/alerts/read"
_KIND = "Microsoft.AlertsManagement/alerts"
_RANGE, _DAY = "timeRange", "1d"
_RANGES_S: Mapping[str, float] = {"1h": 3600, _DAY: 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
_FILTERS = ("alertRule", "alertState", "monitorCondition", "monitorService", "severity")
_OF_TARGET = ("targetResource", "targetResourceGroup", "targetResourceType")


def listed(twin: Twin, subscription: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """What fired within the time that is asked for (a day), on one page, the last that changed first. Refusal for an unknown filter."""
    known = (*_FILTERS, *_OF_TARGET, _RANGE, "api-version")
    if unknown := sorted(set(asked) - set(known)):
        text = f"{', '.join(unknown)}: not known to the local twin, which takes {', '.join(known)}."
        raise Refusal("BadRequest", text)
    span_s = _RANGES_S.get(asked.get(_RANGE, _DAY))
    if span_s is None:
        raise Refusal("BadRequest", f"{_RANGE}: {asked[_RANGE]!r} is not allowed: use one of {', '.join(_RANGES_S)}.")
    start, since = f"/subscriptions/{subscription}/".lower(), twin.clock.now() - span_s
    held = [one for one in twin.world.find(ALERT) if one.id.lower().startswith(start) and one["started"] >= since]
    told = [_told(one) for one in sorted(held, key=lambda one: float(one["changed"]), reverse=True)]
    wanted = {name: value for name, value in asked.items() if name in (*_FILTERS, *_OF_TARGET)}
    return {"value": [one for one in told if _matches(one["properties"]["essentials"], wanted)], "nextLink": None}


def _matches(essentials: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(arm.same(str(essentials[name]), value) for name, value in wanted.items())


def _told(one: Resource) -> dict[str, Any]:
    scope, name = str(one["scope"]), one.id.rpartition("/")[2]
    resolved = {"monitorConditionResolvedDateTime": times.iso(one["changed"])} if one["monitorCondition"] == RESOLVED else {}
    essentials = {
        "severity": one["severity"],
        "signalType": one["signal"],
        "alertState": "New",
        "monitorCondition": one["monitorCondition"],
        "monitorService": one["service"],
        "targetResource": scope,
        "targetResourceName": scope.rpartition("/")[2],
        "targetResourceGroup": str(arm.group_of(scope)).rpartition("/")[2],
        "targetResourceType": arm.type_of(scope).lower(),
        "alertRule": one["rule"],
        "description": one["description"],
        "startDateTime": times.iso(one["started"]),
        "lastModifiedDateTime": times.iso(one["changed"]),
        "lastModifiedUserName": "System",
        **resolved,
    }
    return {"id": one.id, "name": name, "type": _KIND, "properties": {"essentials": essentials}}
