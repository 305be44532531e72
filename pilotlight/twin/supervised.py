"""An emulator: a process that is started with what it serves, watched, started again when it dies, never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

from pilotlight.twin.processes import Process

# It takes half a second or one; a machine that is busy with other things gets time.
START_S = 40.0
STOP_S = 5.0
_LOG_LINES = 15


class EmulatorError(Exception):
    """The emulator does not start or does not answer; the message holds the end of its log."""


class Supervised:
    """What every emulator has in common; `spawn` and `answers` are what one adds. Belongs to the twin's loop."""

    # As errors call it.
    name: str

    def __init__(self) -> None:
        self.starts = 0
        self.lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self._lock = asyncio.Lock()

    async def spawn(self) -> Process:
        """A new process, whose output goes to `lines`. EmulatorError where there can be none."""
        raise NotImplementedError

    async def answers(self) -> bool:
        """Whether it is ready to be asked."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process and self._process.running else None

    async def start(self) -> None:
        """Start and wait until it answers; EmulatorError after START_S."""
        await self.revive()
        self._watcher = asyncio.create_task(self._watch(), name=f"{self.name} watch")

    async def stop(self) -> None:
        """End it: politely, then by force."""
        self._stopping = True
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        if self._process:
            await self._process.stop(STOP_S)

    async def revive(self) -> None:
        """Make sure that it runs and answers: called where a request could not reach it."""
        async with self._lock:
            if self._stopping:
                raise EmulatorError("The twin is stopping.")
            # One that was killed seems to run for a moment more.
            for _ in range(2):
                if self.pid is None:
                    self.starts += 1
                    self._process = await self.spawn()
                if await self._comes_up():
                    return
            tail = "\n".join(self.lines) or "(it printed nothing)"
            raise EmulatorError(f"{self.name} did not answer within {START_S:.0f} s. The end of its log:\n{tail}")

    async def _watch(self) -> None:
        while not self._stopping:
            if self._process:
                await self._process.wait()
            if not self._stopping:
                # Should it not come up, the next request tries again and tells its caller.
                with contextlib.suppress(EmulatorError):
                    await self.revive()
                await asyncio.sleep(0.5)

    async def _comes_up(self) -> bool:
        """Whether it answers in time; no as soon as it has ended."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.pid is not None:
            if await self.answers():
                return True
            await asyncio.sleep(0.05)
        return False
