"""The part of Monitoring's API that tells the points of metrics of log lines, and the incidents of alert policies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp import log_filter, log_metrics
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered
from pilotlight.twin.gcp.log_entries import timestamp
from pilotlight.twin.gcp.metric_judge import USER
from pilotlight.twin.gcp.types import ALERT, LOG_METRIC
from pilotlight.twin.log_store import LogStore
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING"
LIST, LIST_ALERTS = "monitoring.timeSeries.list", "monitoring.alerts.list"
_START, _END = "interval.startTime", "interval.endTime"
_ASKED = ("filter", _START, _END, "view", "pageSize", "alt")
_ASKED_OF_ALERTS = ("filter", "pageSize", "alt")
# Monitoring API v3, Alert: what of an incident it tells.
_TOLD = ("state", "openTime", "closeTime", "metric", "resource")


class MonitoringApi(HttpApi):
    """`GET /v3/projects/PROJECT/timeSeries` of a metric of log lines, for who may list series; points are by the minute, as they came.
    `GET /v3/projects/PROJECT/alerts`: incidents, the newest first."""

    name = "monitoring"
    host = "monitoring.googleapis.com"

    def __init__(self, twin: Twin, store: LogStore) -> None:
        super().__init__(twin)
        self._store = store

    async def answer(self, asked: Asked, send: Send) -> None:
        method, steps = asked.request.method, asked.path.strip("/").split("/")
        served = {"timeSeries": (LIST, _ASKED, self._listed), "alerts": (LIST_ALERTS, _ASKED_OF_ALERTS, self._alerts)}
        if method != "GET" or len(steps) != 4 or (steps[0], steps[1]) != ("v3", "projects") or steps[3] not in served:
            paths = " and ".join(f"GET /v3/projects/PROJECT/{each}" for each in served)
            raise Refusal("UNIMPLEMENTED", f"The local twin's Monitoring serves {paths}, not {method} {asked.path}.", 501)
        permission, known, listed = served[steps[3]]
        self.permit(asked, permission, f"projects/{steps[2]}")
        wanted = dict(asked.request.query)
        if unknown := sorted(set(wanted) - set(known)):
            raise Refusal("INVALID_ARGUMENT", f"{', '.join(unknown)}: not known to the local twin, which aggregates nothing.")
        # Many entries are looked through: not in the loop.
        await respond(send, answered(await asyncio.to_thread(listed, steps[2], wanted)))

    def _alerts(self, project: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        chosen = log_filter.read(wanted.get("filter", ""))
        found = sorted(self.twin.world.find(ALERT, project=project), key=lambda alert: str(alert["openTime"]), reverse=True)
        alerts = [one for alert in found if chosen.matches(one := _alert(alert))]
        return {"alerts": alerts, "totalSize": len(alerts)} if alerts else {}

    def _listed(self, project: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        start, end = (_moment(name, wanted.get(name)) for name in (_START, _END))
        chosen = log_filter.read(wanted.get("filter", ""))
        found = [
            one
            for metric in self.twin.world.find(LOG_METRIC)
            if metric.get("project") == project
            for one in self._series(metric, start, end)
            if chosen.matches(one)
        ]
        return {"timeSeries": found} if found else {}

    def _series(self, metric: Resource, start: float, end: float) -> Iterator[dict[str, Any]]:
        project, described = str(metric["project"]), metric["metricDescriptor"]
        since = max(start, self._store.counts_since(project, str(metric["name"])))
        entries = (entry for (at, _), entry in self._store.entries(project, since=since) if at <= end)
        for one in log_metrics.series(metric.outputs, entries):
            points = [_point(at, log_metrics.typed(metric.outputs, values)) for at, values in sorted(one.values.items(), reverse=True)]
            yield {
                "metric": {"type": f"{USER}{metric['name']}", "labels": dict(one.labels)},
                "resource": one.resource,
                "metricKind": described["metricKind"],
                "valueType": described["valueType"],
                "points": points,
            }


def _alert(alert: Resource) -> dict[str, Any]:
    told = {name: alert[name] for name in _TOLD if name in alert.outputs}
    return {"name": alert.id, "policy": {"name": alert["policy"], "displayName": alert["policyName"]}, **told}


def _point(at: float, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"interval": {"startTime": timestamp(at), "endTime": timestamp(at + log_metrics.MINUTE_S)}, "value": dict(value)}


def _moment(name: str, value: str | None) -> float:
    try:
        return datetime.fromisoformat(value or "").timestamp()
    except ValueError:
        raise Refusal("INVALID_ARGUMENT", f"{name}: {value!r} is no time: use one as 2026-11-02T08:00:00Z.") from None
