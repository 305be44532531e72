"""The queue before the model: who waits, who is refused at once, who is taken together, and who is dropped."""

import math
import re
import threading
import time
from concurrent.futures import CancelledError

import pytest

from handlers.engines.cancellation import Cancelled
from handlers.functions.problems import DeadlineExceeded, InputRefused, Overloaded
from handlers.server.metrics import REASONS, Metrics
from handlers.server.waiting import Job, Waiting

AT_ONCE_S, TRIES = 0.005, 20


class Line(Waiting):
    """A queue with its figures."""

    def __init__(self, most=8):
        self.figures = Metrics()
        super().__init__(most, self.figures)

    def shed(self):
        text = self.figures.text(ready=True, waiting=0, stages={}, tokens={}, spans={})
        found = {reason: int(count) for reason, count in re.findall(r'pilotlight_shed_total\{reason="(\w+)"\} (\d+)', text)}
        assert set(found) == set(REASONS)
        return {reason: count for reason, count in found.items() if count}

    def learn(self, seconds, inputs=1):
        """What an input takes, from one that was computed."""
        self.put(Job("learned", inputs))
        self.answer(self.take(inputs, 0), seconds)

    def answer(self, jobs, seconds):
        assert jobs
        for each in jobs:
            each.answer(b"", seconds)
        self.done(seconds)


def job(name, inputs=1, within_s=math.inf):
    return Job(name, inputs, time.monotonic() + within_s)


def refused(line, make):
    """The refusal of a request, which was decided at once: the quickest of some tries, since others use the machine too."""
    took = []
    for _ in range(TRIES):
        asked, began = make(), time.perf_counter()
        with pytest.raises(Overloaded) as refusal:
            line.put(asked)
        took.append(time.perf_counter() - began)
    assert min(took) < AT_ONCE_S
    return refusal.value


def names(jobs):
    return [each.request for each in jobs]


def test_what_waits_is_taken_together_in_order_up_to_the_largest_batch():
    line = Line()
    for place, inputs in enumerate((1, 3, 4, 9, 1)):
        line.put(job(place, inputs))
    assert names(line.take(8, 0)) == [0, 1, 2]
    assert names(line.take(8, 0)) == [3], "one that is larger than a batch is computed, alone"
    assert names(line.take(8, 0)) == [4]
    assert len(line) == 0


def test_a_full_queue_refuses_at_once_with_the_time_to_come_back():
    line = Line(most=2)
    line.learn(0.9)
    line.put(job("a"))
    line.put(job("b"))
    refusal = refused(line, lambda: job("c"))
    assert (refusal.detail, refusal.retry_after_s) == ("2 requests are waiting already.", 2)
    with pytest.raises(Overloaded):
        line.require_place(counted=True)
    with pytest.raises(Overloaded):
        line.require_place(counted=False)
    assert line.shed() == {"full": TRIES + 1}
    assert names(line.take(8, 0)) == ["a", "b"]
    line.require_place(counted=True)


def test_who_would_be_answered_later_than_it_may_is_refused_at_once():
    line = Line()
    line.learn(0.5)
    line.put(job("a", inputs=4))
    refusal = refused(line, lambda: job("b", within_s=1))
    assert (refusal.detail, refusal.retry_after_s) == ("It would be answered in about 2.5 s, and has 1 s.", 2)
    # It would begin in time, and end too late.
    assert refused(line, lambda: job("b", within_s=2.4)).retry_after_s == 2
    line.put(job("c", within_s=3))
    taken = line.take(8, 0)
    assert names(taken) == ["a", "c"]
    # What is computed is waited for as well, as long as it takes.
    with pytest.raises(Overloaded):
        line.put(job("d", within_s=1))
    line.answer(taken, 0.1)
    line.put(job("e", within_s=0.05))
    assert line.shed() == {"wait": 2 * TRIES + 1}


def test_who_can_not_be_answered_in_time_any_more_makes_room_for_who_waits_behind_it():
    line = Line()
    line.learn(0.5)
    for name, within_s in (("a", 60), ("b", 1.4), ("c", 60), ("d", 2.4)):
        line.put(job(name, within_s=within_s))
    (first,) = line.take(1, 0)
    # It takes longer than those before it.
    line._jobs[0].until = line._jobs[-1].until = time.monotonic() + 0.3
    line.answer([first], 1.2)
    late, last = line._jobs[0], line._jobs[-1]
    assert names(line.take(1, 0)) == ["c"]
    problem = late.future.exception()
    assert isinstance(problem, Overloaded)
    assert problem.retry_after_s >= 1
    # Nobody waits behind it: it may be quicker than was thought.
    assert line.take(1, 0) == [last]
    assert line.shed() == {"wait": 1}


