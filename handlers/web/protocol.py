"""HTTP/1.1 as uvicorn reads it, with what it lacks: bounds on what comes before a body and behind it, and on the time for that."""

import asyncio
import functools
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httptools

from handlers.functions import logs, problems
from handlers.functions.problems import HeadersTooLarge, HeadersTooSlow, RequestMalformed, RequestProblem
from handlers.web.bare_uvicorn import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from handlers.web.exchange import SHORT_BYTES, Exchange, Sooner, Take, answer_lines
from handlers.web.heads import Head
from handlers.web.joined import Joined

# More than what our programs refuse by themselves. The parser keeps all of a header, and its caller all headers, until they end.
_MOST_UNREAD_BYTES = 131_072
# For a body behind its head: many clients send them apart, a moment after each other.
_BETWEEN_S = 0.05
# Of the ASGI scope's extensions: its "tell" takes what is to be called when the client leaves, None when that does not matter any more.
LEAVING = "pilotlight.leaving"
# Another: there when a request has come whole before its program is called, so that nobody has to watch the time until it has. Its
# "take" gives the body.
WHOLE = "pilotlight.whole"
# Another: its "send" takes status, headers (lower-case names) and body of a whole answer and tells whether it was sent; what it does not
# take, because the client does not read, goes the way of every ASGI program.
ANSWER = "pilotlight.answer"


