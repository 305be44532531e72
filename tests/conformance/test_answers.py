"""Answers that come later, on AWS: what holds on every cloud, and its own ids, throttled workers and gateway."""

import json
from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import pytest

from tests.conformance.answer_promises import ATTEMPTS_S, CHINESE, ENGLISH, AnswerPromises, outputs_of
from tests.conformance.answering import STACK, Answering, AwsAnswering, assert_accepted
from tests.support.deployment import Deployment
from tests.support.load import at_a_steady_rate
from tests.support.vectors import assert_agrees

# The function waits 27 s less 2 s for handing over; the gateway gives up after 29 s.
WAIT_S, GATEWAY_S = 25, 29


@pytest.fixture(scope="module")
def up(deployment: Deployment) -> Iterator[AwsAnswering]:
    yield AwsAnswering.up(deployment)
    deployment.report("destroy", STACK)


@pytest.fixture(scope="module")
def slow(up: AwsAnswering) -> "Future[httpx.Response]":
    """The first call after a rest: endpoint and function start for it, and its prediction takes longer than anybody waits.

    The other tests go on meanwhile; the last one looks at what became of it.
    """
    with up.one_call_held(WAIT_S + 20):
        call = up.later(ENGLISH)
    return call


@pytest.fixture(autouse=True)
def usual(up: AwsAnswering, slow: "Future[httpx.Response]") -> Iterator[None]:
    """Every test begins without faults, once the slow call has taken its own."""
    yield
    up.faulty()


def test_one_id_goes_from_the_gateway_to_the_model(up: AwsAnswering) -> None:
    accepted = up.post(ENGLISH, prefer="respond-async")
    assert up.answer(assert_accepted(accepted)).status_code == 200
    request_id = accepted.headers["x-amzn-requestid"]
    assert accepted.headers["x-request-id"] == request_id
    assert up.observed.line("apigateway", requestId=request_id)["status"] == "202"
    assert up.observed.line(f"{STACK}-predict", request_id=request_id, event="request")["status"] == 202
    assert up.observed.line(f"{STACK}-answers", request_id=request_id, event="answer_done")["status"] == 200
    assert up.observed.line("Endpoints", request_id=request_id, event="request")["status"] == 200


def test_an_id_that_the_caller_chose_leads_to_the_gateways_own(up: AwsAnswering) -> None:
    answer = up.post(ENGLISH, x_request_id="mine-1")
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "mine-1")
    told = up.observed.line(f"{STACK}-predict", request_id="mine-1", event="request")
    assert told["gateway_request_id"] == answer.headers["x-amzn-requestid"]
    assert up.observed.line("Endpoints", request_id="mine-1", event="request")["status"] == 200


class TestOnAws(AnswerPromises):
    """What holds on every cloud."""

    def test_a_dead_letter_is_told_to_its_caller_and_answered_after_a_replay(self, up: Answering, slow: "Future[httpx.Response]") -> None:
        """Once the slow call has its answer: it would be a second one."""
        up.answer(assert_accepted(slow.result()))
        super().test_a_dead_letter_is_told_to_its_caller_and_answered_after_a_replay(up)


def test_what_never_reached_its_worker_is_told_as_failed_and_answered_after_a_replay(up: AwsAnswering) -> None:
    """The worker is throttled until the message is a dead letter; then it runs again."""
    limit = (r"^( +)statements=answers\.rights_of_worker,$", r"\g<0>\n\1reserved_concurrency=0,")
    up.deployment.edit("components/aws/answer_worker.py", *limit)
    assert up.deployment.up(STACK)["result"] == "succeeded"
    url = assert_accepted(up.post(CHINESE, prefer="respond-async"))
    up.deployment.twin("clock", {"advance_s": ATTEMPTS_S})
    assert up.get(url).status_code == 202, "the function's own clock was not moved"
    up.aged(url, ATTEMPTS_S)
    failed = up.get(url)
    assert (failed.status_code, failed.headers["content-type"]) == (502, "application/problem+json")
    assert "`pilotlight replay STACK`" in failed.json()["detail"]
    up.deployment.edit("components/aws/answer_worker.py", r"^ +reserved_concurrency=0,\n", "")
    assert up.deployment.up(STACK)["result"] == "succeeded"
    replayed = json.loads(up.deployment.run("replay", STACK, "--json").stdout)
    assert (replayed["deadLetters"], replayed["moved"], replayed["left"]) == (1, 1, 0)
    up.observed.wait(lambda: up.get(url).status_code == 200, "the answer after the replay")
    assert_agrees("chinese", outputs_of(up.get(url)))


def test_a_cold_start_and_a_prediction_beyond_the_wait_are_answered_later(up: AwsAnswering, slow: "Future[httpx.Response]") -> None:
    accepted = slow.result()
    url = assert_accepted(accepted)
    assert WAIT_S - 1 < accepted.elapsed.total_seconds() < GATEWAY_S
    assert_agrees("english", outputs_of(up.answer(url)))


def test_without_answers_the_gateway_knows_no_results_and_no_call_fails_meanwhile(up: AwsAnswering) -> None:
    """The last one: it takes the answers away."""
    url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
    assert_agrees("english", outputs_of(up.answer(url)))
    up.deployment.configure(STACK, {"answers": None})
    with at_a_steady_rate(lambda: up.post(ENGLISH), per_second=2) as calls:
        assert up.deployment.up(STACK)["result"] == "succeeded"
    # On a busy machine some are answered later until the function changes.
    assert (calls.errors, [answer.text for answer in calls.results if answer.status_code not in (200, 202)]) == ([], [])
    gone, nowhere = up.get(url), up.get(f"{up.outputs['url']}/deeper")
    assert (gone.status_code, gone.headers["x-amzn-errortype"]) == (404, "MissingAuthenticationTokenException")
    assert gone.json()["detail"] == nowhere.json()["detail"] == "There is only POST /predict here."
    up.deployment.configure(STACK, {"answers": {"async": True}})
    assert up.deployment.up(STACK)["result"] == "succeeded"
    again = up.get(url)
    assert (again.status_code, again.json()["title"]) == (404, "No such answer"), "the route is back, what it led to went"
