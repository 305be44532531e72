"""A loop of its own in a thread, as the daemon's is, with the twin's clock: what serves Google's clients, which block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from pilotlight.twin.clock import Clock
from pilotlight.twin.timers import Timers

T = TypeVar("T")


class Loop:
    """`wait` runs a coroutine in it; `forward` moves the clock, and what is due on the way runs."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.wait(self.timers.start())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def forward(self, seconds: float) -> None:
        self.wait(self.timers.forward(self.clock.now() + seconds))

    def close(self) -> None:
        self.wait(self.timers.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