class BoundedHttp(HttpToolsProtocol):
    """One connection. A request's head, or the trailers behind its body, that have no end are refused with 431, a head that is not whole
    after `arrival_s` seconds with 408, and what is no HTTP with 400; then the connection is closed.

    A connection on which nothing comes is closed like one that is kept for nothing. Once its server is `leaving` every answer ends its
    connection, so that clients send nothing more on it. Short requests that come whole are offered to `take` before they become ASGI's.
    """

    arrival_s: float
    take: Take | None = None
    leaving = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unread_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._begun = False
        self._leaving: Callable[[], Any] | None = None
        self._lost = False
        # What has come of a request's body that may not have to become ASGI's, None where nobody has to know.
        self._held: bytes | None = None
        self._held_at = 0.0
        self._holding: asyncio.TimerHandle | None = None
        self._taken: Exchange | None = None
        # Of the last one that was taken, where the next one may have the same; whether the parser has seen the end of all that has come,
        # what came then, and whether a request that is parsed was offered already.
        self._head: Head | None = None
        self._between = True
        self._whole: bytes | None = None
        self._offered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn asks for asyncio's own class, and uses what Joined hands on of it.
        self._joined = Joined(transport, self.loop)
        super().connection_made(self._joined)  # type: ignore[arg-type]
        there = transport.get_extra_info("socket")
        # What is encrypted only the transport can write.
        self._descriptor = -1 if there is None or transport.get_extra_info("ssl_object") else there.fileno()
        self._idle_since = self.loop.time()
        self._watching = self.loop.call_later(self.timeout_keep_alive, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held is not None:
            # Which tells whose client left.
            self._become_asgi()
        self._wait(None)
        if self._watching is not None:
            self._watching.cancel()
        super().connection_lost(exc)
        # Behind this the socket is closed, and its number may be another one's.
        with _SENDING:
            self._lost = True
        self._settle()
        if self._leaving is not None:
            self._leaving()
        if self._taken is not None:
            taken, self._taken = self._taken, None
            left, taken.connection, taken.leaving, taken.ending = taken.leaving, None, None, None
            if left is not None:
                left()

    def data_received(self, data: bytes) -> None:
        self._settle()
        if self._between and len(data) <= SHORT_BYTES:
            if self._head is not None and self._is_taken_again(self._head, data):
                return
            self._whole = data
        self._unread_bytes += len(data)
        before = self._taken
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade:
            # No connection becomes another protocol's: the request is answered as any other.
            self._unsupported_upgrade_warning()
        self._whole = None
        if self._held is not None and self._holding is None:
            self._holding = self.loop.call_later(_BETWEEN_S, self._become_asgi)
        if self.pipeline:
            self._settle()
        if self.pipeline and self._taken is not before:
            # As in _when_it_leaves, and like there once: what comes behind it is not read for as long as it takes.
            self.flow.resume_reading()
        if self._begun and self._waiting is None:
            self._wait(self.arrival_s)
        if self._unread_bytes > _MOST_UNREAD_BYTES:
            self._refuse(HeadersTooLarge(f"Headers and path, or trailers, have more than {_MOST_UNREAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        """In place of uvicorn's, which makes the scope here, for every request."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._begun, self._between = True, False
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
        short, self._offered = self._unread_bytes <= SHORT_BYTES and not self._offered, False
        self._begun, self._unread_bytes = False, 0
        if self._waiting is not None:
            self._wait(None)
        if short and self.take is not None and self.parser.get_method() == b"POST" and self._is_plain():
            self._held, self._held_at = b"", time.monotonic()
        else:
            self._begin_asgi()

    def _is_plain(self) -> bool:
        """Whether it is one that nothing is special about, on a connection that has nothing else to do."""
        parser = self.parser
        if parser.should_upgrade() or self.expect_100_continue or parser.get_http_version() != "1.1" or not self.url.startswith(b"/"):
            return False
        return self._is_free()

    def _is_free(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def _become_asgi(self) -> None:
        """What was held, as far as it has come."""
        body = self._released()
        self._begin_asgi()
        if body:
            super().on_body(body)

    def _released(self) -> bytes | None:
        held, self._held = self._held, None
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
        return held

    def _begin_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        # The scope has this list.
        self.headers += headers
        self.scope["extensions"] = {LEAVING: {"tell": self._when_it_leaves}}
        super().on_headers_complete()
        # There is a cycle, since no connection becomes another protocol's.
        extensions = self.scope["extensions"]
        extensions[ANSWER] = {"send": functools.partial(self._answer, self.cycle)}
        self.cycle.on_response = functools.partial(self._over, extensions)
        if self.leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        if self._held is None:
            super().on_body(body)
        elif len(self._held) + len(body) <= SHORT_BYTES:
            self._held += body
        else:
            self._become_asgi()
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread_bytes, self._between = 0, True
        if self._held is not None:
            if self._is_taken_first(self._held):
                self._released()
                return
            self._become_asgi()
        self.scope["extensions"][WHOLE] = {"take": functools.partial(_taken, self.cycle)}
        super().on_message_complete()

    def _is_taken_first(self, body: bytes) -> bool:
        # The parser lets nothing else than ASCII into a path.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers if name != b"content-length"}
        head = Head(self.url.decode("latin-1"), headers)
        self._head, keeps_alive = None, self.parser.should_keep_alive()
        if self._whole is not None and keeps_alive and head.keep(self._whole, body):
            self._head = head
        return self._is_taken(head, body, self._held_at, keep_alive=keeps_alive)

    def _is_taken_again(self, head: Head, data: bytes) -> bool:
        """A request that has come as one, and has the head of the one before it: nothing else can come of it in the parser."""
        body = head.body_of(data)
        if body is None or not self._is_free():
            return False
        try:
            self._offered = not self._is_taken(head, body, time.monotonic(), keep_alive=True)
        except Exception as error:  # noqa: BLE001  (a parser's callback that fails ends a connection so, and this one is none)
            self.loop.call_exception_handler({"message": "Whoever was offered a request failed.", "exception": error})
            self.send_400_response("")
            return True
        if not self._offered:
            self._unread_bytes = 0
        return not self._offered

    def _is_taken(self, head: Head, body: bytes, began: float, *, keep_alive: bool) -> bool:
        assert self.take is not None  # who holds a body, or has a head, has asked
        every = self.server_state.default_headers
        keep_alive, alone = keep_alive and not self.leaving, len(self.connections) == 1
        exchange = Exchange(self, head, body, began=began, keep_alive=keep_alive, alone=alone, default_headers=every)
        before = self.cycle
        # First: it may be answered before it is known to be taken.
        self._taken = exchange
        self.cycle = exchange  # type: ignore[assignment]  # it has what is looked at of a cycle
        if self.take(exchange):
            return True
        self.cycle, self._taken = before, None
        return False

    def _over(self, extensions: dict[str, Any]) -> None:
        # They lead back to their request, which would wait for the garbage collector, and its body too.
        extensions.clear()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """In place of uvicorn's, which begins a timer for each request that nothing follows."""
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def end(self) -> None:
        """The server leaves and has no time left: what ASGI has tasks for is cancelled."""
        self._settle()
        if self._taken is not None and self._taken.ending is not None:
            self._taken.ending()

    def shutdown(self) -> None:
        if self._held is not None:
            self._become_asgi()
        super().shutdown()
        self._settle()

    def leave(self) -> None:
        """An answer that has not begun ends the connection, or the one behind it does."""
        for cycle in (self.cycle, *(cycle for cycle, _ in self.pipeline)):
            with _SENDING:
                if cycle is not None and not cycle.response_started:
                    cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        self._refuse(RequestMalformed("The bytes that came are no request of HTTP/1.1, or one that could be read in two ways."))

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

    def answer(self, exchange: Exchange, status: int, lines: bytes, body: bytes, *, closing: bool) -> bool:
        """Send the answer to a request that was taken; False where one was begun. Whose client does not read, it waits in the transport."""
        if exchange.alone:
            with _SENDING:
                if exchange.response_started:
                    return False
                exchange.response_started = True
        elif exchange.response_started:
            return False
        self._write(exchange, status, lines, body, closing=closing)
        return True

    def _write(self, cycle: RequestResponseCycle | Exchange, status: int, lines: bytes, body: bytes, *, closing: bool) -> None:
        keep_alive = cycle.keep_alive and not closing
        end = b"\r\n" if keep_alive or closing else b"connection: close\r\n\r\n"
        cycle.response_started = cycle.response_complete = True
        self._joined.write_now(b"".join((STATUS_LINE[status], _lines(cycle.default_headers), lines, end, body)))
        if not keep_alive:
            self.transport.close()
        cycle.on_response()

    def answer_sooner(self, exchange: Exchange, sooner: Sooner) -> bool:
        """By another thread than the loop's: send an answer after which the connection stays. False where only the loop can, or has.

        The loop is not woken for it. It does what is left when something comes on the connection, or when it looks by itself.
        """
        status, lines, body, first, settling = sooner
        whole = b"".join((STATUS_LINE[status], _lines(exchange.default_headers), lines, b"\r\n", body))
        with _SENDING:
            if not (exchange.keep_alive and self._is_next(exchange)):
                return False
            first()
            # Before it leaves: its client may ask again before this thread goes on.
            exchange.settling, exchange.left_at, exchange.response_started = settling, time.monotonic(), True
            try:
                exchange.rest = whole[os.write(self._descriptor, whole) :]
            except OSError:
                # There is no room, or nobody there, of which the loop hears.
                exchange.rest = whole
        if exchange.rest:
            self.loop.call_soon_threadsafe(self._settle)
        return True

    def _is_next(self, exchange: Exchange) -> bool:
        """Whether its answer is what comes next on the connection, which nothing waits on behind it."""
        there = not (exchange.response_started or self.transport.is_closing())
        return there and not self.pipeline and self._joined.is_clear()

    def _settle(self) -> None:
        """Do what is left of an answer that another thread has sent; before whatever else the loop does here, and behind what keeps that
        thread from it."""
        exchange = self._taken
        if exchange is None or not exchange.alone or exchange.response_complete:
            return
        # Of another thread that is about to send this waits for the end.
        with _SENDING:
            settling = exchange.settling
        if settling is None:
            return
        exchange.response_complete = True
        if exchange.rest and not self._lost:
            self._joined.write_now(exchange.rest)
        settling()
        if not exchange.keep_alive:
            self.transport.close()
        exchange.on_response()
        self._idle_since = exchange.left_at

    def _is_ours(self) -> bool:
        """Whether a refusal is what comes next on the connection, which then nobody else answers on."""
        self._settle()
        if not self._answering:
            return True
        with _SENDING:
            ours = not (self.pipeline or self.cycle.response_started)
            if ours and isinstance(self.cycle, Exchange):
                self.cycle.response_started = True
        # What another thread has begun to send in this moment is sent to its end.
        self._settle()
        return ours

    def _wait(self, seconds: float | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._settle()
        if self._answering:
            # What is pipelined behind a request is not read before that one is answered.
            self._wait(self.arrival_s)
        elif self._begun:
            self._refuse(HeadersTooSlow(f"Headers were not complete after {self.arrival_s:g} s."))

    def _watch(self) -> None:
        """Close a connection that is kept for nothing: one look in all that time, where each request would begin and cancel a timer."""
        self._settle()
        left_s: float = self.timeout_keep_alive
        if not (self._answering or self._begun or self._held is not None):
            left_s -= self.loop.time() - self._idle_since
        if left_s > 0:
            self._watching = self.loop.call_later(left_s, self._watch)
        else:
            self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: RequestProblem) -> None:
        if self.transport.is_closing():
            return
        self._released()
        request_id, status = str(uuid.uuid4()), problems.status_of(problem)
        logs.write("connection_refused", level="WARNING", request_id=request_id, status=status, message=problem.detail)
        # Into an answer, or before one that is due first, nothing can be written: there the end of the connection is the refusal.
        if self._is_ours():
            body = json.dumps(problems.document(problem, request_id)).encode()
            headers = problems.headers_of(problem) | {"content-length": str(len(body)), "connection": "close", "x-request-id": request_id}
            lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
            self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()


# Held by whoever begins an answer that another thread than the loop's may begin too, by that thread until it has left, and for a moment
# before a socket is closed: its number may be another one's then.
_SENDING = threading.Lock()
_known: tuple[list[tuple[bytes, bytes]], bytes] = [], b""


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
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


def bounded(arrival_s: float, take: Take | None = None) -> type[BoundedHttp]:
    """The protocol of one server, with its time for a request's head, and who is offered short requests."""

    class Timed(BoundedHttp):
        pass

    Timed.arrival_s = arrival_s
    Timed.take = None if take is None else staticmethod(take)
    return Timed
