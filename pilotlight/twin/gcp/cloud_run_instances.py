"""The instances of one revision: started when requests need them, several requests in each, stopped when nobody needs them."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pilotlight.twin.gcp.cloud_run_load import LOOK_S, Load
from pilotlight.twin.gcp.cloud_run_revision import Instance, Revision
from pilotlight.twin.timers import Timer, Timers

# Cloud Run documentation, "About instance autoscaling": where no instance can be added, a request waits for ten seconds
# (or 3.5 starts, if that is longer).
QUEUE_S = 10.0
_LOG = logging.getLogger(__name__)


class TooMany(Exception):
    """Every instance that there may be is full."""


class Gone(Exception):
    """The instances were stopped while a request waited for one."""


class Instances:
    """`start` makes a ready instance or raises. Every method runs in one loop.

    The instance with most under way is filled first, so that the others can fall idle and stop. A request that finds no room has an
    instance started, and goes wherever there is room first. Where the revision has a target, others are started before that, nobody
    waiting for them.
    """

    def __init__(self, revision: Revision, start: Callable[[], Awaitable[Instance]], timers: Timers) -> None:
        self.revision = revision
        self._start = start
        self._timers = timers
        self._all: list[Instance] = []
        self._ending: list[Instance] = []
        self._waiting: collections.deque[asyncio.Future[Instance]] = collections.deque()
        self._starting = 0
        self._floor = 0
        self._closed = False
        self._timer: Timer | None = None
        self._load, self._looking = Load(timers.now), False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._quiet = asyncio.Event()

    @property
    def size(self) -> int:
        """Instances that run or start."""
        return sum(one.usable for one in self._all) + self._starting

    async def acquire(self) -> Instance:
        """An instance for one request. Give it back with `release`. Raises TooMany, Gone, and what `start` raises."""
        for one in [one for one in self._all if not one.usable and not one.requests]:
            self._drop(one)
        free = [one for one in self._all if one.free]
        if free:
            return self._taken(max(free, key=lambda one: one.requests))
        waiter: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._more()
        try:
            return await self._waited(waiter)
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise

    def release(self, instance: Instance) -> None:
        """Back from `acquire`. One that has ended is forgotten."""
        instance.requests -= 1
        self._loaded()
        instance.idle_since = self._timers.now()
        if not instance.usable:
            self._drop(instance)
        self._hand()
        self._look_again()
        self._settle()

    async def set_floor(self, count: int) -> None:
        """Keep at least `count` instances; returns when they are ready. Raises what `start` raises."""
        self._floor = count
        self._look_again()
        await self.grow(count)

    async def grow(self, count: int) -> None:
        """Start instances until `count` run or start; returns when they are ready. Raises what `start` raises."""
        missing = 0 if self._closed else min(count, max(self.revision.max_instances, self._floor)) - self.size
        # Tasks of its own, which `stop` waits for: who asked for them may not.
        results = await asyncio.gather(*(self._background(self._started()) for _ in range(missing)), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def drain(self) -> None:
        """Stop as soon as nothing is under way or waits; returns when none is left."""
        self._closed = True
        self._settle()
        await self._quiet.wait()
        await self.stop()

    async def stop(self) -> None:
        """Stop everything, busy or not; returns when nothing of it runs, also where another call has begun with it."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(Gone())
        await self._end_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # One that was starting when it began.
        await self._end_all()
        self._quiet.set()

    async def _end_all(self) -> None:
        self._ending += self._all
        self._all = []
        await asyncio.gather(*(one.stop() for one in self._ending))

    def _taken(self, instance: Instance) -> Instance:
        instance.requests += 1
        self._loaded()
        return instance

    def _loaded(self) -> None:
        """Tell how much is under way, and look at it again as long as something is."""
        if self.revision.target is None:
            return
        under_way = sum(one.requests for one in self._all)
        self._load.tell(under_way)
        if under_way and not self._looking and not self._closed:
            self._looking = True
            self._timers.at(self._timers.now() + LOOK_S, self._ahead)

    async def _ahead(self, due: float) -> None:
        """Start as many instances as the target wants."""
        self._looking = False
        wanted = self._load.wanted((self.revision.target or 1) * self.revision.requests)
        self._loaded()
        try:
            await self.grow(wanted)
        except Exception as error:  # noqa: BLE001 (nobody waits for them; who finds no room is told)
            _LOG.warning("%s has no further instance: %s", self.revision.name, error)

    async def _waited(self, waiter: asyncio.Future[Instance]) -> Instance:
        while True:
            done, _ = await asyncio.wait([waiter], timeout=QUEUE_S)
            if done:
                return waiter.result()
            if not self._starting:
                self._waiting.remove(waiter)
                raise TooMany

    def _more(self) -> None:
        """Start what the waiting need beyond what starts already, as far as there may be more."""
        waiting = sum(not waiter.done() for waiter in self._waiting)
        if waiting > self._starting * self.revision.requests and self.size < self.revision.max_instances:
            self._background(self._start_for_waiters(self._started()))

    async def _start_for_waiters(self, start: Coroutine[Any, Any, None]) -> None:
        """That it can't be started is told to all that wait: each would have the same answer."""
        try:
            await start
        except Exception as error:  # noqa: BLE001 (whatever it is, it belongs to the requests, not to this task)
            while self._waiting and not self._starting:
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_exception(error)
            self._settle()

    def _started(self) -> Coroutine[Any, Any, None]:
        """One more instance, which counts from now on: the next request may come before its start begins."""
        self._starting += 1
        return self._starts()

    async def _starts(self) -> None:
        try:
            instance = await self._start()
        finally:
            self._starting -= 1
        instance.idle_since, instance.on_ready = self._timers.now(), self._hand
        self._all.append(instance)
        self._hand()
        self._look_again()
        self._settle()

    def _hand(self) -> None:
        """Free places to the requests that have waited longest; a start where there still are some and none is under way."""
        while self._waiting and (free := [one for one in self._all if one.free]):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(self._taken(max(free, key=lambda one: one.requests)))
        self._more()

    def _look_again(self) -> None:
        """One timer, for the instance that has been idle longest."""
        idle = [one.idle_since for one in self._all if not one.requests]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if idle and not self._closed and self.size > self._floor:
            self._timer = self._timers.at(min(idle) + self.revision.idle_s, self._time_is_up)

    async def _time_is_up(self, due: float) -> None:
        idle = [one for one in self._all if not one.requests and one.idle_since + self.revision.idle_s <= self._timers.now()]
        await asyncio.gather(*(self._drop(one) for one in idle[: max(0, self.size - self._floor)]))
        self._look_again()

    def _drop(self, instance: Instance) -> asyncio.Task[Any]:
        if instance in self._all:
            self._all.remove(instance)
        return self._background(instance.stop())

    def _settle(self) -> None:
        if self._closed and not self._starting and not self._waiting and not any(one.requests for one in self._all):
            self._quiet.set()

    def _background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
