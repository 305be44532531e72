"""Due times on the twin's clock, in real time and in fast-forward."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pilotlight.twin.clock import Clock
from pilotlight.twin.timers import Timers

DAY_S = 24 * 3600.0


def run(work: Callable[[Timers, Clock], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        clock = Clock()
        timers = Timers(clock)
        await timers.start()
        try:
            async with asyncio.timeout(10):
                return await work(timers, clock)
        finally:
            await timers.close()

    return asyncio.run(main())


def noting(seen: list[Any], what: Any = None) -> Callable[[float], Awaitable[str | None]]:
    async def callback(due: float) -> str | None:
        seen.append(due if what is None else what)
        return "ran"

    return callback


@pytest.mark.parametrize("turns", range(6))
def test_it_closes_at_any_turn_of_what_wakes_it(turns: int) -> None:
    """Python 3.11's `wait_for` loses a cancellation that comes in one of the turns between the wake and who waited for it."""

    async def work() -> None:
        timers = Timers(Clock())
        timers.at(timers.now() + 1000, noting([]))
        await timers.start()
        await asyncio.sleep(0.01)
        timers.at(timers.now() + 100, noting([]))
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await timers.close()

    asyncio.run(work())


def test_more_due_than_gets_done_leaves_the_loop_to_others() -> None:
    async def work() -> None:
        timers = Timers(Clock(speed=1e9))
        await timers.start()
        timers.every(lambda instant: instant + 0.001, noting([]))
        async with asyncio.timeout(5):
            await asyncio.sleep(0.05)
            await timers.close()

    asyncio.run(work())


def test_a_callback_runs_when_its_moment_comes_and_gets_it() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[float] = []
        due = clock.now() + 0.05
        timers.at(due, noting(seen))
        await asyncio.sleep(0.02)
        assert seen == []
        await asyncio.sleep(0.1)
        assert seen == [due]

    run(work)


def test_in_real_time_a_slow_callback_holds_up_no_other() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[str] = []

        async def slow(due: float) -> None:
            await asyncio.sleep(5)
            seen.append("slow")

        timers.at(clock.now(), slow)
        timers.at(clock.now() + 0.01, noting(seen, "quick"))
        await asyncio.sleep(0.1)
        assert seen == ["quick"]

    run(work)


def test_a_day_of_minutes_runs_in_order_in_seconds() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[float] = []
        start = clock.now()
        timers.every(lambda after: start + ((after - start) // 60 + 1) * 60, noting(seen), "each minute")
        timers.at(start + 3600, noting(seen, -1.0), "once")
        began = time.monotonic()
        ran = await timers.forward(start + DAY_S)
        assert time.monotonic() - began < 5
        assert len(ran) == 1441
        assert [one.at for one in ran] == sorted(one.at for one in ran)
        assert {one.name for one in ran} == {"each minute", "once"}
        assert 0 <= clock.now() - (start + DAY_S) < 5

    run(work)


def test_time_stands_at_the_due_instant_until_the_callback_has_ended() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[Any] = []
        start = clock.now()

        async def slow(due: float) -> str:
            await asyncio.sleep(0.05)
            seen.append(("slow", clock.now() - start < 101))
            return "done"

        timers.at(start + 100, slow, "slow")
        timers.at(start + 200, noting(seen, "next"))
        timers.at(start + 300, _nothing_to_tell, "quiet")
        ran = await timers.forward(start + 1000)
        assert seen == [("slow", True), "next"]
        assert [(one.name, one.said) for one in ran] == [("slow", "done")]

    run(work)


def test_work_that_sleeps_on_the_clock_goes_on_in_a_fast_forward() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[Any] = []
        start = clock.now()

        async def retries() -> None:
            for wait in (60, 120):
                await timers.sleep(wait)
                await asyncio.sleep(0.01)
                seen.append(round(clock.now() - start))

        async def twice(due: float) -> None:
            await asyncio.gather(retries(), retries())

        timers.spawn(retries())
        timers.at(start + 1000, twice)
        await timers.forward(start + 3600)
        assert seen == [60, 180, 1060, 1060, 1180, 1180]

    run(work)


def test_a_cancelled_sleep_leaves_nothing_that_a_fast_forward_waits_for() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        task = timers.spawn(timers.sleep(50))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await timers.forward(clock.now() + 100)

    run(work)


def test_a_callback_that_fails_is_told_and_stops_nothing() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        async def broken(due: float) -> str:
            raise OSError("no such thing")

        start, seen = clock.now(), []  # type: float, list[Any]
        timers.at(start + 1, broken, "broken")
        timers.at(start + 2, noting(seen, "next"))
        ran = await timers.forward(start + 3)
        assert [(one.name, one.said) for one in ran] == [("broken", "failed: no such thing")]
        assert seen == ["next"]

    run(work)


def test_a_cancelled_timer_does_not_run_and_an_ended_recurrence_neither() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        start, seen = clock.now(), []  # type: float, list[Any]
        timers.at(start + 1, noting(seen)).cancel()
        timers.every(lambda after: start + 10 if after < start + 10 else None, noting(seen, "ten"), "ten")
        again = timers.every(lambda after: after + 5, noting(seen, "five"), "five")
        assert [timer.name for timer in timers.upcoming()] == ["five", "ten"]
        timers.at(start + 22, lambda due: _cancel(again))
        await timers.forward(start + 100)
        assert seen == ["five", "ten", "five", "five", "five"]
        assert timers.upcoming() == []

    run(work)


async def _nothing_to_tell(due: float) -> None:
    pass


async def _cancel(timer: Any) -> None:
    timer.cancel()


def test_time_that_could_not_move_on_is_refused() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        with pytest.raises(ValueError, match="must be later"):
            timers.every(lambda after: after, noting([]), "stuck")

    run(work)


def test_time_that_runs_faster_brings_due_times_nearer() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[Any] = []
        timers.at(clock.now() + 3600, noting(seen, "hour"))
        clock.run_at(100_000)
        await asyncio.sleep(0.2)
        assert seen == ["hour"]

    run(work)


def test_a_clock_that_another_thread_moves_wakes_what_is_due() -> None:
    async def work(timers: Timers, clock: Clock) -> None:
        seen: list[Any] = []
        timers.at(clock.now() + 3600, noting(seen, "hour"))
        await asyncio.to_thread(clock.advance, 3600)
        await asyncio.sleep(0.1)
        assert seen == ["hour"]

    run(work)
