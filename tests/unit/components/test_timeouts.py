"""The timeout chains: every hop waits for less than its caller, and a queue for six times its function."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import timeouts
from components.limits import LAMBDA_TIMEOUT_S, VISIBILITY_S
from handlers.functions.attempts import LONGEST_PAUSE_S, longest_pause_s
from handlers.functions.predicting import RECORD_S

SECONDS = st.integers(min_value=1, max_value=60)
COLD = st.integers(min_value=0, max_value=180)


@given(
    predict_s=SECONDS,
    cold_start_s=COLD,
    requests=st.integers(min_value=1, max_value=1000),
    window_s=st.integers(min_value=0, max_value=300),
    separate=st.booleans(),
)
def test_every_hop_behind_a_queue_waits_for_less_than_its_caller(
    predict_s: int, cold_start_s: int, requests: int, window_s: int, separate: bool
) -> None:
    plan = timeouts.event_chain(
        separate_function=separate, predict_s=predict_s, cold_start_s=cold_start_s, requests=requests, window_s=window_s
    )
    assert plan.model_s < plan.endpoint_s
    assert plan.endpoint_s < plan.function_s if separate else plan.endpoint_s == plan.function_s
    assert plan.endpoint_s >= cold_start_s + predict_s
    # Lambda developer guide, configuring a queue for Lambda: six times the timeout, and the window.
    assert plan.visibility_s >= 6 * plan.function_s + window_s


def function_s(requests: int, predict_s: int = 10, cold_start_s: int = 15) -> int:
    return timeouts.event_chain(separate_function=True, predict_s=predict_s, cold_start_s=cold_start_s, requests=requests).function_s


def test_the_function_has_time_for_a_cold_start_and_each_request_of_a_batch() -> None:
    assert {requests: function_s(requests) for requests in (1, 2, 10, 20, 80)} == {1: 29, 2: 40, 10: 128, 20: 238, 80: 898}
    assert RECORD_S <= timeouts.RECORD_S


@given(predict_s=st.integers(min_value=1, max_value=900), cold_start_s=st.integers(min_value=0, max_value=900))
def test_as_many_requests_as_are_told_fit_and_one_more_does_not(predict_s: int, cold_start_s: int) -> None:
    most = timeouts.most_requests(predict_s=predict_s, cold_start_s=cold_start_s, allowed=LAMBDA_TIMEOUT_S)
    assert not most or function_s(most, predict_s, cold_start_s) <= LAMBDA_TIMEOUT_S.high
    assert function_s(most + 1, predict_s, cold_start_s) > LAMBDA_TIMEOUT_S.high


@given(predict_s=SECONDS, cold_start_s=COLD)
def test_the_worker_waits_for_one_answer_however_long_the_gateway_would(predict_s: int, cold_start_s: int) -> None:
    plan = timeouts.answer_chain(predict_s=predict_s, cold_start_s=cold_start_s)
    assert plan.model_s < plan.endpoint_s < plan.function_s
    assert plan.endpoint_s >= cold_start_s + predict_s
    assert plan.visibility_s >= 6 * plan.function_s


def test_a_function_at_its_limit_is_taken_and_one_second_more_is_not() -> None:
    longest = LAMBDA_TIMEOUT_S.high - 10 - 2 * timeouts.HOP_S
    assert timeouts.queue_problem(timeouts.answer_chain(predict_s=10, cold_start_s=longest), LAMBDA_TIMEOUT_S) is None
    told = timeouts.queue_problem(timeouts.answer_chain(predict_s=10, cold_start_s=longest + 1), LAMBDA_TIMEOUT_S)
    assert told is not None
    assert "needs 901 s for a cold start and a prediction: use 1 to 900 s (Lambda developer guide" in told


@pytest.mark.parametrize("window_s", [0, 300])
def test_the_longest_chain_that_is_taken_is_one_that_a_queue_can_wait_for(window_s: int) -> None:
    longest = timeouts.QueueChain(
        model_s=1, endpoint_s=2, function_s=LAMBDA_TIMEOUT_S.high, visibility_s=6 * LAMBDA_TIMEOUT_S.high + window_s
    )
    assert timeouts.queue_problem(longest, LAMBDA_TIMEOUT_S) is None
    assert longest.visibility_s in VISIBILITY_S


@given(visibility_s=st.integers(min_value=0, max_value=VISIBILITY_S.high))
def test_the_last_attempt_is_over_before_its_queue_forgets_the_message(visibility_s: int) -> None:
    most = timeouts.most_attempts(visibility_s)
    assert most >= 5, "the ready stacks' attempts fit into the longest visibility"
    # An attempt ends without a word, and the queue waits for it, or it fails within its function's time, and pauses.
    each = [max(visibility_s, visibility_s // timeouts.VISIBILITY_TIMES + longest_pause_s(attempt)) for attempt in range(1, most + 1)]
    assert sum(each) <= timeouts.KEPT_S
    assert timeouts.LONGEST_PAUSE_S == LONGEST_PAUSE_S
