"""A request over HTTP as a contract sees it: its headers, its body, and the service that answers it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, TypeVar

from handlers.functions import deadline
from handlers.functions.pings import Ping
from handlers.functions.problems import MediaTypeUnsupported, ModelUnknown, NotAcceptable, Overloaded, RequestProblem, TimeoutRefused
from handlers.functions.requests import PredictionRequest, decoded
from handlers.server.contracts import CONTRACTS, Route
from handlers.server.forms import PLAIN, Form
from handlers.server.service import Answer, Service
from handlers.web.bodies import ClientGone, Receive, read_body

_T = TypeVar("_T")
# So many of the largest size at once; what comes whole with its head, a few kilobytes, is not counted.
_BODIES = 32
# Shorter ones are read in a few milliseconds.
_LONG = 128 << 10
# What stands before each value of JSON, and of CSV.
_BEFORE_VALUES = b",:[{"
# What is wrong with a request whatever its body is.
_OF_HEADS = (MediaTypeUnsupported, ModelUnknown, NotAcceptable, TimeoutRefused)


class Lasting:
    """What outlives a request: `tasks`, which the server lets finish before it leaves, and what contracts keep."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._kept: dict[type, Any] = {}

    def kept(self, kind: type[_T], make: Callable[[], _T]) -> _T:
        """The one object of a class, made when it is first asked for."""
        if kind not in self._kept:
            self._kept[kind] = make()
        found: _T = self._kept[kind]
        return found

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin work that nobody waits for."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class Bodies:
    """The bytes of the bodies that are here, on their way, waiting or computed, and the values in long ones: however many connections
    bring them."""

    held = values = 0

    def __init__(self, service: Service) -> None:
        self._service = service
        largest = service.settings.max_body_bytes
        # One body can't have more values than that.
        self._most, self._most_values = _BODIES * largest, largest

    @classmethod
    def of(cls, lasting: Lasting, service: Service) -> "Bodies":
        """The one of this server."""
        return lasting.kept(cls, lambda: cls(service))

    def hold(self, count: int, values: int = 0) -> None:
        """Raises Overloaded where there would be too many."""
        if (count and self.held + count > self._most) or (values and self.values + values > self._most_values):
            self._service.metrics.shed("full")
            raise Overloaded(f"Requests of {self.held} bytes and {self.values} values are here already.", retry_after_s=1)
        self.held += count
        self.values += values

    def add(self, count: int) -> None:
        """What has to be here: it leaves less room for bodies."""
        self.held += count

    def let_go(self, count: int, values: int = 0) -> None:
        """What they held makes room for others."""
        self.held -= count
        self.values -= values


