"""A function as an ASGI program: reads requests within their bounds, has a role answer each in a thread of its own."""

import asyncio
import contextvars
import functools
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from handlers.functions import logs, spans, traces
from handlers.functions.answers import Answer
from handlers.functions.api import refusal
from handlers.functions.deadline import Deadline, Until
from handlers.functions.http_request import HttpRequest
from handlers.functions.problems import HeadersTooLarge, InternalFault, Overloaded, RequestProblem
from handlers.web.bodies import ClientGone, Receive, read_body
from handlers.web.header_lines import headers_of
from handlers.web.settings import ServerSettings

Send = Callable[[Any], Awaitable[None]]
Read = Callable[[], HttpRequest]
_MOST_HEADER_BYTES = 65_536
# After these the rest of the body may still be on its way, so the connection can't carry another request.
_CLOSING = {408, 413, 415, 431}
# The last one is what the image's HEALTHCHECK asks, the model server's too.
_STARTED = "/health/startup"
_PROBES = (_STARTED, "/health/live", "/health/ready", "/ping")


class Role(Protocol):
    """What the function is for."""

    # Of a request, in bytes; and how long its answer may take, in seconds from its arrival.
    max_body_bytes: int
    request_timeout_s: float

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """The answer to the request that `read` gives (or to the RequestProblem that it raises). Blocks, in several threads."""
        ...


class App:
    """Routes probes to an answer of its own and everything else to the role."""

    def __init__(self, role: Role, settings: ServerSettings) -> None:
        self._role = role
        self._settings = settings
        self._threads = ThreadPoolExecutor(max_workers=settings.concurrency, thread_name_prefix="request")
        self._under_way = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        headers = headers_of(scope["headers"])
        with spans.serving(scope, headers, quiet=_is_probe(scope)) as span:
            await self._served(scope, headers, receive, send, span)

    async def _served(self, scope: Any, headers: dict[str, str], receive: Receive, send: Send, span: spans.Span) -> None:
        trace = traces.current.get()
        call_id = logs.request_id(headers, trace.id if trace else None)
        gone = False
        try:
            answer = await self._answer(scope, headers, receive, call_id)
        except ClientGone:
            logs.write("client_gone", request_id=call_id, route=scope["path"][:80])
            return
        except asyncio.CancelledError:
            # The server leaves and has no time left: say so, instead of the bare 500 that the transport would send.
            answer, gone = refusal(Overloaded("The server is shutting down.", retry_after_s=1), call_id), True
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=call_id)
            answer = refusal(InternalFault("The request could not be handled."), call_id)
        # The role's own, where it found one that the headers do not tell.
        span.answered(answer.status, answer.headers.get("x-request-id", call_id))
        await _send(send, answer, call_id)
        if gone:
            raise asyncio.CancelledError

    async def _answer(self, scope: Any, headers: dict[str, str], receive: Receive, call_id: str) -> Answer:
        if _is_probe(scope):
            calls = self._settings.calls
            if scope["path"] == _STARTED and calls is not None and not await calls.reached():
                return refusal(Overloaded("What it calls can't be reached yet.", retry_after_s=1), call_id)
            return Answer(200, {"content-type": "application/json"}, json.dumps({"status": "ready"}))
        if self._under_way == self._settings.concurrency:
            logs.write("overloaded", level="WARNING", request_id=call_id, under_way=self._under_way)
            return refusal(Overloaded(f"{self._under_way} requests are being answered.", retry_after_s=1), call_id)
        self._under_way += 1
        try:
            deadline = Until(self._role.request_timeout_s)
            read = await self._read(scope, headers, receive)
            answering = functools.partial(self._role.answer, read, call_id=call_id, deadline=deadline)
            return await asyncio.get_running_loop().run_in_executor(self._threads, contextvars.copy_context().run, answering)
        finally:
            self._under_way -= 1

    async def _read(self, scope: Any, headers: dict[str, str], receive: Receive) -> Read:
        """What gives the request, or raises why there is none. Raises ClientGone."""
        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope["raw_path"]) > _MOST_HEADER_BYTES:
                raise HeadersTooLarge(f"Headers and path have more than {_MOST_HEADER_BYTES} bytes.")
            limit, timeout_s = self._role.max_body_bytes, self._settings.body_timeout_s
            body = await read_body(receive, headers, limit=limit, timeout_s=timeout_s)
        except RequestProblem as problem:
            return functools.partial(_raise, problem)
        trace = traces.current.get()
        request = HttpRequest(scope["method"], scope["path"], headers, body, trace.id if trace else None)
        return lambda: request


def _is_probe(scope: Any) -> bool:
    return scope["path"] in _PROBES and scope["method"] in ("GET", "HEAD")


def _raise(problem: RequestProblem) -> HttpRequest:
    raise problem


async def _send(send: Send, answer: Answer, call_id: str) -> None:
    body = answer.body.encode()
    headers = {"x-request-id": call_id, **answer.headers, "content-length": str(len(body))}
    if answer.status in _CLOSING:
        headers["connection"] = "close"
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
