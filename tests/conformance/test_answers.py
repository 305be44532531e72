"""Answers that come later: told with 202, fetched by their owner, computed once for a key, and there in the end whatever dies."""

import json
from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import psutil
import pytest

from tests.conformance.answering import STACK, Answering, assert_accepted, brought_up
from tests.support.deployment import Deployment
from tests.support.load import at_a_steady_rate
from tests.support.vectors import TEXTS, assert_agrees

ENGLISH = {"inputs": TEXTS["english"]["text"]}
CHINESE = {"inputs": TEXTS["chinese"]["text"]}
# The function waits 27 s less 2 s for handing over; the gateway gives up after 29 s.
WAIT_S, GATEWAY_S = 25, 29
# Beyond the time that a message stays unseen whose worker died, and beyond every pause between attempts.
UNSEEN_S, ATTEMPTS_S = 300, 7200


@pytest.fixture(scope="module")
def up(deployment: Deployment) -> Iterator[Answering]:
    yield brought_up(deployment)
    deployment.report("destroy", STACK)


@pytest.fixture(scope="module")
def slow(up: Answering) -> "Future[httpx.Response]":
    """The first call after a rest: endpoint and function start for it, and its prediction takes longer than anybody waits.

    The other tests go on meanwhile; the last one looks at what became of it.
    """
    with up.one_call_held(WAIT_S + 20):
        call = up.later(ENGLISH)
    return call


@pytest.fixture(autouse=True)
def usual(up: Answering, slow: "Future[httpx.Response]") -> Iterator[None]:
    """Every test begins without faults, once the slow call has taken its own."""
    yield
    up.faulty()


def outputs_of(answer: httpx.Response) -> object:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["outputs"]


def test_who_prefers_it_is_answered_later_and_nobody_else_can_fetch_it(up: Answering) -> None:
    accepted = up.post(ENGLISH, prefer="respond-async")
    assert accepted.headers["preference-applied"] == "respond-async"
    url = assert_accepted(accepted)
    for refused, status in ((up.get(url, up.other), 404), (up.get(url, "no-key"), 403), (up.get(f"{url}0"), 404)):
        assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
    answer = up.answer(url)
    assert_agrees("english", outputs_of(answer))
    assert answer.content == up.get(url).content, "it can be fetched again"
    assert up.get(url, up.other).status_code == 404


def test_the_command_follows_the_address_and_prints_the_answer(up: Answering) -> None:
    printed = up.deployment.run("invoke", STACK, "--async", "--json", json.dumps(CHINESE)).stdout
    assert_agrees("chinese", json.loads(printed)["outputs"])
    url = up.deployment.run("invoke", STACK, "--async", "--no-wait", "--json", json.dumps(ENGLISH)).stdout.strip()
    assert_agrees("english", outputs_of(up.answer(url)))


def test_one_id_goes_from_the_gateway_to_the_model(up: Answering) -> None:
    accepted = up.post(ENGLISH, prefer="respond-async")
    assert up.answer(assert_accepted(accepted)).status_code == 200
    request_id = accepted.headers["x-amzn-requestid"]
    assert accepted.headers["x-request-id"] == request_id
    assert up.observed.line("apigateway", requestId=request_id)["status"] == "202"
    assert up.observed.line(f"{STACK}-predict", request_id=request_id, event="request")["status"] == 202
    assert up.observed.line(f"{STACK}-answers", request_id=request_id, event="answer_done")["status"] == 200
    assert up.observed.line("Endpoints", request_id=request_id, event="request")["status"] == 200


def test_an_id_that_the_caller_chose_leads_to_the_gateways_own(up: Answering) -> None:
    answer = up.post(ENGLISH, x_request_id="mine-1")
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "mine-1")
    told = up.observed.line(f"{STACK}-predict", request_id="mine-1", event="request")
    assert told["gateway_request_id"] == answer.headers["x-amzn-requestid"]
    assert up.observed.line("Endpoints", request_id="mine-1", event="request")["status"] == 200


