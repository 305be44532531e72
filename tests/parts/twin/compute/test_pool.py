"""Workers that start on demand, are used one at a time, and stop when nobody needs them."""

import asyncio

import pytest

from pilotlight.twin.aws.pool import Pool
from pilotlight.twin.clock import Clock
from pilotlight.twin.timers import Timers


class Worker:
    def __init__(self) -> None:
        self.usable = True
        self.stopped = False

    async def stop(self) -> None:
        self.usable = False
        self.stopped = True


def run(work, keep_warm_s: float = 60.0, fail: int = 0, start_s: float = 0.0):
    async def main():
        made: list[Worker] = []
        failures = [fail]

        async def start(provisioned: bool) -> Worker:
            await asyncio.sleep(start_s)
            if failures[0]:
                failures[0] -= 1
                raise OSError("no worker")
            made.append(Worker())
            return made[-1]

        timers = Timers(Clock())
        await timers.start()
        pool = Pool(start, lambda: keep_warm_s, timers)
        await work(pool, made)
        await pool.kill()
        await timers.close()
        assert all(worker.stopped for worker in made)

    asyncio.run(main())


def test_the_first_request_is_cold_and_the_next_is_warm():
    async def work(pool, made):
        first, cold = await pool.acquire()
        assert cold
        pool.release(first)
        assert await pool.acquire() == (first, False)
        pool.release(first)

    run(work)


def test_requests_at_once_get_workers_of_their_own():
    async def work(pool, made):
        workers = [worker for worker, _ in await asyncio.gather(*(pool.acquire() for _ in range(3)))]
        assert len(set(workers)) == 3
        for worker in workers:
            pool.release(worker)

    run(work)


def test_the_latest_worker_is_taken_first():
    async def work(pool, made):
        one, two = (await pool.acquire())[0], (await pool.acquire())[0]
        pool.release(one)
        pool.release(two)
        assert (await pool.acquire())[0] is two
        pool.release(two)

    run(work)


def test_a_worker_that_died_while_idle_is_never_handed_out():
    async def work(pool, made):
        worker, _ = await pool.acquire()
        pool.release(worker)
        worker.usable = False
        other, cold = await pool.acquire()
        assert cold
        assert other is not worker
        pool.release(other)

    run(work)


def test_an_idle_worker_stops_after_its_term_and_a_floor_stays():
    async def work(pool, made):
        await pool.set_floor(1)
        workers = [worker for worker, _ in await asyncio.gather(*(pool.acquire() for _ in range(3)))]
        for worker in workers:
            pool.release(worker)
        await asyncio.sleep(0.2)
        assert pool.size == 1
        await pool.set_floor(0)
        await asyncio.sleep(0.1)
        assert pool.size == 0

    run(work, keep_warm_s=0.05)


def test_a_dead_worker_of_the_floor_is_replaced():
    async def work(pool, made):
        await pool.set_floor(2)
        worker, cold = await pool.acquire()
        assert not cold
        worker.usable = False
        pool.release(worker)
        await asyncio.sleep(0.02)
        assert pool.idle == 2
        made[-1].usable = False
        await pool.set_floor(2)
        assert pool.idle == 2

    run(work)


def test_a_drained_pool_lets_requests_finish_first():
    async def work(pool, made):
        busy, idle = (await pool.acquire())[0], (await pool.acquire())[0]
        pool.release(idle)
        drained = asyncio.create_task(pool.drain())
        await asyncio.sleep(0.02)
        assert idle.stopped
        assert not busy.stopped
        pool.release(busy)
        await drained
        assert busy.stopped

    run(work)


def test_a_pool_ends_although_a_request_never_does():
    async def work(pool, made):
        busy, _ = await pool.acquire()
        await pool.end(0.05)
        assert busy.stopped

    run(work)


def test_a_worker_that_starts_while_the_pool_is_drained_is_stopped():
    async def work(pool, made):
        acquiring = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.01)
        drained = asyncio.create_task(pool.drain())
        worker, _ = await acquiring
        pool.release(worker)
        await drained
        assert worker.stopped

    run(work, start_s=0.05)


def test_a_failed_start_is_the_requests_error_and_the_next_one_works():
    async def work(pool, made):
        with pytest.raises(OSError, match="no worker"):
            await pool.acquire()
        worker, _ = await pool.acquire()
        pool.release(worker)

    run(work, fail=1)


def test_a_waiting_request_takes_a_worker_that_is_given_back_before_its_own_is_ready():
    async def work(pool, made):
        first, _ = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        pool.release(first)
        assert await waiting == (first, False)
        await asyncio.sleep(0.1)
        assert (len(made), pool.idle) == (2, 1), "its own worker is there for the next"
        pool.release(first)

    run(work, start_s=0.05)


def test_two_callers_never_start_a_third_worker():
    async def work(pool, made):
        async def call_on_and_on(times):
            for _ in range(times):
                worker, _ = await pool.acquire()
                await asyncio.sleep(0.002)
                pool.release(worker)

        first, _ = await pool.acquire()
        pool.release(first)
        # The second's worker takes as long to start as many calls take, and each of those finds none idle.
        await asyncio.gather(call_on_and_on(20), call_on_and_on(20))
        await asyncio.sleep(0.1)
        assert len(made) == 2

    run(work, start_s=0.05)


def test_a_start_that_fails_is_nobodys_error_while_another_one_is_coming():
    async def work(pool, made):
        waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        worker, _ = await waiting[1]
        pool.release(worker)
        assert len(made) == 1

    run(work, fail=1, start_s=0.05)


def test_a_worker_started_ahead_says_at_its_first_request_that_it_is_new():
    async def work(pool, made):
        await pool.grow(3)
        assert pool.idle == 3
        worker, cold = await pool.acquire()
        assert cold
        pool.release(worker)
        assert await pool.acquire() == (worker, False)
        pool.release(worker)

    run(work)


def test_a_cancelled_request_leaves_no_worker_behind_as_busy():
    async def work(pool, made):
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert (pool.busy, pool.idle) == (0, 1)

    run(work, start_s=0.05)


def test_a_request_that_waits_when_the_pool_is_killed_is_told():
    async def work(pool, made):
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.01)
        await pool.kill()
        with pytest.raises(RuntimeError, match="stopped while"):
            await waiting

    run(work, start_s=0.05)


def test_a_request_that_waits_when_the_pool_is_drained_is_still_served():
    async def work(pool, made):
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(pool.drain())
        worker, _ = await waiting
        assert not draining.done()
        pool.release(worker)
        await draining

    run(work, start_s=0.05)
