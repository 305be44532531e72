"""Answers that come later: told with 202, fetched by their owner, computed once for a key, there in the end whatever dies.

One stack of each cloud by default, all that have answers with PILOTLIGHT_ALL=1.
"""

import json
from collections.abc import Iterator

import psutil
import pytest

from tests.conformance.answering import (
    ANSWERED,
    ANSWERING,
    ATTEMPTS_S,
    CHINESE,
    ENGLISH,
    WAIT_S,
    Answering,
    AwsAnswering,
    AzureAnswering,
    GoogleAnswering,
    assert_accepted,
    outputs_of,
)
from tests.support.deployment import Deployment
from tests.support.load import at_a_steady_rate
from tests.support.size import only_all
from tests.support.vectors import assert_agrees

# Beyond the time that a message stays unseen whose worker died; of one pause on Google Cloud.
UNSEEN_S, PAUSE_S = 600, 600
# The gateway of AWS gives up.
GATEWAY_S = 29


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Answering]:
    ready = request.param
    half = ANSWERING[ready.cloud]
    edited = [deployment.checkout / half.source, deployment.checkout / "stacks" / f"Pulumi.{ready.name}.yaml"]
    before = [path.read_bytes() for path in edited]
    made = half.up(deployment, ready.name)
    made.begin()
    yield made
    deployment.report("destroy", ready.name)
    for path, content in zip(edited, before, strict=True):
        path.write_bytes(content)


