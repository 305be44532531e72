"""Answers that come later, on Google Cloud: what holds on every cloud, one id along the way, outages, and what is late."""

from collections.abc import Iterator

import pytest

from tests.conformance.answer_promises import CHINESE, ENGLISH, AnswerPromises, outputs_of
from tests.conformance.answering import GoogleAnswering, assert_accepted
from tests.support.deployment import Deployment
from tests.support.size import only_all
from tests.support.vectors import assert_agrees

# The first one has its answers in the ready stack.
STACKS = ("gcp-cloud-run-gpu-api", pytest.param("gcp-cloud-run-api", marks=only_all))
PAUSE_S = 600


@pytest.fixture(scope="module", params=STACKS)
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[GoogleAnswering]:
    stack = str(request.param)
    source = deployment.checkout / "components" / "gcp" / "gateway.py"
    before = source.read_bytes()
    yield GoogleAnswering.up(deployment, stack)
    deployment.report("destroy", stack)
    source.write_bytes(before)


@pytest.fixture(autouse=True)
def usual(up: GoogleAnswering) -> Iterator[None]:
    """Every test begins without faults."""
    yield
    up.deployment.twin("faults", {})


class TestOnGoogleCloud(AnswerPromises):
    """What holds on every cloud."""


@pytest.mark.parametrize("own", [None, "mine-1"])
def test_one_id_goes_from_the_gateway_over_the_worker_to_the_model(up: GoogleAnswering, own: str | None) -> None:
    accepted = up.post(ENGLISH, prefer="respond-async", **({} if own is None else {"x_request_id": own}))
    assert up.answer(assert_accepted(accepted)).status_code == 200
    request_id = accepted.headers["x-request-id"]
    told = up.observed.line("functionName", request_id=request_id, event="request")
    assert (told["status"], request_id) == (202, own or told["gateway_request_id"])
    assert up.observed.line(up.worker, request_id=request_id, event="answer_done")["status"] == 200
    assert up.observed.line("endpointName", request_id=request_id, event="request")["status"] == 200


def test_an_endpoint_that_is_out_is_answered_later(up: GoogleAnswering) -> None:
    up.faulty({"error": 1})
    url = assert_accepted(up.post(CHINESE))
    up.faulty()
    up.deployment.twin("clock", {"advance_s": PAUSE_S})
    assert_agrees("chinese", outputs_of(up.answer(url)))


@pytest.mark.parametrize("service", ["pubsub", "apigateway", "run"])
def test_an_outage_after_the_hand_over_ends_in_the_answer(up: GoogleAnswering, service: str) -> None:
    # The first attempt fails, the next one would come in the outage.
    up.faulty({"error": 1}, times=1)
    url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
    up.observed.wait(lambda: not up.deployment.twin("faults")["executions"]["times"], "the first attempt")
    up.deployment.twin("faults", {"outages": [service], "executions": None})
    up.deployment.twin("clock", {"advance_s": PAUSE_S})
    asked = up.get(url).status_code
    assert asked == (503 if service != "pubsub" else 202)
    up.deployment.twin("faults", {})
    up.deployment.twin("clock", {"advance_s": PAUSE_S})
    assert_agrees("english", outputs_of(up.answer(url)))


def test_without_its_store_a_request_is_refused_and_nothing_is_promised(up: GoogleAnswering) -> None:
    up.deployment.twin("faults", {"outages": ["storage"]})
    refused = up.post(ENGLISH, prefer="respond-async")
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
    assert int(refused.headers["retry-after"]) >= 1


@only_all
def test_a_prediction_beyond_the_wait_is_answered_later(up: GoogleAnswering) -> None:
    with up.one_call_held(120):
        call = up.later(ENGLISH)
    assert_agrees("english", outputs_of(up.answer(assert_accepted(call.result()))))
