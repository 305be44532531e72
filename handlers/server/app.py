"""The HTTP contracts as one ASGI program: SageMaker's and the plain one, health, metrics, description."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from handlers.functions import logs, pings, traces
from handlers.functions.pings import Ping
from handlers.functions.problems import HeadersTooLarge, MethodNotAllowed, NotReady, Overloaded, RequestProblem, RouteUnknown
from handlers.server import metrics, openapi
from handlers.server.service import Answer, Service
from handlers.web.bodies import ClientGone, Receive, read_body

Send = Callable[[Any], Awaitable[None]]
_MOST_HEADER_BYTES = 32_768
_JSON = {"content-type": "application/json"}
# After these the rest of the body is still on its way, so the connection can't carry another request.
_CLOSING = {408, 413, 415, 431, 404, 405}
_QUIET_ROUTES = {"/ping", "/health/live", "/health/ready", "/health/startup", "/metrics"}


class App:
    """Routes to the service; every answer passes one place, where it is counted, logged and given its request id."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._gets: dict[str, Callable[[], Answer]] = {
            "/ping": self._ready,
            "/health/startup": self._ready,
            "/health/ready": self._ready,
            "/health/live": lambda: Answer(200, _JSON, b'{"status":"alive"}'),
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }
        self._posts = ("/invocations", "/predict")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = logs.request_id(headers)
        traces.follow(headers)
        # SageMaker's route alone: no other contract hands custom attributes on from whoever runs the service.
        ping = pings.of_headers(headers) if scope["path"] == "/invocations" else None
        gone = False
        try:
            answer = await self._answer(scope, headers, receive, request_id, ping)
        except ClientGone:
            logs.write("client_gone", request_id=request_id, route=scope["path"][:80])
            return
        except RequestProblem as problem:
            answer = self._service.refusal(problem, request_id)
        except asyncio.CancelledError:
            # The server leaves and has no time left: say so, instead of the bare 500 that the transport would send.
            answer, gone = self._service.refusal(Overloaded("The server is shutting down.", retry_after_s=1), request_id), True
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            answer = self._service.fault(error, request_id)
        await _send(send, answer, request_id, head=scope["method"] == "HEAD")
        self._record(scope, answer, request_id, time.perf_counter() - started, ping)
        if gone:
            raise asyncio.CancelledError

    async def _answer(self, scope: Any, headers: dict[str, str], receive: Receive, request_id: str, ping: Ping | None) -> Answer:
        if sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope["raw_path"]) > _MOST_HEADER_BYTES:
            raise HeadersTooLarge(f"Headers and path have more than {_MOST_HEADER_BYTES} bytes.")
        path, method = scope["path"], scope["method"]
        if path in self._posts:
            if method != "POST":
                raise MethodNotAllowed(f"{path} takes POST.", allow="POST")
            return await self._predict(headers, receive, request_id, ping)
        if path not in self._gets:
            raise RouteUnknown(f"There are {', '.join((*self._posts, *self._gets))}.")
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{path} takes GET.", allow="GET, HEAD")
        return self._gets[path]()

    async def _predict(self, headers: dict[str, str], receive: Receive, request_id: str, ping: Ping | None) -> Answer:
        settings = self._service.settings
        body = await read_body(receive, headers, limit=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
        request = self._service.parse(body, headers.get("content-type"))
        answering = asyncio.ensure_future(self._service.ping(request, ping) if ping else self._service.answer(request, request_id))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ClientGone
            return answering.result()
        finally:
            # Whoever is still running is given up: a client that left frees the model for the next one.
            answering.cancel()
            leaving.cancel()

    def _ready(self) -> Answer:
        if not self._service.worker.ready:
            raise NotReady("The model is being loaded.", retry_after_s=1)
        return Answer(200, _JSON, b'{"status":"ready"}')

    def _metrics(self) -> Answer:
        worker = self._service.worker
        text = self._service.metrics.text(ready=worker.ready, waiting=worker.waiting, stages=self._service.stages.known())
        return Answer(200, {"content-type": metrics.MEDIA_TYPE}, text.encode())

    def _openapi(self) -> Answer:
        manifest = self._service.manifest
        return Answer(200, _JSON, orjson.dumps(openapi.document(self._service.settings, manifest.task if manifest else None)))

    def _record(self, scope: Any, answer: Answer, request_id: str, seconds: float, ping: Ping | None) -> None:
        if ping:
            self._service.record_ping(answer, request_id, seconds)
            return
        self._service.metrics.answered(answer.status)
        if scope["path"] not in _QUIET_ROUTES:
            fields = {"route": scope["path"][:80], "status": answer.status, "ms": round(seconds * 1000, 1), "bytes": len(answer.body)}
            logs.write("request", request_id=request_id, **fields)


async def _disconnected(receive: Receive) -> None:
    """Returns when the client leaves; the body is complete, so nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, answer: Answer, request_id: str, *, head: bool) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body)), "x-request-id": request_id}
    if answer.status in _CLOSING:
        headers["connection"] = "close"
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
