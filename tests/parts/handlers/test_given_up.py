"""Answers that nobody could write down any more: a caller is told so when no attempt is left, and never before."""

import time

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions.answer_work import AnswerWork, TryAgain
from handlers.functions.answers import WAITING_S, Row
from handlers.functions.attempts import Attempts
from handlers.functions.problems import NotReady
from tests.parts.handlers.answering import ATTEMPTS, DAY_S, MAX_ATTEMPTS, OUTPUTS, Cloud, Model, mocked
from tests.parts.handlers.test_api_function import assert_problem
from tests.parts.handlers.test_worker import asked, replay, told

AT_MOST_S = WAITING_S + ATTEMPTS.left_s(1)


@pytest.fixture(scope="module")
def clients():
    with mocked() as made:
        yield made


@pytest.fixture
def aws(clients):
    return Cloud(clients)


def handed_out(aws, times=MAX_ATTEMPTS):
    """A message was handed out so often and never reached the worker: throttled, say."""
    for _ in range(times):
        assert aws.receive() is not None
        aws.again()


def aged(aws, answer_id, seconds):
    """It was handed over so long ago."""
    aws.change(answer_id, at=time.time() - seconds)


def test_a_message_that_never_reached_the_worker_is_told_as_failed_and_answered_after_a_replay(aws):
    answer_id = asked(aws)
    handed_out(aws)
    assert aws.receive() is None
    assert (aws.waiting(), aws.waiting(aws.dead_url)) == (0, 1)
    aged(aws, answer_id, AT_MOST_S - 5)
    assert told(aws, answer_id)["statusCode"] == 202
    aged(aws, answer_id, AT_MOST_S + 5)
    assert "`pilotlight replay STACK`" in assert_problem(told(aws, answer_id), 502, "model-failed")
    replay(aws)
    assert told(aws, answer_id)["statusCode"] == 202, "it waits again"
    assert aws.work(aws.worker(Model())) == {"batchItemFailures": []}
    assert told(aws, answer_id)["body"] == OUTPUTS.decode()


def test_a_message_that_waits_behind_others_is_pending_for_as_long_as_it_waits(aws):
    answer_id = asked(aws)
    aged(aws, answer_id, 20 * AT_MOST_S)
    assert told(aws, answer_id)["statusCode"] == 202


def hide(aws):
    """Take what waits, and keep it unseen, as a mapping does with what it works on."""
    [record] = aws.receive()["Records"]
    aws.sqs.change_message_visibility(QueueUrl=aws.queue_url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=600)
    return record["body"]


def work(aws, predict):
    return AnswerWork(store=aws.store, predict=predict, keep_s=DAY_S, attempts=ATTEMPTS)


def test_a_message_that_waited_for_long_is_pending_while_it_is_worked_on_and_between_its_attempts(aws):
    answer_id = asked(aws)
    message = hide(aws)
    aged(aws, answer_id, AT_MOST_S + 5)
    assert told(aws, answer_id)["statusCode"] == 502, "taken, and no worker has said so yet"

    def seen(*_):
        assert told(aws, answer_id)["statusCode"] == 202
        raise NotReady("asleep")

    for attempt in range(1, MAX_ATTEMPTS):
        with pytest.raises(TryAgain):
            work(aws, seen).attempt(message, attempt=attempt, remaining_s=lambda: 10.0)
        assert told(aws, answer_id)["statusCode"] == 202, attempt
    left_s = float(aws.row(answer_id)["attemptsEnd"]["N"]) - time.time()
    assert left_s == pytest.approx(ATTEMPTS.left_s(1), abs=10)
    aws.change(answer_id, attemptsEnd=time.time() - 1)
    assert_problem(told(aws, answer_id), 502, "model-failed")
    assert work(aws, lambda *_: OUTPUTS.decode()).attempt(message, attempt=1, remaining_s=lambda: 10.0) == "done"
    assert "attemptsEnd" not in aws.row(answer_id)
    assert told(aws, answer_id)["body"] == OUTPUTS.decode()


def test_a_retry_that_waits_behind_others_is_pending_too(aws):
    answer_id = asked(aws)
    aws.change(answer_id, at=time.time() - AT_MOST_S, attemptsEnd=time.time() - 1)
    assert told(aws, answer_id)["statusCode"] == 202


def test_a_last_attempt_that_was_cut_off_is_failed_whatever_waits(aws):
    answer_id = asked(aws)
    aws.change(answer_id, lastAttemptEnds=time.time() - 1)
    assert aws.waiting() == 1
    assert_problem(told(aws, answer_id), 502, "model-failed")


def test_who_is_taken_at_once_costs_no_further_write(aws, monkeypatch):
    answer_id = asked(aws)
    aged(aws, answer_id, WAITING_S - 5)
    noted = []
    monkeypatch.setattr(type(aws.store), "put_end", lambda *asked, **_: noted.append(asked))
    assert aws.work(aws.worker(Model())) == {"batchItemFailures": []}
    assert (noted, told(aws, answer_id)["statusCode"]) == ([], 200)


def test_a_queue_that_does_not_tell_is_asked_again_later(aws, monkeypatch):
    answer_id = asked(aws)
    aged(aws, answer_id, AT_MOST_S + 5)

    def deny(**_):
        raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "secret"}}, "GetQueueAttributes")

    monkeypatch.setattr(aws.sqs, "get_queue_attributes", deny)
    answer = told(aws, answer_id)
    assert "secret" not in assert_problem(answer, 503, "answers-unavailable")
    assert int(answer["headers"]["retry-after"]) > 0


@given(
    most=st.integers(1, 9),
    unseen_s=st.integers(60, 5_400),
    ends=st.lists(st.sampled_from(["unseen", "failed"]), min_size=9, max_size=9),
    shares=st.lists(st.floats(0, 1), min_size=9, max_size=9),
)
def test_no_attempt_ends_later_than_is_told_when_one_begins(most, unseen_s, ends, shares):
    """Each one ends without a word, and is seen again after the queue's timeout, or fails within a sixth of that and pauses."""
    attempts = Attempts(most=most, unseen_s=unseen_s)
    now, promised = 0.0, []
    for attempt in range(1, most + 1):
        promised.append(now + attempts.left_s(attempt))
        ended = now + unseen_s / 6 * shares[attempt - 1]
        now = now + unseen_s if ends[attempt - 1] == "unseen" else ended + attempts.pause_s(attempt)
    assert ended <= min(promised)
    assert promised[0] <= most * unseen_s + 900 * (most - 1)


def test_the_time_of_the_ready_stack_is_half_an_hour_at_most():
    attempts = Attempts(most=5, unseen_s=162)
    assert [attempts.pause_s(attempt) for attempt in range(1, 6)] == [10, 40, 160, 640, 0]
    assert attempts.left_s(1) == 5 * 162 + 850
    row = Row(id="i", owner="o", request_id="r", at=100.0, expires=0)
    assert row.ends(attempts) == 100 + 60 + 1660 <= 100 + 1800
