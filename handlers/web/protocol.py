"""HTTP/1.1 as uvicorn reads it, with what it lacks: bounds on what comes before a body and behind it, and on the time for that."""

import asyncio
import functools
import json
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

import httptools

from handlers.functions import logs, problems
from handlers.functions.problems import HeadersTooLarge, HeadersTooSlow, RequestMalformed, RequestProblem
from handlers.web.bare_uvicorn import STATUS_LINE, FlowControl, HttpToolsProtocol, RequestResponseCycle
from handlers.web.exchange import Exchange, answer_lines
from handlers.web.joined import Joined

# More than what our programs refuse by themselves. The parser keeps all of a header, and its caller all headers, until they end.
_MOST_UNREAD_BYTES = 131_072
# Requests that wait behind one on its connection, beyond which no more are read.
_MOST_PIPELINED = 16
_UNREADABLE = "The bytes that came are no request of HTTP/1.1, or one that could be read in two ways."
# Of the ASGI scope's extensions: its "tell" takes what is to be called when the client leaves, None when that does not matter any more.
LEAVING = "pilotlight.leaving"
# Another: there when a request has come whole before its program is called, so that nobody has to watch the time until it has. Its
# "take" gives the body.
WHOLE = "pilotlight.whole"
# Another: its "send" takes status, headers (lower-case names) and body of a whole answer and tells whether it was sent; what it does not
# take, because the client does not read, goes the way of every ASGI program.
ANSWER = "pilotlight.answer"