def test_nobody_is_refused_when_it_is_its_turn_where_all_who_wait_find_a_place():
    line = Line()
    line.learn(60)
    line.put(job("a", within_s=0.5))
    line.put(job("b"))
    assert names(line.take(8, 0)) == ["a", "b"]
    line.answer(line._taken, 0.01)
    # Nor where nobody waits any more for those who are behind it.
    line.put(job("c", within_s=0.5))
    line.put(job("gone"))
    line._jobs[-1].cancellation.cancel()
    assert names(line.take(1, 0)) == ["c"]


def test_small_ones_are_not_charged_with_what_large_ones_take_alone():
    line = Line()
    for _ in range(3):
        line.put(job("large", inputs=100))
        line.answer(line.take(8, 0), 1.0)
    line.put(job("a"))
    line.put(job("b", within_s=0.05))
    # What is beside it in a batch is waited for.
    line.answer(line.take(8, 0), 0.02)
    for _ in range(40):
        for name in range(8):
            line.put(job(name))
        line.answer(line.take(8, 0), 0.8)
    line.put(job("a"))
    assert refused(line, lambda: job("b", within_s=0.7)).detail.startswith("It would be answered in about 0.9 s")


def test_nobody_is_held_for_others_until_its_time_is_over():
    line = Line()
    line.learn(1.5)
    line.put(job("a", within_s=2))
    # Half a second: it is computed for as long as it has then.
    assert names(line.take(8, 60)) == ["a"]
    assert time.monotonic() < line._taken[0].until


def test_nobody_is_refused_for_want_of_time_by_a_server_that_does_nothing():
    line = Line()
    line.learn(60)
    line.put(job("a", within_s=0.5))
    line.answer(line.take(1, 0), 0.01)
    # One slow start is forgotten.
    for _ in range(40):
        line.learn(0.01)
    line.put(job("b"))
    line.put(job("c", within_s=0.5))


def test_what_was_given_up_in_the_middle_teaches_nothing():
    line = Line()
    line.learn(1)
    line.put(job("given up", inputs=8))
    taken = line.take(8, 0)
    taken[0].fail(Cancelled())
    line.done(0.01)
    line.put(job("a"))
    assert refused(line, lambda: job("b", within_s=0.9)).retry_after_s == 1


def test_a_refusal_among_those_that_are_computed_teaches_nothing():
    line = Line()
    line.learn(1)
    for _ in range(10):
        line.put(job("refused", inputs=8))
        (taken,) = line.take(8, 0)
        taken.fail(InputRefused("It says nothing."))
        line.done(0.001)
    line.put(job("good"))
    line.put(job("refused", inputs=7))
    good, bad = line.take(8, 0)
    good.answer(b"", 1)
    bad.fail(InputRefused("It says nothing."))
    line.done(1)
    line.put(job("a"))
    assert refused(line, lambda: job("b", within_s=0.9)).detail.startswith("It would be answered in about 2 s")


def test_those_who_left_keep_nobody_waiting():
    line = Line()
    line.learn(0.5)
    left = [job("left", inputs=8) for _ in range(3)]
    for each in left:
        line.put(each)
        each.cancellation.cancel()
    late = job("late", inputs=8)
    line.put(late)
    late.until = time.monotonic()
    line.put(job("stays", within_s=1))
    assert names(line.take(32, 0)) == ["stays"]
    assert line.shed() == {"deadline": 1, "gone": 3}


def test_what_nobody_waits_for_is_dropped_before_it_is_computed():
    line = Line()
    gone, late, stays = job("gone"), job("late", within_s=0.01), job("stays")
    for each in (gone, late, stays):
        line.put(each)
    gone.cancellation.cancel()
    time.sleep(0.02)
    assert names(line.take(8, 0)) == ["stays"]
    with pytest.raises(CancelledError):
        gone.future.result(timeout=0)
    with pytest.raises(DeadlineExceeded):
        late.future.result(timeout=0)
    assert line.shed() == {"deadline": 1, "gone": 1}


