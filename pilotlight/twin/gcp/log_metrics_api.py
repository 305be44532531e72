"""The part of Monitoring's API that tells the points of metrics of log lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp import log_filter, log_metrics
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered
from pilotlight.twin.gcp.log_entries import timestamp
from pilotlight.twin.gcp.log_store import LogStore
from pilotlight.twin.gcp.metric_judge import USER
from pilotlight.twin.gcp.types import LOG_METRIC
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING"
LIST = "monitoring.timeSeries.list"
_START, _END = "interval.startTime", "interval.endTime"
_ASKED = ("filter", _START, _END, "view", "pageSize", "alt")


class MonitoringApi(HttpApi):
    """`GET /v3/projects/PROJECT/timeSeries` of a metric of log lines, for who may list series; points are by the minute, as they came."""

    name = "monitoring"
    host = "monitoring.googleapis.com"

    def __init__(self, twin: Twin, store: LogStore) -> None:
        super().__init__(twin)
        self._store = store

    async def answer(self, asked: Asked, send: Send) -> None:
        method, steps = asked.request.method, asked.path.strip("/").split("/")
        if method != "GET" or len(steps) != 4 or (steps[0], steps[1], steps[3]) != ("v3", "projects", "timeSeries"):
            served = "GET /v3/projects/PROJECT/timeSeries"
            raise Refusal("UNIMPLEMENTED", f"The local twin's Monitoring serves {served}, not {method} {asked.path}.", 501)
        self.permit(asked, LIST, f"projects/{steps[2]}")
        wanted = dict(asked.request.query)
        if unknown := sorted(set(wanted) - set(_ASKED)):
            raise Refusal("INVALID_ARGUMENT", f"{', '.join(unknown)}: not known to the local twin, which aggregates nothing.")
        # Many entries are looked through: not in the loop.
        await respond(send, answered(await asyncio.to_thread(self._listed, steps[2], wanted)))

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


def _point(at: float, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"interval": {"startTime": timestamp(at), "endTime": timestamp(at + log_metrics.MINUTE_S)}, "value": dict(value)}


def _moment(name: str, value: str | None) -> float:
    try:
        return datetime.fromisoformat(value or "").timestamp()
    except ValueError:
        raise Refusal("INVALID_ARGUMENT", f"{name}: {value!r} is no time: use one as 2026-11-02T08:00:00Z.") from None