class _Flow(FlowControl):
    """Reads on only where few requests wait: uvicorn, and who watches for a client's end, read on with each answer, and what is read then
    may be thousands of them."""

    def __init__(self, transport: Any, pipeline: Collection[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        # How often the client has read so much that more can be written.
        self.resumed = 0

    def resume_reading(self) -> None:
        if len(self._pipeline) <= _MOST_PIPELINED:
            super().resume_reading()

    def resume_writing(self) -> None:
        self.resumed += 1
        super().resume_writing()


class BoundedHttp(HttpToolsProtocol):
    """One connection. A request's head, or the trailers behind its body, that have no end are refused with 431, a head that is not whole
    after `arrival_s` seconds with 408, and what is no HTTP with 400; then the connection is closed.

    A connection on which nothing comes is closed like one that is kept for nothing, and one whose client reads nothing of an answer in that
    time. Once its server is `leaving` every answer ends its connection, so that clients send nothing more on it. What goes past ASGI is
    told in taking.py.
    """

    arrival_s: float
    leaving = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unread_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._begun = False
        self._keeps_alive = False
        # Whether the request that is parsed asks for another protocol.
        self._upgrades = False
        self._leaving: Callable[[], Any] | None = None
        self._lost = False
        # Whose task runs, where others wait behind it.
        self._running: RequestResponseCycle | None = None
        # Why nothing that comes is read any more, told behind the answers that are due.
        self._refusal: RequestProblem | None = None
        # What was not sent when it was last looked at, and how often the client had made room.
        self._unsent = 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn asks for asyncio's own class, and uses what Joined hands on of it.
        self._joined = Joined(transport, self.loop)
        super().connection_made(self._joined)  # type: ignore[arg-type]
        self.flow = self._flow = _Flow(self._joined, self.pipeline)
        self._idle_since = self.loop.time()
        self._watching = self.loop.call_later(self.timeout_keep_alive, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        if self._watching is not None:
            self._watching.cancel()
        super().connection_lost(exc)
        self._lost = True
        self.pipeline.clear()
        if self._running is not None:
            # uvicorn tells the last one that came.
            self._running.disconnected = True
            self._running.message_event.set()
        if self._leaving is not None:
            self._leaving()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._unread_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            # What a callback raises comes so, too.
            found = error.__context__
            self._refuse(found if isinstance(found, RequestProblem) else RequestMalformed(_UNREADABLE))
        if self._begun and self._waiting is None:
            self._wait(self.arrival_s)
        if self._unread_bytes > _MOST_UNREAD_BYTES:
            self._refuse(HeadersTooLarge(f"Headers and path, or trailers, have more than {_MOST_UNREAD_BYTES} bytes."))

    def _parse(self, data: bytes) -> None:
        """Raises HttpParserError."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if not self._upgrades:
                    return
                # No connection becomes another protocol's (RFC 9110, section 7.8). The parser takes whatever comes behind such a head for
                # that protocol's, its body too, and is told the head once more, without the wish.
                self._upgrades = False
                from handlers.web.upgrades import head_without

                data = head_without(self.parser, self.url, self.headers) + data
                self.parser = httptools.HttpRequestParser(self)
                # As uvicorn's own.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def on_message_begin(self) -> None:
        """In place of uvicorn's, which makes the scope here, for every request."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._begun = True
        # Its time begins where what came does not end it: most requests come whole.
        if self._waiting is not None:
            self._wait(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are not of the head, which is what others have looked at.
        if self._begun:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        # A tunnel is no other protocol than the one that was asked for.
        self._upgrades = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._upgrades:
            return
        self._head_ends()
        self._begin_asgi()

    def _head_ends(self) -> None:
        self._begun, self._unread_bytes = False, 0
        if self._waiting is not None:
            self._wait(None)
        names = [name for name, _ in self.headers]
        codings = [value for name, value in self.headers if name == b"transfer-encoding"] if b"transfer-encoding" in names else []
        if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked"):
            # RFC 9112, section 6.1. Whoever stands before this server may have undone one that would be taken for the body here.
            raise RequestMalformed("Transfer-Encoding is more than 'chunked': send the body as it is, in chunks or with its length.")
        hosts = names.count(b"host")
        if hosts != 1 and self.parser.get_http_version() == "1.1":
            # RFC 9112, section 3.2. Whoever stands before this server may have gone by another one of several.
            raise RequestMalformed(f"A request has one header Host: this one has {hosts}.")

    def _begin_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        # The scope has this list.
        self.headers += headers
        self.scope["extensions"] = {LEAVING: {"tell": self._when_it_leaves}}
        super().on_headers_complete()
        # There is a cycle, since no connection becomes another protocol's.
        extensions, cycle = self.scope["extensions"], self.cycle
        extensions[ANSWER] = {"send": functools.partial(self._answer, cycle)}
        cycle.on_response = functools.partial(self._over, extensions)
        # An answer that comes before the body's end is the connection's last one: nobody would read the rest, nor find what is behind it.
        self._keeps_alive, cycle.keep_alive, self._joined.unread = cycle.keep_alive, False, True
        if self.scope["http_version"] != "1.1":
            from handlers.web.old_http import of_old

            self._keeps_alive = False
            of_old(cycle)

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrades:
            return
        self._unread_bytes = 0
        self._joined.unread = False
        if self._keeps_alive and not (self.leaving or self.cycle.response_started):
            self.cycle.keep_alive = True
        self.scope["extensions"][WHOLE] = {"take": functools.partial(_taken, self.cycle)}
        super().on_message_complete()

    def _over(self, extensions: dict[str, Any]) -> None:
        # They lead back to their request, which would wait for the garbage collector, and its body too.
        extensions.clear()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """In place of uvicorn's, which begins a timer for each request that nothing follows."""
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        self._running = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._tell(self._refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def leave(self) -> None:
        """An answer that has not begun ends the connection, or the one behind it does."""
        for cycle in (self.cycle, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_started:
                cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        self._refuse(RequestMalformed(_UNREADABLE))

    def _when_it_leaves(self, told: Callable[[], Any] | None) -> None:
        self._leaving = told
        if told is None:
            return
        # What is not read does not end either: reading has paused behind a long body, or before what is pipelined.
        self.flow.resume_reading()
        if self._lost:
            told()

    def _answer(self, cycle: RequestResponseCycle, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Send an answer of ASGI's as a whole; False where that has to wait, or where one was begun."""
        if cycle.disconnected:
            return True
        if cycle.response_started or self.flow.write_paused:
            return False
        cycle.waiting_for_100_continue = False
        self._write(cycle, status, answer_lines(headers), body, closing=headers.get("connection") == "close")
        # Whoever waits for what comes is told of the end.
        cycle.message_event.set()
        return True

    def _write(self, cycle: RequestResponseCycle | Exchange, status: int, lines: bytes, body: bytes, *, closing: bool) -> None:
        keep_alive = cycle.keep_alive and not closing
        end = b"\r\n" if keep_alive or closing else b"connection: close\r\n\r\n"
        cycle.response_started = cycle.response_complete = True
        self._joined.write_now(b"".join((STATUS_LINE[status], lines_of(cycle.default_headers), lines, end, body)))
        if not keep_alive:
            self.transport.close()
        cycle.on_response()

    def _wait(self, seconds: float | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        if self._answering:
            # What is pipelined behind a request is not read before that one is answered.
            self._wait(self.arrival_s)
        elif self._begun:
            self._refuse(HeadersTooSlow(f"Headers were not complete after {self.arrival_s:g} s."))

    def _watch(self) -> None:
        """Close a connection that is kept for nothing: one look in all that time, where each request would begin and cancel a timer."""
        left_s: float = self.timeout_keep_alive
        unsent, before = (self._joined.unsent(), self._flow.resumed), self._unsent
        self._unsent = unsent
        if unsent[0]:
            # To close it would wait for the client, which has read nothing since the last look, and keeps what it does not read.
            if before[0] and unsent[0] >= before[0] and unsent[1] == before[1] and (self.flow.write_paused or not self._answering):
                self._joined.abort()
                return
        elif self._is_idle():
            left_s -= self.loop.time() - self._idle_since
        if left_s > 0:
            self._watching = self.loop.call_later(left_s, self._watch)
        else:
            self.transport.close()

    def _is_idle(self) -> bool:
        return not (self._answering or self._begun)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: RequestProblem) -> None:
        """Read no more, and tell why: at once, or behind the answers to what came whole before it (RFC 9112, section 9.3.2)."""
        if self.transport.is_closing() or self._refusal is not None:
            return
        self._note(problem)
        if not self._answering:
            self._tell(problem)
        elif self._joined.unread:
            # It is the last one itself that is refused, in its body.
            if self.pipeline:
                self.pipeline.popleft()
            elif self.cycle.response_started:
                # Into an answer nothing can be written: there the end of the connection is the refusal.
                self.transport.close()
            else:
                self._tell(problem)

    def _note(self, problem: RequestProblem) -> None:
        self._refusal = problem

    def _tell(self, problem: RequestProblem) -> None:
        if self.transport.is_closing():
            return
        request_id, status = str(uuid.uuid4()), problems.status_of(problem)
        logs.write("connection_refused", level="WARNING", request_id=request_id, status=status, message=problem.detail)
        body = json.dumps(problems.document(problem, request_id)).encode()
        headers = problems.headers_of(problem) | {"content-length": str(len(body)), "connection": "close", "x-request-id": request_id}
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        # What is refused is what comes, and more of it may.
        self._joined.linger()


_known: tuple[list[tuple[bytes, bytes]], bytes] = [], b""


def lines_of(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Of the headers that every answer has: uvicorn has another list of them each second, and never changes one."""
    global _known
    if headers is not _known[0]:
        _known = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
    return _known[1]


def _taken(cycle: RequestResponseCycle) -> bytes:
    """The body, which is kept no longer than whoever asked for it does."""
    body = bytes(cycle.body)
    cycle.body = bytearray()
    return body


def bounded(arrival_s: float) -> type[BoundedHttp]:
    """The protocol of one server, with its time for a request's head."""

    class Timed(BoundedHttp):
        pass

    Timed.arrival_s = arrival_s
    return Timed