def test_the_places_of_those_who_left_are_free():
    line = Line(most=2)
    gone, late = job("gone"), job("late", within_s=0.01)
    line.put(gone)
    line.put(late)
    gone.cancellation.cancel()
    time.sleep(0.02)
    line.put(job("a"))
    line.put(job("b"))
    assert names(line.take(8, 0)) == ["a", "b"]


def test_pings_are_in_no_figure():
    line = Line(most=1)
    line.put(Job("ping", counted=False, until=time.monotonic() + 0.01))
    time.sleep(0.02)
    assert line.take(8, 0) == []
    assert line.shed() == {}


def taking(line, most, hold_s):
    """A thread that takes once, what it took and after how many seconds."""
    found = []

    def take():
        began = time.monotonic()
        jobs = line.take(most, hold_s)
        found.append((names(jobs), time.monotonic() - began))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread, found


def test_a_request_to_an_idle_server_is_never_held_for_others():
    line = Line()
    thread, found = taking(line, 8, hold_s=30)
    time.sleep(0.05)
    line.put(job("alone"))
    thread.join(timeout=5)
    assert found[0][0] == ["alone"]
    assert found[0][1] < 1


def test_who_waits_anyway_is_held_for_as_long_as_the_budget_says_and_no_longer():
    line = Line()
    line.put(job("first"))
    thread, found = taking(line, 8, hold_s=0.2)
    time.sleep(0.05)
    line.put(job("second"))
    thread.join(timeout=5)
    assert found[0][0] == ["first", "second"]
    assert 0.1 < found[0][1] < 1
    # The budget runs from when the request came: who has waited for so long is not held again.
    line.put(job("third"))
    time.sleep(0.21)
    thread, found = taking(line, 8, hold_s=0.2)
    thread.join(timeout=5)
    assert found[0][1] < 0.1


def test_a_lone_client_that_comes_again_soon_is_not_held():
    """Before the thread that has answered it waits again; nobody else is there that could come."""
    line = Line()
    line.put(Job("alone", alone=True))
    thread, found = taking(line, 8, hold_s=30)
    thread.join(timeout=5)
    assert found[0][0] == ["alone"]


def test_who_comes_again_before_its_own_answer_is_done_with_waits_for_nobody():
    line = Line()
    line.learn(100.0)
    line.put(job("first"))
    (first,) = line.take(1, 0)
    with pytest.raises(Overloaded):
        line.put(job("another", within_s=1))
    first.answer(b"", 0.01)
    line.put(job("again", within_s=1))
    line.done(0.01)
    assert names(line.take(1, 0)) == ["again"]


def test_who_was_given_up_keeps_others_waiting_until_it_is_done_with():
    line = Line()
    line.learn(100.0)
    line.put(job("first"))
    (first,) = line.take(1, 0)
    first.give_up()
    with pytest.raises(Overloaded):
        line.put(job("another", within_s=1))


def test_a_batch_that_is_full_is_not_held():
    line = Line()
    line.put(job("first"))
    thread, found = taking(line, 2, hold_s=30)
    time.sleep(0.05)
    line.put(job("second"))
    thread.join(timeout=5)
    assert found[0][0] == ["first", "second"]


def test_who_comes_joins_those_that_go_on_where_a_place_is_free():
    line = Line()
    for name, inputs in (("a", 1), ("b", 2), ("c", 1)):
        line.put(job(name, inputs))
    first, second = line.join(3, free=3)
    assert names((first, second)) == ["a", "b"]
    assert line.join(3, free=0) == []
    line.put(job("pair", inputs=2))
    first.answer(b"", 1)
    line.left(first, 1)
    (third,) = line.join(3, free=1)
    assert (third.request, line.join(3, free=1)) == ("c", []), "nobody overtakes who needs more places"
    for each in (second, third):
        each.answer(b"", 1)
        line.left(each, 1)
    assert names(line.join(3, free=3)) == ["pair"]