@pytest.fixture(autouse=True)
def usual(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test begins without faults."""
    yield
    if "up" in request.fixturenames:
        request.getfixturevalue("up").deployment.twin("faults", {})


def on(*clouds: str, large: str | None = None) -> pytest.MarkDecorator:
    """Every stack with answers, of these clouds alone for what only they have; the first of each in every run, but for the cloud where
    that is `large`."""
    runs = []
    for ready in ANSWERED:
        first = next(other for other in ANSWERED if other.cloud == ready.cloud)
        marks = [] if ready is first and ready.cloud != large else [only_all]
        if clouds and ready.cloud not in clouds:
            marks = [pytest.mark.skip(reason=f"only {' and '.join(clouds)}")]
        runs.append(pytest.param(ready, id=ready.name, marks=marks))
    return pytest.mark.parametrize("up", runs, indirect=True, scope="module")


def test_every_cloud_with_answers_is_held_to_them() -> None:
    assert {ready.cloud for ready in ANSWERED} == set(ANSWERING)


@on(large="gcp")
class TestEverywhere:
    @pytest.mark.parametrize("own", [None, "mine-1"])
    def test_one_id_goes_from_the_gateway_over_the_worker_to_the_model(self, up: Answering, own: str | None) -> None:
        accepted = up.post(ENGLISH, prefer="respond-async", **({} if own is None else {"x_request_id": own}))
        assert up.answer(assert_accepted(accepted)).status_code == 200
        request_id = accepted.headers["x-request-id"]
        told = up.observed.line(up.function_lines, request_id=request_id, event="request")
        assert (told["status"], request_id) == (202, own or told["gateway_request_id"])
        up.assert_known_at_the_gateway(accepted, told["gateway_request_id"])
        assert up.observed.line(up.worker, request_id=request_id, event="answer_done")["status"] == 200
        assert up.observed.line(up.model_lines, request_id=request_id, event="request")["status"] == 200

    def test_who_prefers_it_is_answered_later_and_nobody_else_can_fetch_it(self, up: Answering) -> None:
        accepted = up.post(ENGLISH, prefer="respond-async")
        assert accepted.headers["preference-applied"] == "respond-async"
        url = assert_accepted(accepted)
        for refused, status in ((up.get(url, up.other), 404), (up.get(f"{url}0"), 404)):
            assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
        assert up.get(url, "no-key").status_code == up.wrong_key
        answer = up.answer(url)
        assert_agrees("english", outputs_of(answer))
        assert answer.content == up.get(url).content, "it can be fetched again"
        assert up.get(url, up.other).status_code == 404

    def test_the_command_follows_the_address_and_prints_the_answer(self, up: Answering) -> None:
        printed = up.deployment.run("invoke", up.stack, "--async", "--json", json.dumps(CHINESE)).stdout
        assert_agrees("chinese", json.loads(printed)["outputs"])
        url = up.deployment.run("invoke", up.stack, "--async", "--no-wait", "--json", json.dumps(ENGLISH)).stdout.strip()
        assert_agrees("english", outputs_of(up.answer(url)))

    def test_a_repeated_key_gets_the_same_answer_and_the_model_is_asked_once(self, up: Answering) -> None:
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
        up.observed.line(up.model_lines, request_id="somebody")
        asked = {line["request_id"] for line in up.observed.lines(up.model_lines) if "request_id" in line}
        assert asked & {"first", "again", "another", "somebody"} == {"first", "somebody"}

    def test_what_was_handed_over_is_handed_over_once_for_a_key(self, up: Answering) -> None:
        first = up.post(ENGLISH, idempotency_key="handed", prefer="respond-async")
        again = up.post(ENGLISH, idempotency_key="handed", prefer="respond-async")
        assert (again.status_code, again.content, again.headers["location"]) == (202, first.content, first.headers["location"])
        assert again.headers["idempotent-replayed"] == "true"
        assert_agrees("english", outputs_of(up.answer(assert_accepted(first))))

    def test_a_key_whose_first_request_is_under_way_is_in_conflict_and_its_answer_is_replayed(self, up: Answering) -> None:
        with up.one_call_held(3):
            first = up.later(ENGLISH, idempotency_key="two")
        meanwhile = up.post(ENGLISH, idempotency_key="two")
        assert not first.done()
        assert (meanwhile.status_code, meanwhile.headers["content-type"]) == (409, "application/problem+json")
        assert int(meanwhile.headers["retry-after"]) >= 1
        answered = first.result()
        assert answered.status_code == up.held, answered.text
        again = up.post(ENGLISH, idempotency_key="two")
        assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (up.held, answered.content, "true")
        if up.held == 202:
            # Else its worker would be the one that the next test finds.
            assert up.answer(assert_accepted(again)).status_code == 200

    def test_an_answer_comes_although_its_worker_was_killed(self, up: Answering) -> None:
        with up.one_call_held(60):
            url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
        workers = up.observed.processes(up.worker)
        assert workers
        for pid in workers:
            psutil.Process(pid).kill()
        up.observed.wait(lambda: not workers.keys() & up.observed.processes().keys(), "the end of the workers")
        assert up.get(url).status_code == 202
        up.deployment.twin("clock", {"advance_s": UNSEEN_S})
        assert_agrees("english", outputs_of(up.answer(url)))


@on(large="azure")
def test_a_dead_letter_is_told_to_its_caller_and_answered_after_a_replay(up: Answering) -> None:
    """On Azure each attempt takes the longest pause of the queue, in the machine's time."""
    # Else what was begun before would be a second one.
    up.settled()
    up.faulty({"error": 1})
    url = assert_accepted(up.post(CHINESE, prefer="respond-async"))
    failed = up.given_up(url)
    assert (failed.status_code, failed.headers["content-type"]) == (up.failed, "application/problem+json")
    up.faulty()
    replayed = json.loads(up.deployment.run("replay", up.stack, "--json").stdout)
    assert (replayed["deadLetters"], replayed["moved"], replayed["left"]) == (1, 1, 0)
    [letter] = replayed["letters"]
    assert url.endswith(letter["answer"])
    assert letter["reason"]
    up.observed.wait(lambda: up.get(url).status_code == 200, "the answer after the replay")
    assert_agrees("chinese", outputs_of(up.get(url)))


@on("azure", "gcp")
def test_an_endpoint_that_is_out_is_answered_later(up: Answering) -> None:
    up.faulty({"error": 1})
    url = assert_accepted(up.post(CHINESE))
    up.faulty()
    up.deployment.twin("clock", {"advance_s": PAUSE_S})
    assert_agrees("chinese", outputs_of(up.answer(url)))


@on("aws")
def test_an_outage_of_sagemaker_ends_in_the_answer(up: AwsAnswering) -> None:
    up.deployment.twin("faults", {"outages": ["sagemaker"]})
    url = assert_accepted(up.post(CHINESE))
    up.observed.line(up.worker, event="answer_attempt_failed", answer=url.rpartition("/")[2])
    up.deployment.twin("faults", {})
    up.deployment.twin("clock", {"advance_s": UNSEEN_S})
    assert_agrees("chinese", outputs_of(up.answer(url)))


@on("gcp")
@pytest.mark.parametrize("service", ["pubsub", "apigateway", "run"])
def test_an_outage_on_google_cloud_after_the_hand_over_ends_in_the_answer(up: GoogleAnswering, service: str) -> None:
    assert_an_outage_ends_in_the_answer(up, service, 503 if service != "pubsub" else 202)


@on("azure")
@pytest.mark.parametrize("service", ["queue", pytest.param("apigateway", marks=only_all), pytest.param("app", marks=only_all)])
def test_an_outage_on_azure_after_the_hand_over_ends_in_the_answer(up: AzureAnswering, service: str) -> None:
    assert_an_outage_ends_in_the_answer(up, service, 503 if service != "queue" else 202)


def assert_an_outage_ends_in_the_answer(up: Answering, service: str, meanwhile: int) -> None:
    """Who asks for the answer in the outage is told `meanwhile`."""
    # The first attempt fails, the next one would come in the outage.
    up.faulty({"error": 1})
    url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
    up.observed.line(up.worker, event="answer_attempt_failed", answer=url.rpartition("/")[2])
    up.deployment.twin("faults", {"outages": [service], "executions": None})
    up.deployment.twin("clock", {"advance_s": PAUSE_S})
    assert up.get(url).status_code == meanwhile
    up.deployment.twin("faults", {})
    up.deployment.twin("clock", {"advance_s": PAUSE_S})
    assert_agrees("english", outputs_of(up.answer(url)))


@on()
def test_without_its_store_a_request_is_refused_and_nothing_is_promised(up: Answering) -> None:
    for store in up.stores:
        up.deployment.twin("faults", {"outages": [store]})
        refused = up.post(ENGLISH, prefer="respond-async")
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json"), store
        assert int(refused.headers["retry-after"]) >= 1, store


@on("azure", "gcp")
@only_all
def test_a_prediction_beyond_the_wait_is_answered_later(up: Answering) -> None:
    with up.one_call_held(120):
        call = up.later(ENGLISH)
    assert_agrees("english", outputs_of(up.answer(assert_accepted(call.result()))))


@on("aws")
@only_all
def test_what_never_reached_its_worker_is_told_as_failed_and_answered_after_a_replay(up: AwsAnswering) -> None:
    """The worker is throttled until the message is a dead letter; then it runs again."""
    limit = (r"^( +)statements=answers\.rights_of_worker,$", r"\g<0>\n\1reserved_concurrency=0,")
    up.deployment.edit("components/aws/answer_worker.py", *limit)
    assert up.deployment.up(up.stack)["result"] == "succeeded"
    url = assert_accepted(up.post(CHINESE, prefer="respond-async"))
    up.deployment.twin("clock", {"advance_s": ATTEMPTS_S})
    assert up.get(url).status_code == 202, "the function's own clock was not moved"
    up.aged(url, ATTEMPTS_S)
    failed = up.get(url)
    assert (failed.status_code, failed.headers["content-type"]) == (502, "application/problem+json")
    assert "`pilotlight replay STACK`" in failed.json()["detail"]
    up.deployment.edit("components/aws/answer_worker.py", r"^ +reserved_concurrency=0,\n", "")
    assert up.deployment.up(up.stack)["result"] == "succeeded"
    replayed = json.loads(up.deployment.run("replay", up.stack, "--json").stdout)
    assert (replayed["deadLetters"], replayed["moved"], replayed["left"]) == (1, 1, 0)
    up.observed.wait(lambda: up.get(url).status_code == 200, "the answer after the replay")
    assert_agrees("chinese", outputs_of(up.get(url)))


@on("aws")
def test_a_cold_start_and_a_prediction_beyond_the_wait_are_answered_later(up: AwsAnswering) -> None:
    accepted = up.slow.result()
    url = assert_accepted(accepted)
    assert WAIT_S - 1 < accepted.elapsed.total_seconds() < GATEWAY_S
    assert_agrees("english", outputs_of(up.answer(url)))


@on("aws")
def test_without_answers_the_gateway_knows_no_results_and_no_call_fails_meanwhile(up: AwsAnswering) -> None:
    """The last one: it takes the answers away."""
    url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
    assert_agrees("english", outputs_of(up.answer(url)))
    up.deployment.configure(up.stack, {"answers": None})
    with at_a_steady_rate(lambda: up.post(ENGLISH), per_second=2) as calls:
        assert up.deployment.up(up.stack)["result"] == "succeeded"
    # On a busy machine some are answered later until the function changes.
    assert (calls.errors, [answer.text for answer in calls.results if answer.status_code not in (200, 202)]) == ([], [])
    gone, nowhere = up.get(url), up.get(f"{up.outputs['url']}/deeper")
    assert (gone.status_code, gone.headers["x-amzn-errortype"]) == (404, "MissingAuthenticationTokenException")
    assert gone.json()["detail"] == nowhere.json()["detail"] == "There is only POST /predict here."
    up.deployment.configure(up.stack, {"answers": {"async": True}})
    assert up.deployment.up(up.stack)["result"] == "succeeded"
    again = up.get(url)
    assert (again.status_code, again.json()["title"]) == (404, "No such answer"), "the route is back, what it led to went"
