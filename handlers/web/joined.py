"""A transport of asyncio's under the HTTP server, with fewer calls of the system."""

import asyncio
import sys
from typing import Any

_MOST_HELD_BYTES = 16_384
# Below the 128 KB from which on glibc maps memory for each piece ("mallopt", M_MMAP_THRESHOLD).
_READ_BYTES = 65_536


class Joined:
    """A transport that sends what is written within one turn of the loop as one: head and body of an answer are written apart. Its protocol
    tells whether more of a request is `unread`: such a connection lingers (lingering.py) where another one is closed."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        # asyncio's own reads into 256 KB, which malloc asks the system for and gives back each time; this is no part of its interface.
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES
        self._loop = loop
        self._held: list[bytes] = []
        self.unread = False
        # Asked more often than what __getattr__ hands on.
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        # What is long is not held, so that whoever writes is told when the client does not read.
        if len(data) > _MOST_HELD_BYTES:
            self._send()

    def write_now(self, data: bytes) -> None:
        """What is whole waits for nothing."""
        if self._held:
            self._held.append(data)
            self._send()
        else:
            self._transport.write(data)

    def is_clear(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._held and not self._transport.get_write_buffer_size()

    def unsent(self) -> int:
        """How many bytes the client has not taken of what waits here to be sent, nothing where all has left: with those that wait in the
        system, which hears of each that is taken, where this side hears only once there is much room."""
        if not (held := self._transport.get_write_buffer_size()):
            return 0
        import fcntl
        import termios

        told = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return held + int.from_bytes(told, sys.byteorder)

    def close(self) -> None:
        # Who reads no more has not read what waits in the system either.
        if not self.is_closing() and (self.unread or not self._transport.is_reading()):
            self.linger()
        else:
            self._send()
            self._transport.close()

    def linger(self) -> None:
        """Close it behind what its client still sends; for its protocol that is the end of the connection."""
        from handlers.web.lingering import Left, Lingering

        self._send()
        protocol: Any = self._transport.get_protocol()
        Lingering(self._transport, self._loop, protocol.connections, leaving=protocol.leaving)
        self._transport = Left()
        self.is_closing = self._transport.is_closing
        # As soon as asyncio's own tells it.
        self._loop.call_soon(protocol.connection_lost, None)

    def _send(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()
