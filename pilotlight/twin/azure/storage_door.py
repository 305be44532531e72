"""Azure Storage at the twin's fronts: who calls, may they, then Azurite, with bodies streamed both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight.twin.asgi import Request, Send
from pilotlight.twin.azure import storage_batches, storage_callers, storage_rights
from pilotlight.twin.azure.cloud import PREFIX
from pilotlight.twin.azure.data_door import DataDoor, send_back
from pilotlight.twin.azure.monitor_counts import message_put
from pilotlight.twin.azure.storage_calls import Calls, Content, busy
from pilotlight.twin.azure.storage_created import Listeners, Stored, tell
from pilotlight.twin.azure.storage_entities import TRANSACTION_BYTES, check_entity
from pilotlight.twin.azure.storage_operations import OPERATIONS, Operation
from pilotlight.twin.azure.types import STORAGE_ACCOUNT
from pilotlight.twin.rows import Refusal
from pilotlight.twin.upstream import UpstreamError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_COPY = "x-ms-copy-source"
# A body up to so many bytes is sent on in one piece with its headers: each piece costs as much, however small.
_WHOLE_BYTES = 64 * 1024


@dataclass(kw_only=True)
class Changed:
    """What is handed on of a request, beside its method and its address."""

    headers: dict[str, str]
    content: Content


class StorageDoor(DataDoor):
    """The handler of one service, at `/_azure/SERVICE/ACCOUNT/…`."""

    def __init__(self, twin: Twin, service: str, calls: Calls, listeners: Listeners) -> None:
        super().__init__(twin, service, calls)
        self._listeners = listeners

    async def _served(self, request: Request, send: Send) -> None:
        if self._twin.faults.is_out(self._service):
            raise Refusal("ServerBusy", f"The server is busy: a test asked for it ({self._service} is out).", 503)
        name, _, rest = request.raw_path.removeprefix(f"{PREFIX}{self._service}/").partition("/")
        stored = self._account(name)
        caller = storage_callers.caller(self._twin, self._service, stored, request)
        _require_network(stored)
        changed = Changed(headers=dict(request.headers), content=await self._content(request))
        if self._service == "table" and rest == "$batch":
            changed.content = self._judged_batch(stored, caller, changed.content)
            await self._forward(request, send, stored, rest, changed, None)
            return
        parts = rest.split("/") if rest else []
        operation = OPERATIONS[self._service](request.method, parts, dict(request.query), request.headers)
        self._permit(stored, caller, operation)
        if isinstance(changed.content, bytes):
            check_entity(changed.content)
        elif request.declared_length is not None and request.declared_length <= _WHOLE_BYTES:
            changed.content = b"".join([chunk async for chunk in changed.content])
        if _COPY in changed.headers:
            changed.headers[_COPY] = self._source(stored, caller, changed.headers[_COPY])
        if operation.stores is None or not self._listeners.wanted(stored.id):
            await self._forward(request, send, stored, rest, changed, None)
            return
        async with self._listeners.order(name, operation.container, operation.name):
            await self._forward(request, send, stored, rest, changed, operation)

    def _account(self, name: str) -> Resource:
        found = self._twin.world.one(STORAGE_ACCOUNT, name=name)
        if found is None:
            there = ", ".join(sorted(one["name"] for one in self._twin.world.find(STORAGE_ACCOUNT))) or "none"
            # On Azure its address would not be known.
            raise Refusal("ResourceNotFound", f"There is no storage account {name!r}: there is {there}.", 404)
        return found

    async def _content(self, request: Request) -> Content:
        """The body: as it comes, or whole where it has to be looked at."""
        if self._service == "table":
            return await request.body(TRANSACTION_BYTES, Refusal("RequestBodyTooLarge", "The request body is too large.", 413))
        if request.declared_length is None and "transfer-encoding" in request.headers:
            message = "An HTTP header that's mandatory for this request is not specified: Content-Length."
            raise Refusal("MissingContentLengthHeader", message, 411)
        return request.chunks() if request.declared_length else b""

    def _permit(self, stored: Resource, caller: str, operation: Operation) -> None:
        if why := storage_rights.refusal(self._twin.azure.iam, caller, stored.id, operation):
            message = f"This request is not authorized to perform this operation using this permission. {why}"
            raise Refusal("AuthorizationPermissionMismatch", message, 403)

    def _judged_batch(self, stored: Resource, caller: str, content: Content) -> bytes:
        assert isinstance(content, bytes)
        parts, rewritten = storage_batches.read(content, stored["name"])
        for part in parts:
            path = part.path.partition("?")[0].split("/")
            self._permit(stored, caller, OPERATIONS["table"](part.method, path, {}, part.headers))
        return rewritten

    def _source(self, stored: Resource, caller: str, source: str) -> str:
        """The blob that a copy reads, as Azurite finds it."""
        own = f"{self._twin.azure.url(self._twin, 'blob', stored['name'])}/"
        path = source.partition("?")[0].removeprefix(own)
        if not source.startswith(own):
            raise Refusal("CannotVerifyCopySource", f"The twin copies within an account only: {source} does not begin with {own}.", 404)
        self._permit(stored, caller, OPERATIONS["blob"]("GET", path.split("/"), {}, {}))
        return f"http://127.0.0.1/{stored['name']}/{source.removeprefix(own)}"

    async def _forward(self, request: Request, send: Send, stored: Resource, rest: str, changed: Changed, told: Operation | None) -> None:
        """Hand the request on and the answer back; `told` where somebody is to know of the blob first."""
        name = stored["name"]
        path = f"/{name}/{rest}" if rest else f"/{name}"
        answer = await self._calls.send(
            self._service, name, request.method, path, query=request.raw_query, headers=changed.headers, content=changed.content
        )
        if (self._service, request.method, answer.status) == ("queue", "POST", 201):
            message_put(self._twin, stored)
        try:
            if told is not None and answer.status in (201, 202):
                where = Stored(account=stored, path=path, container=told.container, blob=told.name, api=told.stores or "")
                await tell(self._calls, self._listeners, where, request.headers, answer)
            await send_back(answer, send)
        except UpstreamError as error:
            raise busy(error) from None
        finally:
            answer.close()


def _require_network(stored: Resource) -> None:
    """Refusal where the account answers to no public network: the twin has no other."""
    closed = stored.get("publicNetworkAccess") == "Disabled"
    if closed or (stored.get("networkRuleSet") or {}).get("defaultAction") == "Deny":
        raise Refusal("AuthorizationFailure", "This request is not authorized to perform this operation: the account's network rules.", 403)
