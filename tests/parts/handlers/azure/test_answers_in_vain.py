"""Answers that come later, on Azure, for which nobody waits: what is late at the function, and what is over before its dead letter."""

import json
import threading
import time

import pytest

from handlers.functions.azure.consuming import CUT_OFF
from handlers.functions.deadline import MARGIN_S
from handlers.functions.deferral import Call
from handlers.functions.problems import AnswersUnavailable, DeadlineExceeded
from tests.parts.handlers.answering import Model
from tests.parts.handlers.answers_told import problem_of
from tests.parts.handlers.azure.answering import MAX_ATTEMPTS, asked, guard, handed_over


def unavailable(function, **headers):
    """A call that is told to come again after a moment; the threads in which it may go on."""
    answer = asked(function, prefer="respond-async", seconds=MARGIN_S + 0.1, **headers)
    assert problem_of(answer) == (503, "answers-unavailable")
    return function._api._deferral._tasks


def test_a_call_whose_time_was_over_before_a_thread_was_free_is_never_worked_on(cloud):
    function, go = cloud.function(Model()), threading.Event()
    tasks = function._api._deferral._tasks
    for _ in range(tasks._max_workers):
        tasks.submit(go.wait, 20)
    unavailable(function, idempotency_key="k")
    cloud.front.seen.clear()
    go.set()
    tasks.shutdown()
    assert cloud.front.seen == []


def test_a_key_that_was_written_too_late_hands_nothing_over_and_is_free_again(cloud):
    function = cloud.function(Model())
    cloud.front.delay_s = 0.3
    unavailable(function, idempotency_key="k").shutdown()
    assert (cloud.rows(), cloud.messages()) == ({}, [])


class Ending:
    """A deadline that is over when the test says so."""

    left_s = 10.0

    def get_remaining_time_in_millis(self):
        return round(self.left_s * 1000)


def test_a_model_that_outlives_its_call_hands_nothing_over(cloud):
    deadline = Ending()

    def outlive(seconds):
        deadline.left_s = 0.0
        raise DeadlineExceeded("late")

    call = Call(body=b"{}", request_id="call-1", owner="key:k", url=lambda answer_id: answer_id)
    with pytest.raises(AnswersUnavailable):
        cloud.function(Model())._api._deferral._now_or_later(call, outlive, deadline)
    assert (cloud.rows(), cloud.messages()) == ({}, [])


def cut_off(cloud):
    """As when each attempt killed its replica."""
    for _ in range(MAX_ATTEMPTS):
        cloud.again()
        cloud.worker(Model()).consumer._queue.get(unseen_s=30)


def answered(cloud, answer_id):
    (message,) = cloud.messages()
    assert message["id"] == answer_id
    worker = cloud.worker(Model())
    assert worker._work.trouble(json.dumps(message), attempt=1, message_id="m", seconds_left=lambda: 10) is None


NOBODY_WAITS = {
    "answered": answered,
    "over": lambda cloud, answer_id: cloud.change(answer_id, expires=time.time() - 1),
    "gone": lambda cloud, answer_id: cloud.tables["answers"].pop((answer_id, "answer")),
}


@pytest.mark.parametrize("becomes", NOBODY_WAITS)
def test_a_message_without_attempts_whose_answer_nobody_waits_for_is_no_dead_letter(cloud, becomes):
    NOBODY_WAITS[becomes](cloud, handed_over(cloud))
    cut_off(cloud)
    cloud.work(cloud.worker(Model(AssertionError("asked"))))
    assert (cloud.messages("dead"), cloud.messages()) == ([], [])


def test_a_message_without_attempts_is_kept_until_somebody_can_say_whether_it_is_wanted(cloud):
    handed_over(cloud)
    cut_off(cloud)
    guard(cloud, "/table/", 503, times=4)
    cloud.work(cloud.worker(Model(AssertionError("asked"))))
    assert (cloud.messages("dead"), len(cloud.messages())) == ([], 1)
    cloud.work(cloud.worker(Model(AssertionError("asked"))))
    assert ([letter["reason"] for letter in cloud.messages("dead")], cloud.messages()) == ([CUT_OFF], [])


def test_a_message_without_attempts_that_names_no_answer_is_a_dead_letter(cloud):
    cloud.send(b"x")
    cut_off(cloud)
    cloud.work(cloud.worker(Model()))
    assert ([letter["message"] for letter in cloud.messages("dead")], cloud.queues["answers"]) == (["x"], [])
