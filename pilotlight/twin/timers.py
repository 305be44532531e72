"""What is due at a moment of the twin's clock: run when the moment comes, or one after the other in a fast-forward."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from pilotlight.twin.clock import Clock

# Gets the instant that it was due at; what it returns is told in the report of a fast-forward, None is not worth telling.
Callback = Callable[[float], Awaitable[str | None]]
T = TypeVar("T")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One callback of a fast-forward. `at` is when it was due, in seconds since the epoch; `said` what it answered, or its error."""

    at: float
    name: str
    said: str


class Timer:
    """What `Timers.at` and `Timers.every` give. `cancel` may be called from any thread, and again."""

    def __init__(self, due: float, name: str, callback: Callback, next_after: Callable[[float], float | None] | None) -> None:
        self.due = due
        self.name = name
        self.callback = callback
        self.next_after = next_after
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class _Job:
    """Work that a fast-forward waits for, unless it sleeps on the clock."""

    def __init__(self) -> None:
        self.asleep = 0


_JOB: ContextVar[_Job | None] = ContextVar("job", default=None)


class Timers:
    """Due times on one clock. `at`, `every` and `upcoming` are thread-safe; everything else belongs to the loop that called `start`.

    In real time each callback starts when it is due, whether or not others still run. A fast-forward goes from due time to due time:
    a callback, and all work that was given to `spawn`, has ended or waits for a later moment of the clock before time moves on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._jobs: dict[asyncio.Task[Any], _Job] = {}
        self._ran: list[Ran] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driver: asyncio.Task[None] | None = None
        clock.listen(self._look_again)

    async def start(self) -> None:
        """Run what is due from now on."""
        self._loop = asyncio.get_running_loop()
        self._wake, self._changed, self._moving = asyncio.Event(), asyncio.Event(), asyncio.Lock()
        self._driver = self._loop.create_task(self._drive())

    async def close(self) -> None:
        """Run nothing more, and stop what runs."""
        tasks = [task for task in (self._driver, *self._jobs) if task is not None]
        self._loop = self._driver = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def now(self) -> float:
        """Seconds since the epoch, by the twin's clock."""
        return self._clock.now()

    def at(self, instant: float, callback: Callback, name: str = "") -> Timer:
        """Run `callback` at `instant` (at once where that is past). One without a name is in no report."""
        return self._push(Timer(instant, name, callback, None))

    def every(self, next_after: Callable[[float], float | None], callback: Callback, name: str = "", after: float | None = None) -> Timer:
        """Run `callback` again and again: `next_after(instant)` gives the first due time after an instant, None ends it.

        `after` is where it begins, now by default. ValueError for a due time that is not later than its instant: time could not move on.
        """
        timer = Timer(0.0, name, callback, next_after)
        self._again(timer, self.now() if after is None else after)
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock: in work given to `spawn`, and in callbacks, a fast-forward goes on meanwhile."""
        job, woken = _JOB.get(), asyncio.get_running_loop().create_future()

        async def wake(due: float) -> None:
            if not woken.done():
                self._count(job, -1)
                woken.set_result(None)

        timer = self.at(self.now() + max(0.0, seconds), wake)
        self._count(job, 1)
        try:
            await woken
        except asyncio.CancelledError:
            timer.cancel()
            if not woken.done() or woken.cancelled():
                self._count(job, -1)
            raise

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task whose waits are `sleep`s, so that a fast-forward knows whether it is at work."""
        job = _Job()

        async def owned() -> T:
            _JOB.set(job)
            return await work

        task = asyncio.get_running_loop().create_task(owned())
        self._jobs[task] = job
        task.add_done_callback(self._ended)
        # Cancelled before its first turn, it never ran: closed, Python does not warn of it.
        task.add_done_callback(lambda _: work.close())
        return task

    def upcoming(self, limit: int = 100) -> list[Timer]:
        """The named timers that are due next, the earliest first."""
        with self._lock:
            return [timer for _, _, timer in sorted(self._heap) if timer.name and not timer.cancelled][:limit]

    async def forward(self, until: float) -> list[Ran]:
        """Move the clock to `until` and run everything that is due on the way, in its order; what ran."""
        async with self._moving:
            ran: list[Ran] = []
            self._ran = ran
            try:
                await self._settled()
                while (taken := self._take(until)) is not None:
                    due, timer = taken
                    self._clock.advance(max(0.0, due - self.now()))
                    self.spawn(self._fire(timer, due))
                    await self._settled()
                self._clock.advance(max(0.0, until - self.now()))
            finally:
                self._ran = None
            return ran

    async def _drive(self) -> None:
        while True:
            async with self._moving:
                self._wake.clear()
                while (taken := self._take(self.now())) is not None:
                    self.spawn(self._fire(taken[1], taken[0]))
                    # Where a fast clock has more due than this machine gets done, everything else still has its turn.
                    await asyncio.sleep(0)
            try:
                # Not wait_for: Python 3.11's loses a cancellation that comes while what it waits for ends, and `close` would wait forever.
                async with asyncio.timeout(self._real_wait_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _real_wait_s(self) -> float | None:
        """Seconds of the machine until the next due time; None: as long as nothing changes."""
        with self._lock:
            due = self._heap[0][0] if self._heap else None
        speed = self._clock.speed
        return None if due is None or speed == 0 else max(0.0, due - self.now()) / speed + 0.001

    async def _fire(self, timer: Timer, due: float) -> None:
        try:
            said = await timer.callback(due)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other timers go on)
            _LOG.exception("%s, due at %.0f", timer.name or "a timer", due)
            said = f"failed: {error}"
        if timer.name and said is not None and self._ran is not None:
            self._ran.append(Ran(at=due, name=timer.name, said=said))

    def _push(self, timer: Timer) -> Timer:
        with self._lock:
            heapq.heappush(self._heap, (timer.due, next(self._numbers), timer))
        self._look_again()
        return timer

    def _take(self, until: float) -> tuple[float, Timer] | None:
        """The earliest timer that is due by `until`, with its due time; a recurring one is due again after it."""
        while True:
            with self._lock:
                if not self._heap or self._heap[0][0] > until:
                    return None
                due, _, timer = heapq.heappop(self._heap)
            if not timer.cancelled:
                if timer.next_after is not None:
                    self._again(timer, due)
                return due, timer

    def _again(self, timer: Timer, after: float) -> None:
        assert timer.next_after is not None
        due = timer.next_after(after)
        if due is None:
            return
        if due <= after:
            raise ValueError(f"timers: {timer.name or 'a timer'} is due at {due} after {after}: it must be later.")
        timer.due = due
        self._push(timer)

    async def _settled(self) -> None:
        """Wait until no work is under way but such as sleeps on the clock."""
        while any(not job.asleep for job in self._jobs.values()):
            self._changed.clear()
            await self._changed.wait()

    def _count(self, job: _Job | None, change: int) -> None:
        if job is not None:
            job.asleep += change
            self._changed.set()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._jobs[task]
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("work on the clock failed", exc_info=error)

    def _look_again(self) -> None:
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._wake.set)