def test_a_repeated_key_gets_the_same_answer_and_the_model_is_asked_once(up: Answering) -> None:
    first = up.post(ENGLISH, idempotency_key="one", x_request_id="first")
    assert "idempotent-replayed" not in first.headers
    assert_agrees("english", outputs_of(first))
    again = up.post(ENGLISH, idempotency_key="one", x_request_id="again")
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (200, first.content, "true")
    another = up.post(CHINESE, idempotency_key="one", x_request_id="another")
    assert (another.status_code, another.headers["content-type"]) == (422, "application/problem+json")
    somebody = up.post(CHINESE, key=up.other, idempotency_key="one", x_request_id="somebody")
    assert "idempotent-replayed" not in somebody.headers
    assert_agrees("chinese", outputs_of(somebody))
    up.observed.line("Endpoints", request_id="somebody")
    asked = {line["request_id"] for line in up.observed.lines("Endpoints") if "request_id" in line}
    assert asked & {"first", "again", "another", "somebody"} == {"first", "somebody"}


def test_what_was_handed_over_is_handed_over_once_for_a_key(up: Answering) -> None:
    first = up.post(ENGLISH, idempotency_key="handed", prefer="respond-async")
    again = up.post(ENGLISH, idempotency_key="handed", prefer="respond-async")
    assert (again.status_code, again.content, again.headers["location"]) == (202, first.content, first.headers["location"])
    assert again.headers["idempotent-replayed"] == "true"
    assert_agrees("english", outputs_of(up.answer(assert_accepted(first))))


def test_a_key_whose_first_request_is_under_way_is_in_conflict_and_a_failure_is_replayed(up: Answering) -> None:
    with up.one_call_held(3):
        first = up.later(ENGLISH, idempotency_key="two")
    meanwhile = up.post(ENGLISH, idempotency_key="two")
    assert not first.done()
    assert (meanwhile.status_code, meanwhile.headers["content-type"]) == (409, "application/problem+json")
    assert int(meanwhile.headers["retry-after"]) >= 1
    failed = first.result()
    assert failed.status_code == 502, failed.text
    again = up.post(ENGLISH, idempotency_key="two")
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (502, failed.content, "true")


def test_an_answer_comes_although_its_worker_was_killed(up: Answering) -> None:
    with up.one_call_held(60):
        url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
    workers = up.observed.processes("-answers")
    assert workers
    for pid in workers:
        psutil.Process(pid).kill()
    up.observed.wait(lambda: not workers.keys() & up.observed.processes().keys(), "the end of the workers")
    assert up.get(url).status_code == 202
    up.deployment.twin("clock", {"advance_s": UNSEEN_S})
    assert_agrees("english", outputs_of(up.answer(url)))


def test_a_dead_letter_is_told_to_its_caller_and_answered_after_a_replay(up: Answering) -> None:
    up.faulty(sagemaker={"error": 1})
    url = assert_accepted(up.post(CHINESE, prefer="respond-async"))
    up.deployment.twin("clock", {"advance_s": ATTEMPTS_S})
    failed = up.answer(url)
    assert (failed.status_code, failed.headers["content-type"]) == (502, "application/problem+json")
    up.faulty()
    replayed = json.loads(up.deployment.run("replay", STACK, "--json").stdout)
    assert (replayed["deadLetters"], replayed["moved"], replayed["left"]) == (1, 1, 0)
    [letter] = replayed["letters"]
    assert url.endswith(letter["answer"])
    assert letter["reason"]
    up.observed.wait(lambda: up.get(url).status_code == 200, "the answer after the replay")
    assert_agrees("chinese", outputs_of(up.get(url)))


def test_what_never_reached_its_worker_is_told_as_failed_and_answered_after_a_replay(up: Answering) -> None:
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


def test_a_cold_start_and_a_prediction_beyond_the_wait_are_answered_later(up: Answering, slow: "Future[httpx.Response]") -> None:
    accepted = slow.result()
    url = assert_accepted(accepted)
    assert WAIT_S - 1 < accepted.elapsed.total_seconds() < GATEWAY_S
    assert_agrees("english", outputs_of(up.answer(url)))


def test_without_answers_the_gateway_knows_no_results_and_no_call_fails_meanwhile(up: Answering) -> None:
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
