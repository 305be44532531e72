"""The Lambda Runtime API of one execution environment: events out, answers in, over HTTP on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import h11

# Lambda developer guide, quotas: 6 MB for a synchronous answer; the service lets 100 bytes more pass (6291556 in its message).
MAX_ANSWER_BYTES = 6 * 1024 * 1024 + 100
PREFIX = "/2018-06-01/runtime/"
READ_BYTES = 65536
ACCEPTED = (202, b'{"status":"OK"}')


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event for the function. `deadline_ms` is in milliseconds since the epoch."""

    request_id: str
    payload: bytes
    function_arn: str
    deadline_ms: int
    trace_id: str

    def headers(self) -> dict[str, str]:
        return {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an event or of the initialisation. `error` is None, or the kind of function error."""

    payload: bytes
    error: str | None = None


def failure(kind: str, message: str) -> Outcome:
    """An error that the service reports on the function's behalf."""
    return Outcome(payload=json.dumps({"errorType": kind, "errorMessage": message}).encode(), error=kind)


class RuntimeApi:
    """Serves one worker. `ready` is done when the runtime asks for its first event, or with the error of its initialisation."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Outcome | None] = loop.create_future()
        self._event: asyncio.Future[Event] = loop.create_future()
        self._current: Event | None = None
        self._outcome: asyncio.Future[Outcome] | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        """Listen; returns the value of AWS_LAMBDA_RUNTIME_API."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def send(self, event: Event) -> asyncio.Future[Outcome]:
        """Hand the event to the runtime; the future holds what it answers. One at a time."""
        self._current = event
        self._outcome = asyncio.get_running_loop().create_future()
        self._event.set_result(event)
        return self._outcome

    def fail(self, outcome: Outcome) -> None:
        """The process has ended: whoever waits for its start or its answer gets `outcome`."""
        if not self.ready.done():
            self.ready.set_result(outcome)
        self._complete(outcome)

    def _complete(self, outcome: Outcome) -> bool:
        if self._outcome is None or self._outcome.done():
            return False
        self._outcome.set_result(outcome)
        return True

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, h11.ProtocolError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        while True:
            request, body = await _receive(http, reader)
            if request is None:
                return
            status, content, headers = await self._answer(request, body)
            head = h11.Response(status_code=status, headers=[*headers.items(), ("Content-Length", str(len(content)))])
            writer.write((http.send(head) or b"") + (http.send(h11.Data(data=content)) or b"") + (http.send(h11.EndOfMessage()) or b""))
            await writer.drain()
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _answer(self, request: h11.Request, body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        path, json_type = request.target.decode(), {"Content-Type": "application/json"}
        if request.method == b"GET" and path == PREFIX + "invocation/next":
            return await self._next()
        if request.method == b"POST" and path == PREFIX + "init/error":
            if not self.ready.done():
                self.ready.set_result(Outcome(payload=body, error=_kind(request, body)))
            return *ACCEPTED, json_type
        parts = path.removeprefix(PREFIX + "invocation/").split("/")
        if request.method == b"POST" and path.startswith(PREFIX) and len(parts) == 2 and parts[1] in ("response", "error"):
            return *self._posted(parts[0], parts[1], request, body), json_type
        return 404, json.dumps({"errorType": "NotFound", "errorMessage": f"The twin's runtime API has no {path}."}).encode(), json_type

    async def _next(self) -> tuple[int, bytes, Mapping[str, str]]:
        if not self.ready.done():
            self.ready.set_result(None)
        event = await asyncio.shield(self._event)
        self._event = asyncio.get_running_loop().create_future()
        return 200, event.payload, {"Content-Type": "application/json", **event.headers()}

    def _posted(self, request_id: str, kind: str, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        if self._current is None or request_id != self._current.request_id:
            return 400, json.dumps({"errorType": "InvalidRequestID", "errorMessage": f"No event {request_id} is being served."}).encode()
        if kind == "error":
            self._complete(Outcome(payload=body, error=_kind(request, body)))
        elif len(body) > MAX_ANSWER_BYTES:
            text = f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size ({MAX_ANSWER_BYTES} bytes)."
            too_large = failure("Function.ResponseSizeTooLarge", text)
            self._complete(too_large)
            return 413, too_large.payload
        else:
            self._complete(Outcome(payload=body))
        return ACCEPTED


def _kind(request: h11.Request, body: bytes) -> str:
    """The error's type: the runtime's header, else what its body says."""
    for name, value in request.headers:
        if name == b"lambda-runtime-function-error-type" and value:
            return value.decode("latin-1")
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(body).get("errorType") or "Unhandled")
    return "Unhandled"


async def _receive(http: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request | None, bytes]:
    """The next request with its body; None when the runtime hung up."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            if len(body) <= MAX_ANSWER_BYTES:
                body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return request, bytes(body)
        else:
            return None, b""
