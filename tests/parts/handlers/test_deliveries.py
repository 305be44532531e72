"""Answers from the model's thread to the loop, several with one wake."""

import asyncio
import threading
import time
from concurrent.futures import Future

import pytest

from handlers.server.deliveries import Deliveries


class Wakes(asyncio.SelectorEventLoop):
    """A loop that counts how often another thread wakes it."""

    count = 0

    def call_soon_threadsafe(self, callback, *arguments, **options):
        self.count += threading.current_thread() is not threading.main_thread()
        return super().call_soon_threadsafe(callback, *arguments, **options)


def run(work):
    with asyncio.Runner(loop_factory=Wakes) as runner:
        return runner.run(work())


def elsewhere(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_what_is_done_between_two_turns_wakes_the_loop_once():
    async def work():
        loop = asyncio.get_running_loop()
        deliveries, done = Deliveries(loop), [Future() for _ in range(20)]
        waiting = [deliveries.awaited(each) for each in done]
        elsewhere(lambda: [each.set_result(place) for place, each in enumerate(done)])
        assert await asyncio.gather(*waiting) == list(range(20))
        assert loop.count == 1
        # Who comes later wakes it again.
        late = Future()
        waiting = deliveries.awaited(late)
        elsewhere(lambda: late.set_result("late"))
        assert await waiting == "late"
        assert loop.count == 2

    run(work)


def test_an_error_is_raised_and_what_was_given_up_there_is_cancelled_here():
    async def work():
        deliveries, failed, gone = Deliveries(asyncio.get_running_loop()), Future(), Future()
        failing, going = deliveries.awaited(failed), deliveries.awaited(gone)
        elsewhere(lambda: (failed.set_exception(ValueError("no model")), gone.cancel()))
        with pytest.raises(ValueError, match="no model"):
            await failing
        with pytest.raises(asyncio.CancelledError):
            await going

    run(work)


def test_an_answer_comes_to_nobody_where_nobody_waits_any_more():
    async def work():
        deliveries, both = Deliveries(asyncio.get_running_loop()), Future()
        waiting = deliveries.awaited(both)
        elsewhere(lambda: both.set_result("too late"))
        waiting.cancel()
        await asyncio.sleep(0.01)
        assert waiting.cancelled()

    run(work)


def test_the_model_is_woken_once_for_all_that_one_turn_of_the_loop_has_for_it():
    async def work():
        deliveries, woken = Deliveries(asyncio.get_running_loop()), []
        for turn in range(3):
            for _ in range(20):
                deliveries.soon(lambda turn=turn: woken.append(turn))
            assert woken == [*range(turn)]
            await asyncio.sleep(0)
        assert woken == [0, 1, 2]

    run(work)


def test_what_is_done_before_it_is_awaited_comes_too():
    async def work():
        done = Future()
        done.set_result(1)
        assert await Deliveries(asyncio.get_running_loop()).awaited(done) == 1

    run(work)


def test_each_is_too_late_at_its_own_time_whoever_came_first():
    async def work():
        loop = asyncio.get_running_loop()
        deliveries, began, late = Deliveries(loop), time.monotonic(), {}

        async def waits(name, seconds):
            with pytest.raises(TimeoutError, match=name):
                await deliveries.within(deliveries.awaited(Future()), began + seconds, lambda: TimeoutError(name))
            late[name] = time.monotonic() - began

        done = Future()
        in_time = asyncio.create_task(deliveries.within(deliveries.awaited(done), began + 0.1, AssertionError))
        waiting = [asyncio.create_task(waits(str(seconds), seconds)) for seconds in (0.3, 0.1, 0.2, -1)]
        await asyncio.sleep(0)
        elsewhere(lambda: done.set_result("in time"))
        assert await in_time == "in time"
        await asyncio.gather(*waiting)
        assert list(late) == ["-1", "0.1", "0.2", "0.3"]
        assert all(after >= float(name) for name, after in late.items())
        # One that comes when nobody is left is watched too.
        await waits("0.35", 0.35)

    run(work)


def test_a_loop_that_is_closed_has_nobody_who_waits():
    done = Future()

    async def work():
        return Deliveries(asyncio.get_running_loop()).awaited(done)

    run(work)
    done.set_result(1)
    assert done.result() == 1
