"""Workers that start when they are needed, serve one request at a time, and stop when nobody needs them."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from pilotlight.twin.timers import Timer, Timers


class Worker(Protocol):
    """One instance. `usable` turns False for good once its process has ended or must not be used again."""

    @property
    def usable(self) -> bool: ...

    async def stop(self) -> None: ...


# So that a timer never fires a moment before the term is over.
EXPIRY_SLACK_S = 0.01
W = TypeVar("W", bound=Worker)


class Pool(Generic[W]):
    """`start(provisioned)` makes a ready worker or raises; `keep_warm_s()`, seconds of the twin's clock, is asked
    again whenever a worker falls idle.

    Every method runs in one loop. The most recently used worker is taken first, so that the others can fall idle and stop.
    A request that finds none idle has one started, unless one starts already that nobody waits for any more, and takes whichever is
    free first: the new one, or one that is given back. So there are never more than there were requests at once.
    """

    def __init__(self, start: Callable[[bool], Awaitable[W]], keep_warm_s: Callable[[], float], timers: Timers) -> None:
        self._start = start
        self._timers = timers
        self._keep_warm_s = keep_warm_s
        self._idle: list[tuple[float, W]] = []
        self._busy: set[W] = set()
        self._fresh: set[W] = set()
        self._waiting: collections.deque[asyncio.Future[W]] = collections.deque()
        self._starting = 0
        self._starting_for_waiters = 0
        self._floor = 0
        self._closed = False
        self._quiet = asyncio.Event()
        self._timer: Timer | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def size(self) -> int:
        """Workers that run or start."""
        return len(self._idle) + len(self._busy) + self._starting

    @property
    def idle(self) -> int:
        """Workers that wait for a request."""
        return sum(worker.usable for _, worker in self._idle)

    @property
    def busy(self) -> int:
        return len(self._busy)

    @property
    def ready(self) -> int:
        """Workers that are initialised, whether they wait or serve."""
        return self.idle + self.busy

    @property
    def spilled(self) -> bool | None:
        """Whether more requests are served than there are workers kept ready for them; None where none are."""
        return len(self._busy) > self._floor if self._floor else None

    async def acquire(self) -> tuple[W, bool]:
        """A worker for one request, and whether this is its first. Give it back with `release`. Raises what `start` raises."""
        while self._idle:
            _, worker = self._idle.pop()
            if worker.usable:
                self._busy.add(worker)
                return worker, self._first_use(worker)
            self._background(worker.stop())
        waiter: asyncio.Future[W] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._unserved > self._starting_for_waiters:
            self._starting_for_waiters += 1
            self._background(self._start_for_waiters())
        try:
            worker = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        return worker, self._first_use(worker)

    def release(self, worker: W) -> None:
        """Back from `acquire`. A worker that is no longer usable, or whose pool was drained, stops."""
        self._busy.discard(worker)
        if worker.usable and self._hand(worker):
            return
        if self._closed or not worker.usable:
            self._background(worker.stop())
            if not self._closed and self.size < self._floor:
                self._background(self._fill())
        else:
            self._rest(worker)
        self._settle()

    async def set_floor(self, count: int) -> None:
        """Keep at least `count` workers ready; returns when they are, and those that nobody needs any more have stopped.

        Raises what `start` raises.
        """
        lowered, self._floor = count < self._floor, count
        if lowered:
            await asyncio.shield(self._background(self._expire()))
        await self._fill()

    async def grow(self, count: int) -> None:
        """Start workers until `count` run or start, and let them wait for requests. Raises what `start` raises."""
        for _ in range(count - self.size):
            await self._started(False, self._offer)

    async def drain(self) -> None:
        """Stop idle workers now and busy ones as soon as they are given back; returns when none is left."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(worker.stop() for _, worker in idle))
        self._settle()
        await self._quiet.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def end(self, grace_s: float) -> None:
        """`drain`, and after `grace_s` seconds `kill`."""
        try:
            async with asyncio.timeout(grace_s):
                await self.drain()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Stop everything, busy or not."""
        self._closed = True
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(RuntimeError("The workers were stopped while a request waited for one."))
        workers = [worker for _, worker in self._idle] + list(self._busy)
        self._idle = []
        await asyncio.gather(*(worker.stop() for worker in workers))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def adopt(self, worker: W) -> None:
        """Take over a worker that was started outside, as idle."""
        self._rest(worker)

    @property
    def _unserved(self) -> int:
        """Requests that wait for a worker."""
        return sum(not waiter.done() for waiter in self._waiting)

    def _first_use(self, worker: W) -> bool:
        first = worker in self._fresh
        self._fresh.discard(worker)
        return first

    def _hand(self, worker: W) -> bool:
        """Give a free worker to the request that has waited longest; False when none waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._busy.add(worker)
                waiter.set_result(worker)
                return True
        return False

    def _offer(self, worker: W) -> None:
        """A new worker: to a request that waits, else idle; after a drain it is not needed any more."""
        self._fresh.add(worker)
        if self._hand(worker):
            return
        if self._closed:
            self._fresh.discard(worker)
            self._background(worker.stop())
        else:
            self._rest(worker)

    async def _start_for_waiters(self) -> None:
        """One more worker. That it can't be started is told to the request that has waited longest, unless all have another one coming."""
        try:
            await self._started(False, self._offer)
        except Exception as error:  # noqa: BLE001  (whatever it is, it belongs to the request, not to this task)
            if self._unserved >= self._starting_for_waiters:
                waiter = next((waiter for waiter in self._waiting if not waiter.done()), None)
                if waiter is not None:
                    self._waiting.remove(waiter)
                    waiter.set_exception(error)
            self._settle()
        finally:
            self._starting_for_waiters -= 1

    async def _started(self, provisioned: bool, take: Callable[[W], None]) -> W:
        """`take` gets the worker while it still counts as starting: a drain must not end between the two."""
        self._starting += 1
        try:
            worker = await self._start(provisioned)
            take(worker)
            return worker
        finally:
            self._starting -= 1
            self._settle()

    async def _fill(self) -> None:
        def take(worker: W) -> None:
            if self._closed:
                self._background(worker.stop())
            else:
                self._rest(worker)

        for entry in [entry for entry in self._idle if not entry[1].usable]:
            self._idle.remove(entry)
            self._background(entry[1].stop())
        missing = 0 if self._closed else self._floor - self.size
        await asyncio.gather(*(self._started(True, take) for _ in range(missing)))

    def _rest(self, worker: W) -> None:
        self._idle.append((self._timers.now(), worker))
        self._look_again()

    def _look_again(self) -> None:
        """One timer for the worker that has been idle longest; set anew where the term has become shorter."""
        if self._closed or not self._idle:
            return
        when = self._idle[0][0] + self._keep_warm_s() + EXPIRY_SLACK_S
        if self._timer is not None and self._timer.due > when:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._timers.at(when, self._time_is_up)

    async def _time_is_up(self, due: float) -> None:
        self._timer = None
        if not self._closed:
            await asyncio.shield(self._background(self._expire()))

    async def _expire(self) -> None:
        """Stop the workers that have been idle too long, the longest idle first, down to the floor."""
        limit = self._timers.now() - self._keep_warm_s()
        spare = max(0, self.size - self._floor)
        expired = [entry for entry in self._idle if entry[0] <= limit or not entry[1].usable][:spare]
        self._idle = [entry for entry in self._idle if entry not in expired]
        if len(self._idle) > self._floor:
            self._look_again()
        await asyncio.gather(*(worker.stop() for _, worker in expired))

    def _settle(self) -> None:
        if self._closed and not self._busy and not self._starting and not any(not waiter.done() for waiter in self._waiting):
            self._quiet.set()

    def _background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a provisioned worker that does not start is tried again by whoever set the floor
