"""Answers on their way from the model's thread to the loop: many at a time, where one after the other would wake it for each."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class Deliveries:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._woken = False

    def awaited(self, done: Future[_T]) -> asyncio.Future[_T]:
        """A future of the loop for one of another thread. Cancelled, it cancels that one."""
        waiting: asyncio.Future[_T] = self.loop.create_future()
        done.add_done_callback(lambda done: self._tell(waiting, done))
        waiting.add_done_callback(lambda waiting: done.cancel() if waiting.cancelled() else None)
        return waiting

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
