"""Short requests past ASGI: a connection that offers them before they become a task of it, and on which another thread may answer.

Whatever the loop does here that looks at a request under way settles it first, or behind what keeps the model's thread from answering
it: its answer may have left by that thread.
"""

import asyncio
import os
import threading
import time
from typing import Any

from handlers.functions.problems import RequestProblem
from handlers.web.bare_uvicorn import STATUS_LINE
from handlers.web.exchange import SHORT_BYTES, Exchange, Sooner, Take
from handlers.web.header_lines import together
from handlers.web.heads import Head
from handlers.web.protocol import BoundedHttp, lines_of

# For a body behind its head: many clients send them apart, a moment after each other.
_BETWEEN_S = 0.05
# Held by whoever begins an answer that another thread than the loop's may begin too, by that thread until it has left, and for a moment
# before a socket is closed: its number may be another one's then.
_SENDING = threading.Lock()


class TakingHttp(BoundedHttp):
    """One connection. Short requests that come whole are offered to `take` before they become ASGI's."""

    take: Take

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
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
        super().connection_made(transport)
        there = transport.get_extra_info("socket")
        # What is encrypted only the transport can write.
        self._descriptor = -1 if there is None or transport.get_extra_info("ssl_object") else there.fileno()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held is not None:
            # Which tells whose client left.
            self._become_asgi()
        super().connection_lost(exc)
        # Behind this the socket is closed: whoever is about to send on it has the time to.
        with _SENDING:
            self._descriptor = -1
        self._settle()
        if self._taken is not None:
            taken, self._taken = self._taken, None
            left, taken.connection, taken.leaving, taken.ending = taken.leaving, None, None, None
            if left is not None:
                left()

    def data_received(self, data: bytes) -> None:
        self._settle()
        if self._between and len(data) <= SHORT_BYTES and self._refusal is None:
            if self._head is not None and self._is_taken_again(self._head, data):
                return
            self._whole = data
        before = self._taken
        super().data_received(data)
        self._whole = None
        if self._held is not None and self._holding is None:
            self._holding = self.loop.call_later(_BETWEEN_S, self._become_asgi)
        if self.pipeline:
            self._settle()
        if self.pipeline and self._taken is not before:
            # As in _when_it_leaves, and like there once: what comes behind it is not read for as long as it takes.
            self.flow.resume_reading()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between = False

    def on_headers_complete(self) -> None:
        short, self._offered = self._unread_bytes <= SHORT_BYTES and not self._offered, False
        if short and self.parser.get_method() == b"POST" and self._is_plain():
            self._head_ends()
            self._held, self._held_at = b"", time.monotonic()
        else:
            super().on_headers_complete()

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
        body, unread = self._released(), self._unread_bytes
        self._begin_asgi()
        if body:
            super().on_body(body)
        # What has come behind it is counted on.
        self._unread_bytes = unread

    def _released(self) -> bytes | None:
        held, self._held = self._held, None
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
        return held

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        elif len(self._held) + len(body) <= SHORT_BYTES:
            self._unread_bytes = 0
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
        super().on_message_complete()

    def _is_taken_first(self, body: bytes) -> bool:
        # As in headers_of, without a call for each request. The parser lets nothing else than ASCII into names and a path.
        headers = {name.decode(): value.decode("latin-1") for name, value in self.headers}
        if len(headers) != len(self.headers):
            headers.update(together(self.headers))
        headers.pop("content-length", None)
        head = Head(self.url.decode("latin-1"), headers)
        self._head, keeps_alive = None, self.parser.should_keep_alive()
        if self._whole is not None and keeps_alive and head.keep(self._whole, body):
            self._head = head
        return self._is_taken(head, body, self._held_at, keep_alive=keeps_alive)

    def _is_taken_again(self, head: Head, data: bytes) -> bool:
        """A request that has come as one, and has the head of one before it: nothing else can come of it in the parser."""
        known = head.known(data)
        if known is None or not self._is_free():
            return False
        head, body = known
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
        every = self.server_state.default_headers
        keep_alive, alone = keep_alive and not self.leaving, len(self.connections) == 1
        exchange = Exchange(self, head, body, began=began, keep_alive=keep_alive, alone=alone, default_headers=every)
        before = self.cycle
        # First: it may be answered before it is known to be taken.
        self._taken = exchange
        self.cycle = exchange  # type: ignore[assignment]  # it has what is looked at of a cycle
        try:
            if self.take(exchange):
                return True
        except BaseException:
            # Whatever has become of it, nobody answers it any more.
            exchange.response_started = True
            self.cycle, self._taken = before, None
            raise
        self.cycle, self._taken = before, None
        return False

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

    def answer_sooner(self, exchange: Exchange, sooner: Sooner) -> bool:
        """By another thread than the loop's: send an answer after which the connection stays. False where only the loop can, or has.

        The loop is not woken for it. It does what is left when something comes on the connection, or when it looks by itself.
        """
        status, lines, body, first, settling = sooner
        whole = b"".join((STATUS_LINE[status], lines_of(exchange.default_headers), lines, b"\r\n", body))
        with _SENDING:
            # Where it is not alone nobody would settle it.
            if not (exchange.alone and exchange.keep_alive and self._is_next(exchange)):
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
        return there and not self.pipeline and self._refusal is None and self._joined.is_clear()

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

    def _note(self, problem: RequestProblem) -> None:
        self._released()
        # What has left is not due any more, and what another thread has begun to send in this moment is sent to its end.
        self._settle()
        with _SENDING:
            super()._note(problem)
        self._settle()

    def _late(self) -> None:
        self._settle()
        super()._late()

    def _watch(self) -> None:
        self._settle()
        super()._watch()

    def _is_idle(self) -> bool:
        return self._held is None and super()._is_idle()

    def leave(self) -> None:
        with _SENDING:
            super().leave()

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


def taking(arrival_s: float, take: Take) -> type[TakingHttp]:
    """The protocol of one server, with its time for a request's head, and who is offered short requests."""

    class Timed(TakingHttp):
        pass

    Timed.arrival_s = arrival_s
    Timed.take = staticmethod(take)
    return Timed
