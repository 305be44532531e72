"""Workspaces of Log Analytics: lines and spans that come to them, and the API that answers queries of them.

Source: Azure Monitor Log Analytics API, "Request format", "Response format", "Azure resources" (read 2026-11):
`POST /v1/workspaces/{customerId}/query`, and `POST /v1/subscriptions/…/query` for the lines of a resource, or of all in a group, wherever
they went.
On Azure lines are there minutes later, here at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure import arm, kusto, log_lines, telemetry
from pilotlight.twin.azure.apps_revision import Program
from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.azure.log_lines import CONSOLE
from pilotlight.twin.azure.types import WORKSPACE
from pilotlight.twin.log_store import GATHER_S, LogStore, Source
from pilotlight.twin.passing import bearer
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

PLACE = "log_analytics:LogAnalytics"
NAME = "loganalytics"
_AUDIENCES = ("https://api.loganalytics.io", "https://api.loganalytics.azure.com")
# "Manage access to Log Analytics workspaces": the rights to look for something, and in every table.
_QUERY, _TABLES = "Microsoft.OperationalInsights/workspaces/query/read", "Microsoft.OperationalInsights/workspaces/query/*/read"
# "Manage access to Log Analytics workspaces", resource-context: the right to read the lines of a resource, in whatever table.
_OWN_LINES = "Microsoft.Insights/logs/*/read"
_REQUEST_BYTES = 64 * 1024
# Azure Monitor Logs reference, ContainerAppConsoleLogs: columns and their types, in this order.
_COLUMNS: Mapping[str, str] = {
    "TimeGenerated": "datetime",
    **dict.fromkeys(("ContainerAppName", "JobName", "RevisionName", "ExecutionName", "ContainerGroupName"), "string"),
    **dict.fromkeys(("ContainerName", "ContainerImage", "EnvironmentName", "Location", "Stream", "Log"), "string"),
    **dict.fromkeys(("Type", "_ResourceId"), "string"),
}
TABLES: Mapping[str, Mapping[str, str]] = {CONSOLE: _COLUMNS, **telemetry.TABLES}


class LogAnalytics(Plane):
    """`write` keeps a line, in the twin's loop."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._store = LogStore(twin.home / "azure-logs.sqlite3", twin.clock.now)
        self._flushing: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self.twin.azure.handlers[NAME] = self

    async def close(self) -> None:
        self.twin.azure.handlers.pop(NAME, None)
        if self._flushing is not None:
            self._flushing.cancel()
        self._store.close()

    def write(self, source: Source, line: str) -> None:
        """Keep a line; it is on disk a moment later."""
        self._store.write(source, line)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

    def found(self, workspace_id: str, text: str, since: float, until: float) -> kusto.Rows:
        """The rows of a query over the lines that came to a workspace from `since` and before `until`, at which it is `now()`."""
        workspace = arm.find(self.twin.world, workspace_id)
        entries = () if workspace is None else self._store.entries(workspace.id, since=since)
        query = kusto.read(text, TABLES, until)
        return query.run(entry for (at, _), entry in entries if at < until and entry["Type"] == query.table)

    async def handle(self, request: Request, send: Send) -> None:
        try:
            content = await self._answer(request)
        except Refusal as refusal:
            await respond(send, json_response(refusal.status, {"error": {"code": refusal.code, "message": refusal.message}}))
        else:
            await respond(send, json_response(200, content))

    async def _answer(self, request: Request) -> dict[str, Any]:
        workspaces, scope = self._asked(request)
        body = await request.body(_REQUEST_BYTES, Refusal("BadArgumentError", f"The query has more than {_REQUEST_BYTES} bytes.", 413))
        query = kusto.read(_text(body), TABLES, self.twin.clock.now())
        # Many lines are looked through: not in the loop.
        rows = await asyncio.to_thread(lambda: query.run(self._entries(workspaces, scope, query.table)))
        table = {
            "name": "PrimaryResult",
            "columns": [{"name": name, "type": type_} for name, type_ in query.columns.items()],
            "rows": [query.told(row) for row in rows],
        }
        return {"tables": [table]}

    def _entries(self, workspaces: Iterable[str], scope: str, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows in those workspaces that come from what the id names, or from below it; from everything without one."""
        for workspace in workspaces:
            rows = (entry for _, entry in self._store.entries(workspace) if entry["Type"] == table)
            yield from (entry for entry in rows if f"{entry['_ResourceId']}/".startswith(scope))

    def _asked(self, request: Request) -> tuple[list[str], str]:
        """The ids of the workspaces that a query is about, and the id that its lines must come from. Refusal for who may not ask."""
        version, _, path = request.raw_path.removeprefix(f"{PREFIX}{NAME}/").partition("/")
        kind, _, rest = path.partition("/")
        if (request.method, version) != ("POST", "v1") or kind not in ("workspaces", "subscriptions") or not rest.endswith("/query"):
            raise Refusal(
                "PathNotFoundError",
                f"{request.method} {request.raw_path}: use POST /v1/workspaces/ID/query or POST /v1/subscriptions/…/query.",
                404,
            )
        who, name = self._caller(request), rest.removesuffix("/query")
        if kind == "subscriptions":
            id_ = f"/{kind}/{name}"
            self._permit(who, id_, _OWN_LINES)
            return [one.id for one in self.twin.world.find(WORKSPACE)], f"{id_.lower()}/"
        found = self.twin.world.one(WORKSPACE, customerId=name)
        if found is None:
            raise Refusal("WorkspaceNotFoundError", f"The workspace {name!r} is not there: use the output `customerId` of one.", 404)
        self._permit(who, found.id, _QUERY, _TABLES)
        return [found.id], ""

    def _caller(self, request: Request) -> str:
        claims = self.twin.azure.tokens(self.twin).verify(bearer(request.headers.get("authorization")), _AUDIENCES)
        if claims is None:
            raise Refusal("InvalidTokenError", f"The provided authentication is not valid: use a token for {_AUDIENCES[0]}.", 401)
        return str(claims["oid"])

    def _permit(self, who: str, scope: str, *rights: str) -> None:
        for right in rights:
            if reason := self.twin.azure.iam.allowed(who, right, scope):
                raise Refusal("InsufficientAccessError", f"The provided credentials have insufficient access: {reason}", 403)

    def _flush(self) -> None:
        self._flushing = None
        self._store.flush()


class Lines:
    """The lines of one container: a replica of an app's revision, or of a job's execution. Called with each."""

    def __init__(self, twin: Twin, program: Program, replica: str, *, revision: str = "", execution: str = "") -> None:
        self._twin = twin
        container = program.owner["template"]["containers"][0]
        self._program, self._replica, self._revision, self._execution = program, replica, revision, execution
        self._name, self._image = str(container["name"]), str(container["image"])
        self._version, self._sources = -1, list[log_lines.Source]()

    def __call__(self, line: str) -> None:
        plane = self._twin.azure.planes.made(PLACE)
        if isinstance(plane, LogAnalytics):
            for source in self._current():
                plane.write(source, line)

    def _current(self) -> list[log_lines.Source]:
        """Where to, read anew when the world has changed."""
        version = self._twin.world.version
        if version != self._version:
            environment = self._program.environment_id
            self._version, self._sources = version, [self._to(id_) for id_ in log_lines.workspaces_of(self._twin.world, environment)]
        return self._sources

    def _to(self, workspace: str) -> log_lines.Source:
        return log_lines.Source(
            workspace=workspace,
            owner=self._program.owner,
            environment=self._program.environment_id,
            container=self._name,
            image=self._image,
            replica=self._replica,
            revision=self._revision,
            execution=self._execution,
        )


def _text(body: bytes) -> str:
    """The query of a request."""
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not isinstance(given.get("query"), str):
        raise Refusal("BadArgumentError", 'The request is not understood: use {"query": "…"}.')
    if unknown := set(given) - {"query"}:
        raise Refusal("BadArgumentError", f"The local twin does not know {', '.join(sorted(unknown))}: say it in the query.")
    return str(given["query"])