def test_who_left_keeps_nobody_behind_it_waiting_for_its_places():
    line = Line()
    line.put(job("a"))
    (first,) = line.join(3, free=3)
    for name, inputs in (("large", 3), ("late", 3), ("b", 1)):
        line.put(job(name, inputs))
    large, late = list(line._jobs)[:2]
    large.cancellation.cancel()
    late.until = 0.0
    (second,) = line.join(3, free=2)
    assert second.request == "b"
    assert line.join(3, free=1) == []
    assert large.future.cancelled()
    assert isinstance(late.future.exception(), DeadlineExceeded)
    # The last one that waits leaves too, and nobody goes on.
    for each in (first, second):
        each.answer(b"", 1)
        line.left(each, 1)
    line.put(job("gone"))
    line._jobs[0].cancellation.cancel()
    assert line.join(3, free=3) == []
    assert line._jobs_cost == 0


def test_a_wait_beside_those_that_go_on_is_reckoned_by_the_places():
    line = Line()
    line.put(job("a"))
    line.put(job("b"))
    first, second = line.join(2, free=2)
    first.answer(b"", 4)
    # Four seconds in one of two places: one is free every two seconds.
    line.left(first, 4)
    line.put(job("c", within_s=0.1))
    assert len(line) == 1, "a place is free: it waits for nobody"
    (third,) = line.join(2, free=1)
    assert refused(line, lambda: job("d", within_s=1.9)).retry_after_s == 2
    line.put(job("e", within_s=2.1))
    assert refused(line, lambda: job("f", within_s=3.9)).retry_after_s == 4
    # Who failed or left teaches nothing.
    second.fail(Cancelled())
    line.left(second, 60)
    third.fail(Overloaded("x", retry_after_s=1))
    line.left(third, 60)
    assert names(line.join(2, free=2)) == ["e"]
    line.put(job("g", within_s=0.1))
    assert line.shed() == {"wait": 2 * TRIES}


def test_who_waits_for_work_hears_of_what_was_put_in_quietly_once_it_is_told():
    line, taken = Line(), []
    thread = threading.Thread(target=lambda: taken.extend(line.take(8, 0)))
    thread.start()
    time.sleep(0.05)
    line.put(job("a"), wake=False)
    line.put(job("b"), wake=False)
    thread.join(0.05)
    assert not taken
    line.wake()
    thread.join(5)
    assert names(taken) == ["a", "b"]


def test_what_is_given_up_is_dropped_and_what_is_over_stays_over():
    line = Line()
    left, over = job("left"), job("over")
    line.put(left)
    left.give_up()
    assert left.future.cancelled()
    line.put(over)
    line.answer(line.take(8, 0), 0.1)
    over.give_up()
    assert over.future.result() == (b"", 0.1)
    assert line.shed() == {"gone": 1}


def test_what_those_who_wait_cost_is_exact_whatever_they_say():
    waiting = Waiting(8, Metrics())
    waiting.put(Job("huge", cost=10**30))
    for _ in range(3):
        waiting.put(Job("small", cost=7))
    assert waiting._jobs_cost == 10**30 + 21
    assert len(waiting.take(1, 0)) == 1
    assert (waiting._jobs_cost, waiting._taken_cost) == (21, 10**30)
    waiting.done(0.1)
    assert (waiting._jobs_cost, waiting._taken_cost) == (21, 0)
    gone = waiting._jobs[0]
    gone.give_up()
    waiting._drop()
    assert waiting._jobs_cost == 14


def test_what_is_nobody_s_request_is_not_held_for_others():
    waiting = Waiting(8, Metrics())
    waiting.put(Job("ping", counted=False))
    began = time.monotonic()
    assert len(waiting.take(4, 5.0)) == 1
    assert time.monotonic() - began < 4


def test_who_has_left_is_nobody_who_waits():
    waiting = Waiting(8, Metrics())
    waiting.put(gone := Job("gone"))
    assert waiting.anybody()
    gone.give_up()
    assert not waiting.anybody()


@pytest.mark.parametrize("side_by_side", [False, True], ids=["together", "side by side"])
def test_who_came_before_it_was_known_what_that_costs_teaches_nothing(side_by_side):
    line = Line()

    def computed(asked, seconds):
        line.put(asked)
        if side_by_side:
            (taken,) = line.join(8, 8)
            taken.answer(b"", seconds)
            line.left(taken, seconds)
        else:
            line.answer(line.take(8, 0), seconds)

    computed(Job("before the model", weighed=False), 5.0)
    assert line._cost_s == 0
    computed(Job("behind it", 8, cost=80), 4.0)
    assert line._cost_s == pytest.approx(0.05)