class Call:
    """One request. Header names are lower-case; `route` and `names`, the parts of the path that have names, are set once it is known."""

    route: Route | None = None
    names: Mapping[str, str] = MappingProxyType({})
    ping: Ping | None = None

    def __init__(
        self,
        service: Service,
        lasting: Lasting,
        headers: Mapping[str, str],
        receive: Receive,
        request_id: str,
        leaving: Callable[[Callable[[], Any] | None], None] | None = None,
        whole: Callable[[], bytes] | None = None,
        came: float | None = None,
    ) -> None:
        """`leaving` takes what is to be called when the client leaves; without it that is found out by `receive`. `whole` gives the body
        of a request that has come, and `came` is when its headers were there (monotonic clock), now unless told."""
        self.service = service
        self.lasting = lasting
        self.headers = headers
        self.request_id = request_id
        self._receive = receive
        self._leaving = leaving
        self._whole = whole
        self._came = time.monotonic() if came is None else came
        self._held = self._values = 0

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")

    async def body(self) -> bytes:
        """The whole body within the settings. Raises RequestProblem, ClientGone."""
        settings = self.service.settings
        limit, timeout_s = settings.max_body_bytes, settings.body_timeout_s
        body = await read_body(self._receive, self.headers, limit=limit, timeout_s=timeout_s, whole=self._whole, hold=self._hold)
        # Whoever finds no place is told before megabytes of JSON are decoded, which would delay everybody's answers.
        self.service.worker.require_place(counted=self.ping is None)
        if self._held > _LONG:
            # As they are read, values of two bytes become objects of eighty.
            self._hold(0, len(body) - len(body.translate(None, _BEFORE_VALUES)))
        return body

    def _hold(self, count: int, values: int = 0) -> None:
        Bodies.of(self.lasting, self.service).hold(count, values)
        self._held += count
        self._values += values

    def let_go(self) -> None:
        """The request is answered: its body makes room for others."""
        self.handed_over()()

    def handed_over(self) -> Callable[[], None]:
        """What is to be called in place of `let_go`, by work that goes on when this request is answered."""
        if not self._held:
            return lambda: None
        held, self._held, self._values = (self._held, self._values), 0, 0
        return lambda: Bodies.of(self.lasting, self.service).let_go(*held)

    async def json(self) -> object:
        """The body as JSON. Raises RequestProblem, ClientGone."""
        if "expect" in self.headers:
            self.refuse_by_head(lambda body: decoded(body, self.content_type))
        return await self.read(decoded, await self.body(), self.content_type)

    async def read(self, reader: Callable[..., _T], *given: Any) -> _T:
        """What `reader` makes of this request's body, or of what was read from it. Raises RequestProblem.

        A long one is read in a thread of its own, one at a time: megabytes of small values take a second, in which nobody else's answer
        could be sent, nor any probe's.
        """
        if self._held <= _LONG:
            return reader(*given)
        readers = self.lasting.kept(ThreadPoolExecutor, lambda: ThreadPoolExecutor(1, thread_name_prefix="long-bodies"))
        return await asyncio.get_running_loop().run_in_executor(readers, reader, *given)

    def refuse_by_head(self, read: Callable[[bytes], Any]) -> None:
        """Raise what the head alone tells of a request whose client waits for a word before it sends the body, which `read` reads
        (RFC 9110, section 10.1.1)."""
        if self._whole is not None:
            return
        try:
            self.seconds_left()
            read(b"")
        except _OF_HEADS:
            raise
        except RequestProblem:
            # It has no body yet.
            return

    async def answered(self, request: PredictionRequest, form: Form = PLAIN) -> Answer:
        """The answer to a prediction in a contract's form. Raises RequestProblem, and ClientGone when nobody waits for it any more."""
        answering = self.service.streamed if form.piece is not None else self.service.answer
        return await self.while_there(answering(request, self.request_id, self.form(form), self.seconds_left()))

    def seconds_left(self) -> float:
        """What the caller has left for an answer, without end where it does not tell. Raises TimeoutRefused."""
        return deadline.of_headers(self.headers) - (time.monotonic() - self._came)

    def form(self, form: Form) -> Form:
        """The form with the tasks that the table gives its contract, unless what was asked for serves fewer."""
        assert self.route is not None  # contracts are called by their routes
        tasks = CONTRACTS[self.route.contract].tasks if form.tasks is None else None
        return form if tasks is None else form._replace(tasks=tasks)

    async def while_there(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` gives, which is given up when the client leaves (ClientGone): that frees the model for the next one."""
        if self._leaving is not None:
            return await self._unless_it_leaves(work, self._leaving)
        answering = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.left())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ClientGone
            return answering.result()
        finally:
            answering.cancel()
            leaving.cancel()

    async def _unless_it_leaves(self, work: Coroutine[Any, Any, _T], leaving: Callable[[Callable[[], Any] | None], None]) -> _T:
        """The same in this task, where the connection tells of its end: two tasks fewer for each request."""
        task, gone = asyncio.current_task(), False
        assert task is not None  # ASGI's

        def leave() -> None:
            nonlocal gone
            gone = True
            task.cancel()

        leaving(leave)
        try:
            return await work
        except asyncio.CancelledError:
            # The server, which leaves, may have cancelled it too.
            if gone and not task.uncancel():
                raise ClientGone from None
            raise
        finally:
            leaving(None)

    async def left(self) -> None:
        """Returns when the client leaves; the body is complete, so nothing else can come."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
