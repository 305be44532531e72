"""The HTTP server's one ASGI program: every contract, health, metrics, description."""

import asyncio
import functools
import os
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from handlers.functions import logs, pings, spans
from handlers.functions.problems import HeadersTooLarge, NotReady, Overloaded, RequestProblem
from handlers.server import contracts, metrics
from handlers.server.access_log import AccessLog
from handlers.server.calls import Call, Lasting
from handlers.server.service import Answer, Service
from handlers.web.bodies import ClientGone, Receive
from handlers.web.exchange import answer_lines
from handlers.web.header_lines import headers_of
from handlers.web.protocol import ANSWER, LEAVING, WHOLE

Send = Callable[[Any], Awaitable[None]]
_MOST_HEADER_BYTES = 32_768
_IDS = 256
# RFC 9562, section 5.4: of a random one the version is 4, and the variant's two bits are 10.
_FREE = int("ffffffffffff0fff3fffffffffffffff" * _IDS, 16)
_FIXED = int("00000000000040008000000000000000" * _IDS, 16)
_parts = struct.Struct("8s4s4s4s12s").iter_unpack
_JSON = {"content-type": "application/json"}
# The names are Cog's, but for the first.
_FRONT = orjson.dumps(
    {
        "status": "ready",
        "openapi_url": "/openapi.json",
        "healthcheck_url": "/health-check",
        "predictions_url": "/predictions",
        "predictions_idempotent_url": "/predictions/{prediction_id}",
        "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    }
)
# After these the rest of the body is still on its way, so the connection can't carry another request.
_CLOSING = {408, 413, 415, 431, 404, 405}
_PROBES = ("/ping", "/health", "/health/startup", "/health/ready")
_QUIET_ROUTES = {*_PROBES, "/", "/health/live", "/health-check", "/v2/health/live", "/v2/health/ready", "/metrics"}


class App:
    """Routes to the contracts; every answer passes one place, where it is counted, logged and given its request id."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.lasting = Lasting()
        self._random: list[str] = []
        self.log = AccessLog(service.settings.service, service.metrics)
        self._gets: dict[str, Callable[[], Answer]] = {
            **dict.fromkeys(_PROBES, self._ready),
            "/": self._front,
            "/health/live": lambda: Answer(200, _JSON, b'{"status":"alive"}'),
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        headers = headers_of(scope["headers"])
        known = scope.get("extensions", {})
        leaving, whole = known.get(LEAVING, {}).get("tell"), known.get(WHOLE, {}).get("take")
        call = Call(self.service, self.lasting, headers, receive, logs.request_id(headers, self.new_id()), leaving, whole)
        # SageMaker's route alone: no other contract hands custom attributes on from whoever runs the service.
        call.ping = pings.of_headers(headers) if scope["path"] == "/invocations" else None
        quiet = call.ping is not None or _is_quiet(scope)
        with spans.serving(scope, headers, quiet=quiet, request_id=call.request_id) as span:
            try:
                await self._served(scope, call, send, span)
            finally:
                call.let_go()

    def new_id(self) -> str:
        """A UUID. The system is asked for the randomness of many at once: each time takes as long as a short prediction."""
        if not self._random:
            fresh = (int.from_bytes(os.urandom(16 * _IDS)) & _FREE | _FIXED).to_bytes(16 * _IDS).hex().encode()
            # All at once, which takes a tenth of the library's time.
            self._random += b" ".join(map(b"-".join, _parts(fresh))).decode().split()
        return self._random.pop()

    async def _served(self, scope: Any, call: Call, send: Send, span: spans.Span) -> None:
        started = time.perf_counter()
        gone = False
        try:
            answer = await self._answer(scope, call)
        except ClientGone:
            span.attributes["error.type"] = "client_gone"
            logs.write("client_gone", request_id=call.request_id, route=scope["path"][:80])
            return
        except RequestProblem as problem:
            answer = self.refusal(problem, call, scope["path"])
            # As in Job.fail.
            problem.__traceback__ = None
        except asyncio.CancelledError:
            # The server leaves and has no time left: say so, instead of the bare 500 that the transport would send.
            if call.ping is None:
                self.service.metrics.shed("leaving")
            answer, gone = self.refusal(Overloaded("The server is shutting down.", retry_after_s=1), call, scope["path"]), True
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            answer = self.refusal(self.service.unexpected(error, call.request_id), call, scope["path"])
        span.answered(answer.status)
        if call.route is not None:
            span.attributes["http.route"] = call.route.path
        sent = len(answer.body)
        if answer.stream is None:
            await _send(scope, send, answer, self.headers(answer, call))
        else:
            from handlers.server.streaming import send_stream

            try:
                told = _encoded({**answer.headers, "x-request-id": call.request_id})
                sent = await send_stream(send, answer.stream, call.left, told)
            except ClientGone:
                span.attributes["error.type"] = "client_gone"
                logs.write("client_gone", request_id=call.request_id, route=scope["path"][:80])
                return
        self.record(scope["path"], answer, call, time.perf_counter() - started, sent, quiet=_is_quiet(scope))
        if gone:
            raise asyncio.CancelledError

    async def _answer(self, scope: Any, call: Call) -> Answer:
        if sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope["raw_path"]) > _MOST_HEADER_BYTES:
            raise HeadersTooLarge(f"Headers and path have more than {_MOST_HEADER_BYTES} bytes.")
        path, method = scope["path"], scope["method"]
        if path in self._gets and method in ("GET", "HEAD"):
            return self._gets[path]()
        call.route, call.names = contracts.find(method, path, served=path in self._gets)
        if (reader := contracts.reader(call.route)) is None:
            answer: Answer = await contracts.function(call.route)(call)
            return answer
        if "expect" in call.headers:
            call.refuse_by_head(functools.partial(reader, call))
        request, form = await call.read(reader, call, await call.body())
        if call.ping:
            return await call.while_there(self.service.ping(call.ping))
        return await call.answered(request, form)

    def refusal(self, problem: RequestProblem, call: Call, path: str = "") -> Answer:
        """The answer to a request that is refused, as its contract tells errors; where none was found, by its `path`."""
        members = call.route.members(problem) if call.route else contracts.members_beside(path, problem)
        return self.service.refusal(problem, call.request_id, members)

    def _ready(self) -> Answer:
        if not self.service.worker.ready:
            raise NotReady(self.service.unready(), retry_after_s=1)
        return Answer(200, _JSON, b'{"status":"ready"}')

    def _front(self) -> Answer:
        """Hugging Face's and Azure's health, and where Cog's clients look for the rest."""
        self._ready()
        return Answer(200, _JSON, _FRONT)

    def tell_figures(self) -> None:
        """Write this process's figures where the others of its port find them."""
        if self.service.board is not None:
            self.service.board.write(self._figures())

    def _metrics(self) -> Answer:
        board, text = self.service.board, self._figures()
        if board is not None:
            # What was told once is told by every other process from now on, and whatever becomes of this one.
            board.write(text)
        return Answer(200, {"content-type": metrics.MEDIA_TYPE}, (text if board is None else board.whole(text)).encode())

    def _figures(self) -> str:
        service = self.service
        known: dict[str, Any] = {"stages": service.stages.known(), "tokens": service.tokens(), "spans": spans.counts()}
        return service.metrics.text(ready=service.worker.ready, waiting=service.worker.waiting, model=service.about(), **known)

    def _openapi(self) -> Answer:
        from handlers.server import openapi

        return Answer(200, _JSON, orjson.dumps(openapi.document(self.service.settings, self.service.manifest, self.service.schemas)))

    def headers(self, answer: Answer, call: Call) -> dict[str, str]:
        """Of an answer as a whole, with lower-case names."""
        headers = {**answer.headers, "content-length": str(len(answer.body)), "x-request-id": call.request_id}
        if answer.status in _CLOSING:
            headers["connection"] = "close"
        return headers

    def lines(self, answer: Answer, call: Call) -> tuple[bytes, bool]:
        """The same as they are sent, and whether they end the connection. Raises ValueError for a header that is none."""
        first = answer.headers
        if len(first) == 1 and "content-type" in first and answer.status not in _CLOSING:
            told = _content_type(first["content-type"]), len(answer.body), call.request_id.encode("latin-1")
            return b"%bcontent-length: %d\r\nx-request-id: %b\r\n" % told, False
        return answer_lines(self.headers(answer, call)), answer.status in _CLOSING

    def record(self, path: str, answer: Answer, call: Call, seconds: float, sent: int, *, quiet: bool = False) -> None:
        """Count an answer, and log it unless it is `quiet`."""
        if call.ping:
            self.service.record_ping(answer, call.request_id, seconds)
            return
        if quiet:
            self.service.metrics.answered([(answer.status, None)])
        else:
            self.log.add(call.request_id, path, answer.status, sent, seconds)


@functools.lru_cache(maxsize=64)
def _content_type(told: str) -> bytes:
    return answer_lines({"content-type": told})


def _is_quiet(scope: Any) -> bool:
    """Whether a request is one of whoever watches the server, which nobody waits for. What is posted to `/` is a prediction."""
    return scope["method"] in ("GET", "HEAD") and scope["path"] in _QUIET_ROUTES


async def _send(scope: Any, send: Send, answer: Answer, headers: Mapping[str, str]) -> None:
    body = b"" if scope["method"] == "HEAD" else answer.body
    at_once = scope.get("extensions", {}).get(ANSWER, {}).get("send")
    if at_once is None or not at_once(answer.status, headers, body):
        await send({"type": "http.response.start", "status": answer.status, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": body})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
