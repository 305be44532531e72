"""What services wrote, and the API that tells it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp import log_filter
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered, json_of
from pilotlight.twin.gcp.log_entries import Source
from pilotlight.twin.gcp.monitoring_api import VARIABLE as MONITORING_VARIABLE
from pilotlight.twin.gcp.monitoring_api import MonitoringApi
from pilotlight.twin.log_store import GATHER_S, LogStore, Place
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

PLACE = "logging_plane:LoggingPlane"
VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING"
LIST = "logging.logEntries.list"
# Cloud Logging API v2, entries.list: what holds where a request says nothing, and the most entries of an answer.
USUAL_ENTRIES, MOST_ENTRIES = 50, 1000
_ORDERS = {"": False, "timestamp asc": False, "timestamp desc": True}
# What another value of makes another metric.
_COUNTED_BY = ("filter", "valueExtractor", "labelExtractors", "metricDescriptor")
_REQUEST_BYTES = 64 * 1024
_FIELDS = ("resourceNames", "filter", "orderBy", "pageSize", "pageToken")


class LoggingPlane(Plane):
    """`write` keeps lines of services, in the twin's loop; metrics of them are computed when they are asked for."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.store = LogStore(twin.home / "google-logs.sqlite3", twin.clock.now)
        self._flushing: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        for variable, api in ((VARIABLE, LoggingApi), (MONITORING_VARIABLE, MonitoringApi)):
            self.twin.gcp.handlers[api.name] = api(self.twin, self.store)
            self.twin.gcp.apis[variable] = api.name

    async def close(self) -> None:
        for variable, api in ((VARIABLE, LoggingApi), (MONITORING_VARIABLE, MonitoringApi)):
            self.twin.gcp.apis.pop(variable, None)
            self.twin.gcp.handlers.pop(api.name, None)
        if self._flushing is not None:
            self._flushing.cancel()
        self.store.close()

    def write(self, source: Source, line: str) -> None:
        """Keep a line; it is on disk a moment later."""
        self.store.write(source, line)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

    def create(self, resource: Resource) -> None:
        self.store.count_from_now(str(resource["project"]), str(resource["name"]))

    def update(self, old: Resource, new: Resource) -> None:
        if any(old.get(name) != new.get(name) for name in _COUNTED_BY):
            self.create(new)

    def _flush(self) -> None:
        self._flushing = None
        self.store.flush()


def logs_of(twin: Twin) -> LoggingPlane | None:
    """Where services of a twin write; None where the plane was not started."""
    plane = twin.gcp.planes.made(PLACE)
    return plane if isinstance(plane, LoggingPlane) else None


class LoggingApi(HttpApi):
    """`POST /v2/entries:list`, for who may list the entries of the project that it names."""

    name = "logging"
    host = "logging.googleapis.com"

    def __init__(self, twin: Twin, store: LogStore) -> None:
        super().__init__(twin)
        self._store = store

    async def answer(self, asked: Asked, send: Send) -> None:
        method, path = asked.request.method, asked.path.rstrip("/")
        if (method, path.replace("%3A", ":")) != ("POST", "/v2/entries:list"):
            raise Refusal("UNIMPLEMENTED", f"The local twin's Cloud Logging serves POST /v2/entries:list, not {method} {path}.", 501)
        too_large = Refusal("INVALID_ARGUMENT", f"The request is larger than {_REQUEST_BYTES} bytes.", 413)
        wanted = json_of(await asked.request.body(_REQUEST_BYTES, too_large))
        project = _project(wanted)
        self.permit(asked, LIST, f"projects/{project}")
        # Many entries are looked through: not in the loop.
        content = await asyncio.to_thread(self._listed, project, wanted)
        await respond(send, answered(content))

    def _listed(self, project: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        size, order = _size(wanted.get("pageSize")), str(wanted.get("orderBy") or "")
        if order not in _ORDERS:
            raise Refusal("INVALID_ARGUMENT", f"orderBy: {order!r} is not allowed: use 'timestamp asc' or 'timestamp desc'.")
        found: list[dict[str, Any]] = []
        last: Place | None = None
        for place, entry in self._matching(project, wanted, newest_first=_ORDERS[order]):
            if len(found) == size:
                return {"entries": found, "nextPageToken": _token(last)}
            found.append(entry)
            last = place
        return {"entries": found} if found else {}

    def _matching(self, project: str, wanted: Mapping[str, Any], *, newest_first: bool) -> Iterator[tuple[Place, dict[str, Any]]]:
        chosen, after = log_filter.read(str(wanted.get("filter") or "")), _place(wanted.get("pageToken"))
        held = self._store.entries(project, since=chosen.since, newest_first=newest_first, after=after)
        return ((place, entry) for place, entry in held if chosen.matches(entry))


def _project(wanted: Mapping[str, Any]) -> str:
    """The project that is asked about. Refusal for what the twin does not serve."""
    unknown = sorted(set(wanted) - set(_FIELDS))
    if unknown:
        raise Refusal("INVALID_ARGUMENT", f"{', '.join(unknown)}: not known to the local twin: use {', '.join(_FIELDS)}.")
    names = wanted.get("resourceNames")
    if not isinstance(names, list) or len(names) != 1:
        raise Refusal("INVALID_ARGUMENT", f"resourceNames: {names!r}: the local twin takes one name, as projects/PROJECT.")
    parts = str(names[0]).split("/")
    if len(parts) != 2 or parts[0] != "projects" or not parts[1]:
        raise Refusal("INVALID_ARGUMENT", f"resourceNames: {names[0]!r} is not known to the local twin: use projects/PROJECT.")
    return parts[1]


def _size(value: Any) -> int:
    if value is None or value == 0:
        return USUAL_ENTRIES
    if not isinstance(value, int) or value < 0:
        raise Refusal("INVALID_ARGUMENT", f"pageSize: {value!r} is not allowed: use 1 to {MOST_ENTRIES}.")
    return min(value, MOST_ENTRIES)


def _token(place: Place | None) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _place(token: Any) -> Place | None:
    if not token:
        return None
    try:
        at, number = json.loads(base64.urlsafe_b64decode(str(token)))
        return float(at), int(number)
    except (ValueError, TypeError):
        raise Refusal("INVALID_ARGUMENT", "pageToken: it is none of the twin's: take the nextPageToken of the answer before.") from None
