"""A short request that came whole, and its answer: what most requests are, without the objects and the task that ASGI has for each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from handlers.web.heads import Head

# Head and body together. What is longer goes ASGI's way, where it does not matter.
SHORT_BYTES = 32_768
# Begins to answer, or says False and has done nothing: then the request goes ASGI's way.
Take = Callable[["Exchange"], bool]


def answer_lines(headers: Mapping[str, str]) -> bytes:
    """The lines of an answer's headers (lower-case names). Raises ValueError for one that has the end of a line in it."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("A header of the answer has the end of a line in it.")
    return lines.encode("latin-1")


class Connection(Protocol):
    """What it came on (taking.py, which imports this)."""

    def answer(self, exchange: "Exchange", status: int, lines: bytes, body: bytes, *, closing: bool) -> bool: ...
    def answer_sooner(self, exchange: "Exchange", sooner: "Sooner") -> bool: ...
    def on_response_complete(self) -> None: ...


class Sooner(NamedTuple):
    """An answer that leaves by another thread than the loop's, after which the connection stays. `first` is called before it leaves,
    `settling` by the loop when it next has to do with the connection; neither may raise."""

    status: int
    lines: bytes
    body: bytes
    first: Callable[[], Any]
    settling: Callable[[], Any]


class _Nobody:
    """Waits for no message, as nobody does here."""

    def set(self) -> None: ...


class Exchange:
    """`began` is when its `head` was there (monotonic clock), `alone` tells that there is no other connection. Once it is taken, `leaving`
    is called when the client leaves, and `ending` when the server does and has no time left."""

    message_event = _Nobody()
    # What the connection, and uvicorn's under it, look at of a request that is being answered.
    disconnected = response_started = response_complete = waiting_for_100_continue = False
    leaving: Callable[[], Any] | None = None
    ending: Callable[[], Any] | None = None
    # Once the answer has left by another thread: what the loop still has to do for it, before it does anything else here.
    settling: Callable[[], Any] | None = None
    # When that was (monotonic clock), and what did not fit into the socket.
    left_at, rest = 0.0, b""

    def __init__(
        self,
        connection: Connection,
        head: Head,
        body: bytes,
        *,
        began: float,
        keep_alive: bool,
        alone: bool,
        default_headers: list[tuple[bytes, bytes]],
    ) -> None:
        # None once the answer is written, or nobody is there for it: it leads here.
        self.connection: Connection | None = connection
        self.began = began
        self.head = head
        self.body = body
        self.keep_alive = keep_alive
        self.alone = alone
        self.default_headers = default_headers

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send the answer, unless the client has left. Names of headers are lower-case. Raises ValueError for a header that is none."""
        self.answer_with(status, answer_lines(headers), body, closing=headers.get("connection") == "close")

    def answer_with(self, status: int, lines: bytes, body: bytes, *, closing: bool) -> bool:
        """The same with the lines of its headers (`answer_lines`), of which one says `closing` where it ends the connection. False where
        somebody else has answered."""
        return self.connection is not None and self.connection.answer(self, status, lines, body, closing=closing)

    def answer_sooner(self, sooner: Sooner) -> bool:
        """The same by another thread than the loop's. False where only the loop can answer it, or has."""
        connection = self.connection
        return connection is not None and connection.answer_sooner(self, sooner)

    def on_response(self) -> None:
        """The connection's, once the loop has done all that there was to do."""
        connection, self.connection = self.connection, None
        # They lead to whoever answers, who leads here; and the connection keeps this until its next request.
        self.leaving = self.ending = self.settling = None
        self.body = self.rest = b""
        if connection is not None:
            connection.on_response_complete()
