"""Between the loop and the model's thread: requests and answers go over many at a time, where each alone would wake the other side."""

import asyncio
import functools
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from handlers.server.outcome import Outcome

_T = TypeVar("_T")


class Deliveries:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._woken = False
        self._waking = False
        self._ends: dict[object, tuple[float, Callable[[], None]]] = {}
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
        done.add_done_callback(functools.partial(self._tell, functools.partial(_settle, waiting)))
        return waiting

    def outcome(self, told: Callable[[Outcome], None], sooner: Callable[[Outcome], bool] | None = None) -> Outcome:
        """One that the loop is told of once another thread has ended it, unless that thread does `sooner` what there is to do, and says so.
        `told` must not raise."""
        if sooner is None:
            return Outcome(functools.partial(self._tell, told))
        return Outcome(functools.partial(self._tell_unless, sooner, told))

    async def within(self, waiting: asyncio.Future[_T], until: float, late: Callable[[], Exception]) -> _T:
        """What it gives; from `until` on (monotonic clock) it raises what `late` makes."""
        self.watch(waiting, until, functools.partial(_fail, waiting, late))
        try:
            return await waiting
        finally:
            self.forget(waiting)

    def watch(self, key: object, until: float, late: Callable[[], Any]) -> None:
        """Call this once it is too late, unless the key is forgotten before; it must not raise."""
        self._ends[key] = until, late
        if until < self._looks_at:
            self._look_at(until)

    def forget(self, key: object) -> None:
        """It is over."""
        self._ends.pop(key, None)

    def _look_at(self, moment: float) -> None:
        """One timer for all that wait, where each of them would begin and cancel its own."""
        self._looks_at = moment
        self.loop.call_later(max(0.0, moment - time.monotonic()), self._look, moment)

    def _look(self, moment: float) -> None:
        if moment != self._looks_at:
            return  # an earlier look, which looks again, has come in between
        now = time.monotonic()
        late = [told for until, told in self._ends.values() if until <= now]
        next_at = min((until for until, _ in self._ends.values() if until > now), default=math.inf)
        # First: whatever becomes of those who are told, the next are.
        self._looks_at = math.inf
        if next_at < math.inf:
            self._look_at(next_at)
        for told in late:
            self._call(told)

    def _tell(self, told: Callable[[Any], None], done: Any) -> None:
        """In the thread that is done."""
        self._done.append((told, done))
        if not self._woken:
            self._woken = True
            # A loop that is closed has nobody who waits.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._hand_over)

    def _tell_unless(self, sooner: Callable[[Outcome], bool], told: Callable[[Outcome], None], done: Outcome) -> None:
        try:
            if sooner(done):
                return
        except Exception as error:  # noqa: BLE001  (told by the loop, as of its own callbacks)
            self._tell(_raise, error)
        self._tell(told, done)

    def _hand_over(self) -> None:
        # First: who comes from now on wakes the loop again.
        self._woken = False
        while self._done:
            told, done = self._done.popleft()
            self._call(told, done)

    def _call(self, told: Callable[..., Any], *arguments: Any) -> None:
        """One of many: who raises (a log that can't be written, say) keeps the others from nothing."""
        try:
            told(*arguments)
        except Exception as error:  # noqa: BLE001  (told as asyncio tells of a callback's)
            self.loop.call_exception_handler({"message": "Whoever was told of a prediction failed.", "exception": error})


def _raise(error: Exception) -> NoReturn:
    raise error


def _fail(waiting: asyncio.Future[Any], late: Callable[[], Exception]) -> None:
    if not waiting.done():
        waiting.set_exception(late())


def _settle(waiting: asyncio.Future[Any], done: Future[Any]) -> None:
    if waiting.done():
        return
    if done.cancelled():
        waiting.cancel()
    elif (error := done.exception()) is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(done.result())
