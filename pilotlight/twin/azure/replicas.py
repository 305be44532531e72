"""The replicas of one revision: as many as its scale asks for, started and stopped as that changes, and handed to requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pilotlight.twin.azure.apps_revision import Revision
from pilotlight.twin.azure.replica import Replica, ReplicaFailed
from pilotlight.twin.azure.scale_rules import CronRule, HttpRule, QueueRule, Rule
from pilotlight.twin.azure.scaling import HTTP_S, Reading, Scaler
from pilotlight.twin.timers import Timer, Timers

# Kubernetes documentation, "Pod lifecycle", how containers are started again: after 10 s, then twice as long, five minutes at the most;
# and counted anew once one has run for ten minutes.
BACK_OFF_S, MOST_BACK_OFF_S, SOUND_S = 10.0, 300.0, 600.0
# What a request counts for that took no time.
_ANY = 1e-6
_LOG = logging.getLogger(__name__)


class Gone(Exception):
    """The revision was taken away while a request waited for a replica."""


class Traffic:
    """Requests under way, as a mean over a span of time."""

    def __init__(self) -> None:
        self._under_way = 0
        self._area = 0.0
        self._last = 0.0
        # When the first request came since the mean was taken; None where there was none.
        self.since: float | None = None

    def change(self, by: int, now: float) -> None:
        """So many more, or fewer, from now on."""
        if self.since is None:
            self.since = self._last = now
        self._area += self._under_way * (now - self._last)
        self._under_way, self._last = self._under_way + by, now

    def taken(self, now: float) -> float:
        """The mean since the first request; above zero where there was any at all."""
        if self.since is None:
            return 0.0
        self.change(0, now)
        mean = self._area / (now - self.since) if now > self.since else float(self._under_way)
        self._area, self.since = 0.0, now if self._under_way else None
        return max(mean, _ANY)


class Replicas:
    """`start` makes a replica that takes requests, or raises ReplicaFailed; `length` tells a queue's. Every method runs in one loop."""

    def __init__(
        self,
        revision: Revision,
        start: Callable[[Callable[[Replica], None]], Awaitable[Replica]],
        length: Callable[[QueueRule], Awaitable[int]],
        timers: Timers,
    ) -> None:
        now = timers.now()
        self.revision = revision
        self._start = start
        self._length = length
        self._timers = timers
        self._scaler = Scaler(revision.scale, now)
        self._traffic = Traffic()
        self._polled = now
        self._in_window = False
        # When the next step up is due.
        self._step_at: float | None = None
        self._wanted = 0
        self._all: list[Replica] = []
        self._starting = 0
        # Of replicas that ended, or did not start, and that are to be started again: how often that was so.
        self._again: list[int] = []
        self._failure = ReplicaFailed("no replica was started")
        self._waiting: set[asyncio.Future[None]] = set()
        self._back_off_s = 0.0
        self._not_before = 0.0
        self._timer: Timer | None = None
        self._starts: set[asyncio.Task[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def size(self) -> int:
        """Replicas that run or start."""
        return len(self._all) + self._starting

    @property
    def wanted(self) -> int:
        """How many its scale asks for."""
        return self._wanted

    def running(self) -> list[Replica]:
        return list(self._all)

    def restarts(self) -> list[int]:
        """How often each replica was started again, those too that wait for it."""
        return [*(one.restarts for one in self._all), *self._again]

    async def acquire(self) -> Replica:
        """The replica that takes a request: of those that are ready the one with fewest. `release` it. Raises Gone, ReplicaFailed."""
        first = self._traffic.since is None
        self._traffic.change(1, self._timers.now())
        if first:
            self._look_again()
        try:
            while True:
                if self._closed:
                    raise Gone
                if ready := [one for one in self._all if one.ready]:
                    replica = min(ready, key=lambda one: one.requests)
                    replica.requests += 1
                    return replica
                self._wake()
                await self._news()
        except BaseException:
            self._traffic.change(-1, self._timers.now())
            raise

    def release(self, replica: Replica) -> None:
        """Back from `acquire`."""
        replica.requests -= 1
        self._traffic.change(-1, self._timers.now())

    async def ensure(self, count: int) -> None:
        """Have at least so many; returns when they take requests. ReplicaFailed, Gone."""
        self._want(max(count, self._wanted), at_once=True)
        while not self._closed and sum(one.ready for one in self._all) < min(count, self._wanted):
            if not self._starting:
                raise self._failure
            await self._news()
        if self._closed:
            raise Gone
        self._step_at = self._timers.now()
        self._look_again()

    async def stop(self) -> None:
        """End all, each in its time; who waits for one gets Gone."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._tell(Gone())
        for task in self._starts:
            task.cancel()
        gone, self._all = self._all, []
        await asyncio.gather(*(one.stop() for one in gone), *self._starts, *self._tasks, return_exceptions=True)

    async def poll(self, due: float) -> None:
        """Ask the rules and begin what they ask for."""
        now, self._timer = max(due, self._timers.now()), None
        under_way = self._traffic.taken(now)
        readings = [reading for rule in self.revision.rules if (reading := await self._read(rule, now, under_way))]
        in_window = any(isinstance(rule, CronRule) and rule.active(now) for rule in self.revision.rules)
        if self._in_window and not in_window:
            # KEDA, which asks clocks too again and again, found it open when it asked for the last time before now.
            self._scaler.active(max(self._polled, now - self.revision.scale.polling_s))
        self._in_window, self._polled = in_window, now
        wanted = self._scaler.decide(now, self._wanted, readings)
        self._step_at = now + HTTP_S if wanted > self._wanted else None
        self._want(wanted)

    def _wake(self) -> None:
        """A request brings an app from zero that has a rule for requests, and tries again one whose replica failed."""
        if self._wanted == 0 and not any(isinstance(rule, HttpRule) for rule in self.revision.rules):
            raise ReplicaFailed(f"Revision {self.revision.name} is scaled to zero, and has no rule by which requests would bring it back.")
        if not self.size:
            self._want(max(1, self._wanted), at_once=True)

    async def _read(self, rule: Rule, now: float, under_way: float) -> Reading | None:
        if isinstance(rule, HttpRule):
            return Reading(value=under_way, target=rule.requests)
        if isinstance(rule, QueueRule):
            return Reading(value=await self._length(rule), target=rule.length)
        if isinstance(rule, CronRule):
            return Reading(value=rule.replicas if rule.active(now) else 0)
        return None

    def _want(self, count: int, *, at_once: bool = False) -> None:
        """Start what is missing, and stop what is too much. `at_once`: also where the last one has just failed."""
        self._wanted = count
        if self._closed:
            return
        del self._again[max(0, count - len(self._all)) :]
        if at_once:
            self._not_before = 0.0
        if self._timers.now() >= self._not_before:
            for _ in range(count - self.size):
                self._starting += 1
                self._background(self._started(), self._starts)
        for _ in range(min(self.size - count, len(self._all))):
            surplus = min(self._all, key=lambda one: one.requests)
            self._all.remove(surplus)
            self._background(surplus.stop())
        self._look_again()

    async def _started(self) -> None:
        restarts = self._again.pop(0) if self._again else 0
        try:
            replica = await self._start(self._ended)
        except Exception as error:  # noqa: BLE001 (whatever it is, those that wait must hear of it)
            if not isinstance(error, ReplicaFailed):
                _LOG.exception("a replica of %s did not start", self.revision.name)
            self._starting -= 1
            self._again.append(restarts + 1)
            self._failed(error if isinstance(error, ReplicaFailed) else ReplicaFailed(str(error)))
            return
        except BaseException:
            self._starting -= 1
            raise
        self._starting -= 1
        replica.restarts = restarts
        self._all.append(replica)
        self._tell()
        self._want(self._wanted)

    def _failed(self, failed: ReplicaFailed) -> None:
        _LOG.warning("%s", failed)
        self._failure = failed
        self._back_off()
        if not self._starting:
            self._tell(failed)

    def _ended(self, replica: Replica) -> None:
        """One that ended by itself: another takes its place, later where they end again and again."""
        if replica not in self._all:
            return
        self._all.remove(replica)
        self._again.append(replica.restarts + 1)
        self._background(replica.stop())
        if time.monotonic() - replica.since > SOUND_S:
            self._back_off_s = 0.0
        # The first is started again at once.
        if self._back_off_s:
            self._back_off()
        else:
            self._back_off_s = BACK_OFF_S / 2
        self._want(self._wanted)

    def _back_off(self) -> None:
        self._back_off_s = min(max(2 * self._back_off_s, BACK_OFF_S), MOST_BACK_OFF_S)
        self._not_before = self._timers.now() + self._back_off_s
        self._look_again()

    def _look_again(self) -> None:
        """One timer, for when the rules are asked next."""
        due = self._next() if not self._closed else None
        if self._timer is not None:
            if self._timer.due == due:
                return
            self._timer.cancel()
        self._timer = None if due is None else self._timers.at(due, self.poll)

    def _next(self) -> float | None:
        """When something may change; None where nothing can but by a request."""
        now, scale, rules = self._timers.now(), self.revision.scale, self.revision.rules
        due = [self._step_at] if self._step_at is not None else []
        if any(isinstance(rule, QueueRule) for rule in rules):
            due.append(self._polled + scale.polling_s)
        if any(isinstance(rule, HttpRule) for rule in rules) and self._traffic.since is not None:
            due.append(self._traffic.since + HTTP_S)
        due += [self._noticed(change) for rule in rules if isinstance(rule, CronRule) and (change := rule.next_change(self._polled))]
        if self._not_before > now and self.size < self._wanted:
            due.append(self._not_before)
        if self._wanted > scale.low:
            if scale.low == 0:
                due.append(self._scaler.zero_at())
            if self._wanted > max(scale.low, 1) and (lower := self._scaler.lower_at()) is not None:
                due.append(lower)
        return min(due, default=None)

    def _noticed(self, change: float) -> float:
        """When a change of a clock's rule is seen: KEDA asks again and again, from its last time on."""
        every = self.revision.scale.polling_s
        return self._polled + max(1, -(-(change - self._polled) // every)) * every

    async def _news(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _tell(self, error: Exception | None = None) -> None:
        for waiter in [one for one in self._waiting if not one.done()]:
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def _background(self, work: Coroutine[Any, Any, None], held: set[asyncio.Task[Any]] | None = None) -> None:
        """A fast-forward waits for it."""
        tasks = self._tasks if held is None else held
        task = self._timers.spawn(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
