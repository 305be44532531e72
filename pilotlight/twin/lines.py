"""Lines of a pipe, read by the event loop, or at once when somebody needs what was written until now."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

CHUNK = 65536
DRAIN_CHUNKS = 64
# CloudWatch Logs cuts an event at 256 KiB; a longer line is handed on in pieces.
LONGEST = 256 * 1024


class LineReader:
    """Owns the read end of a pipe. Bytes that are no UTF-8 arrive as replacement characters."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, on_line: Callable[[str], None]) -> None:
        self._loop = loop
        self._descriptor: int | None = descriptor
        self._on_line = on_line
        self._rest = b""
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._read_one)

    def drain(self) -> None:
        """Read until the pipe is empty, or until a writer that never stops has filled it several times over."""
        for _ in range(DRAIN_CHUNKS):
            if not self._read_one():
                return

    def close(self) -> None:
        if self._descriptor is None:
            return
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        if self._rest:
            self._emit(self._rest)
            self._rest = b""

    def _read_one(self) -> bool:
        if self._descriptor is None:
            return False
        try:
            chunk = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self.close()
            return False
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._emit(line)
        while len(self._rest) > LONGEST:
            self._emit(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]
        return True

    def _emit(self, line: bytes) -> None:
        self._on_line(line.rstrip(b"\r").decode(errors="replace"))
