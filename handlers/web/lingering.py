"""The end of a connection whose client may still send: it is answered, heard for a while, and closed only then (RFC 9112, section 9.6).

What comes on a socket that is closed is answered with a reset, which takes an answer that nobody has read yet out of its client's hands.
"""

import asyncio
from contextlib import suppress
from typing import Any

# Of what is thrown away: enough for a body that somebody sends without looking up, and nothing that anybody waits for.
_MOST_BYTES = 33_554_432
_MOST_S = 5.0
# Of a server that leaves, which waits for its connections.
_MOST_LEAVING_S = 0.5
# Of an answer that is not read, which to close would wait for.
_MOST_UNREAD_S = 30.0


class Lingering(asyncio.Protocol):
    """Has a connection from its last answer to its end: when its client closes it, after so many seconds or so many bytes. Nothing of what
    comes is kept. It is one of the server's `connections` until then."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, connections: set[Any], *, leaving: bool) -> None:
        self._transport = transport
        self._left_bytes = _MOST_BYTES
        self._connections = connections
        self._ending = loop.call_later(_MOST_LEAVING_S if leaving else _MOST_S, self._end)
        self._loop = loop
        connections.add(self)
        transport.set_protocol(self)
        # Its client may be gone already, of which the transport tells in the loop's next turn.
        with suppress(OSError):
            if transport.can_write_eof():
                # Tells the client that this is all, once it has the answer.
                transport.write_eof()
        # It may have been paused before what is read by nobody now.
        transport.resume_reading()

    def _end(self) -> None:
        self._transport.close()
        # Nothing where the connection is gone by then.
        self._ending = self._loop.call_later(_MOST_UNREAD_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending.cancel()
        self._connections.discard(self)

    def shutdown(self) -> None:
        """The server leaves (uvicorn's, of every connection)."""
        self._transport.close()


class Left(asyncio.Transport):
    """What a protocol has of a transport that is another one's by now: an end of which nothing comes back, and where nothing arrives."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...
