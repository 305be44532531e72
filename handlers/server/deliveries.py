"""Between the loop and the model's thread: requests and answers go over many at a time, where each alone would wake the other side."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class Deliveries:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._woken = False
        self._waking = False
        self._ends: dict[asyncio.Future[Any], tuple[float, Callable[[], Exception]]] = {}
        self._looks_at = math.inf

    def soon(self, wake: Callable[[], None]) -> None:
        """Wake the model's thread, once for all that the loop has for it in this turn."""
        if not self._waking:
            self._waking = True
            self.loop.call_soon(self._wake, wake)

    def _wake(self, wake: Callable[[], None]) -> None:
        self._waking = False
        wake()

    def awaited(self, done: Future[_T]) -> asyncio.Future[_T]:
        """A future of the loop for one of another thread, which goes on whatever becomes of it."""
        waiting: asyncio.Future[_T] = self.loop.create_future()
        done.add_done_callback(lambda done: self._tell(waiting, done))
        return waiting

    async def within(self, waiting: asyncio.Future[_T], until: float, late: Callable[[], Exception]) -> _T:
        """What it gives; from `until` on (monotonic clock) it raises what `late` makes."""
        self._ends[waiting] = until, late
        if until < self._looks_at:
            self._look_at(until)
        try:
            return await waiting
        finally:
            del self._ends[waiting]

    def _look_at(self, moment: float) -> None:
        """One timer for all that wait, where each of them would begin and cancel its own."""
        self._looks_at = moment
        self.loop.call_later(max(0.0, moment - time.monotonic()), self._look, moment)

    def _look(self, moment: float) -> None:
        if moment != self._looks_at:
            return  # an earlier look, which looks again, has come in between
        now, next_at = time.monotonic(), math.inf
        for waiting, (until, late) in self._ends.items():
            if until > now:
                next_at = min(next_at, until)
            elif not waiting.done():
                waiting.set_exception(late())
        self._looks_at = math.inf
        if next_at < math.inf:
            self._look_at(next_at)

    def _tell(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        """In the thread that is done."""
        self._done.append((waiting, done))
        if not self._woken:
            self._woken = True
            # A loop that is closed has nobody who waits.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        # First: who comes from now on wakes the loop again.
        self._woken = False
        while self._done:
            waiting, done = self._done.popleft()
            if waiting.done():
                continue
            if done.cancelled():
                waiting.cancel()
            elif (error := done.exception()) is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result())
