"""A short request that came whole, and its answer: what most requests are, without the objects and the task that ASGI has for each."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from handlers.web.heads import Head

# Head and body together. What is longer goes ASGI's way, where it does not matter.
SHORT_BYTES = 32_768
# Begins to answer, or says False and has done nothing: then the request goes ASGI's way.
Take = Callable[["Exchange"], bool]


class Connection(Protocol):
    """What it came on (protocol.py, which imports this)."""

    def answer(self, cycle: Any, status: int, headers: Mapping[str, str], body: bytes) -> bool: ...
    def on_response_complete(self) -> None: ...


class _Nobody:
    """Waits for no message, as nobody does here."""

    def set(self) -> None: ...


class Exchange:
    """`began` is when its `head` was there (monotonic clock), `alone` tells that there is no other connection. Once it is taken, `leaving`
    is called when the client leaves, and `ending` when the server does and has no time left."""

    __slots__ = (
        "alone",
        "began",
        "body",
        "connection",
        "default_headers",
        "disconnected",
        "ending",
        "head",
        "keep_alive",
        "leaving",
        "response_complete",
        "response_started",
        "waiting_for_100_continue",
    )
    message_event = _Nobody()

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
        self.leaving: Callable[[], Any] | None = None
        self.ending: Callable[[], Any] | None = None
        # What the protocol, and uvicorn's under it, look at of a request that is being answered.
        self.keep_alive = keep_alive
        self.alone = alone
        self.default_headers = default_headers
        self.disconnected = self.response_started = self.response_complete = self.waiting_for_100_continue = False

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send the answer, unless the client has left. Names of headers are lower-case. Raises ValueError for a header that is none."""
        if self.connection is not None:
            self.connection.answer(self, status, headers, body)

    def on_response(self) -> None:
        """The protocol's, once the answer is written."""
        connection, self.connection = self.connection, None
        # They lead to whoever answers, who leads here; and the connection keeps this until its next request.
        self.leaving = self.ending = None
        self.body = b""
        if connection is not None:
            connection.on_response_complete()
