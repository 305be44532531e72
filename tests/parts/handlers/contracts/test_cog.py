"""Cog's contract with a client of httpx, and a receiver of webhooks of the test's own (`heard`)."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.functions.environment import SettingsError
from handlers.server.contracts import webhooks
from handlers.settings import HandlerSettings
from tests.parts.handlers.contracts.conftest import problem
from tests.parts.handlers.processes import running

INPUT = {"input": {"inputs": "cold start"}}
# Seconds of computing, if nobody ends it.
LONG = {"input": {"inputs": ["cold " * 60] * 30_000}}
LATER = {"prefer": "respond-async"}
WIDE = {"MAX_INPUTS": "100000", "MAX_BODY_BYTES": "100000000", "MAX_ANSWER_BYTES": "1000000000"}


@pytest.fixture
def cog(sentences, workshop, receiver):
    """A server that may call the receiver, and takes long work."""
    with running(workshop, MODEL_DIR=str(sentences), WEBHOOKS_URI=receiver.root, **WIDE) as started:
        yield started


def statuses(states):
    return [state["status"] for state in states]


def test_a_prediction_is_answered_at_once_with_its_state(embedder):
    told = embedder.client.post("/predictions", json=INPUT | {"id": "mine"}).json()
    assert told["output"] == embedder.predict({"inputs": "cold start"}).json()["outputs"]
    assert (told["id"], told["status"], told["error"], told["logs"]) == ("mine", "succeeded", None, "")
    assert told["metrics"]["predict_time"] > 0
    assert told["created_at"] <= told["started_at"] <= told["completed_at"]


def test_a_state_tells_again_what_was_sent(embedder):
    asked = INPUT | {"id": "mine", "created_at": "2026-01-02T03:04:05Z", "context": {"a": 1}}
    told = embedder.client.put("/predictions/mine", json=asked).json()
    assert (told["input"], told["created_at"]) == (asked["input"], asked["created_at"])
    later = embedder.client.post("/predictions", json=asked, headers=LATER).json()
    assert (later["input"], later["created_at"]) == (asked["input"], asked["created_at"])
    assert problem(embedder.client.post("/predictions", json=INPUT | {"created_at": 1})) == (422, "input-refused")


def test_the_front_leads_to_every_route_that_it_names(embedder):
    front = embedder.client.get("/").json()
    assert embedder.client.get(front["healthcheck_url"]).json()["status"] == "READY"
    assert embedder.client.post(front["predictions_url"], json=INPUT).status_code == 200
    assert embedder.client.put(front["predictions_idempotent_url"].format(prediction_id="mine"), json=INPUT).status_code == 200
    assert problem(embedder.client.post(front["predictions_cancel_url"].format(prediction_id="mine"))) == (404, "prediction-unknown")


def test_a_wish_may_be_one_of_several_lines(embedder):
    answer = embedder.client.post("/predictions", json=INPUT, headers=[("Prefer", "respond-async"), ("Prefer", "wait=5")])
    assert answer.status_code == 202


def test_parameters_of_the_task_stand_beside_the_inputs(labeller):
    told = labeller.client.post("/predictions", json={"input": {"inputs": "cold", "top_k": 2}}).json()
    assert told["output"] == labeller.predict({"inputs": "cold", "parameters": {"top_k": 2}}).json()["outputs"]
    assert problem(labeller.client.post("/predictions", json={"input": {"inputs": "cold", "seed": 1}})) == (422, "input-refused")


@pytest.mark.parametrize("headers", [{}, LATER], ids=["waited for", "later"])
def test_a_webhook_hears_every_state_in_order(cog, heard, headers):
    hook = f"{heard.root}mine?a=1"
    answer = cog.client.post("/predictions", json=INPUT | {"id": "mine", "webhook": hook}, headers=headers)
    assert answer.status_code == (202 if headers else 200)
    assert answer.json()["status"] == ("starting" if headers else "succeeded")
    states = heard.until(3)
    assert statuses(states) == ["starting", "processing", "succeeded"]
    assert {state["id"] for state in states} == {"mine"}
    assert set(heard.paths) == {"/hooks/mine?a=1"}
    expected = cog.predict({"inputs": "cold start"}).json()["outputs"]
    assert [state["output"] for state in states] == [None, expected, expected]


def test_only_the_events_that_were_asked_for_are_told(cog, heard):
    body = INPUT | {"webhook": f"{heard.root}mine", "webhook_events_filter": ["completed"]}
    cog.client.post("/predictions", json=body, headers=LATER)
    assert statuses(heard.until(1)) == ["succeeded"]
    cog.client.post("/predictions", json=body | {"webhook_events_filter": []}, headers=LATER)
    cog.client.post("/predictions", json=body, headers=LATER)
    assert statuses(heard.until(2)) == ["succeeded", "succeeded"]


@pytest.mark.parametrize(("answers", "count"), [([500, 429, 503], 4), ([404], 1), ([302], 1)], ids=["passing", "for good", "elsewhere"])
def test_the_end_is_told_until_it_is_heard(cog, heard, answers, count):
    heard.statuses = answers
    cog.client.post("/predictions", json=INPUT | {"webhook": f"{heard.root}mine", "webhook_events_filter": ["completed"]})
    heard.until(count)
    time.sleep(0.6)
    assert statuses(heard.states) == ["succeeded"] * count
    assert set(heard.paths) == {"/hooks/mine"}


def test_a_webhook_that_nobody_answers_is_a_line_of_the_log(cog, heard):
    heard.statuses = [500] * 9
    cog.client.post("/predictions", json=INPUT | {"webhook": f"{heard.root}mine", "webhook_events_filter": ["completed"]})
    heard.until(5)
    until = time.monotonic() + 10
    while '"reason":"status 500"' not in cog.log and time.monotonic() < until:
        time.sleep(0.02)
    assert any('"webhook_failed"' in line and '"reason":"status 500"' in line for line in cog.log.splitlines())


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/hooks/mine",
        "HTTP{root}mine",
        "{root}../mine",
        "{root}%2e%2e/mine",
        "{root}..%5cmine",
        "{root}..?mine",
        "{root}a/..#mine",
        "{root}.?mine",
        "{root}..;/mine",
        "{root}a/..;a=b/mine",
        "{root}..%3b/mine",
        "{root}%252e%252e/mine",
        "{root}%2e%2e%3fmine",
        "{root}mine%2525252525252525252525252541",
        "{root}a b",
        "{root}a\r\nHost: b",
        "{root}\u00e4",
        "{folder}-others/a",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_webhook_elsewhere_is_refused_before_anything_is_computed(cog, heard, address):
    hook = address.format(root=heard.root, folder=heard.root.rstrip("/")) if not address.startswith("HTTP") else heard.root.upper()
    answer = cog.client.post("/predictions", json=INPUT | {"webhook": hook})
    assert problem(answer) == (422, "input-refused")
    assert heard.root in answer.json()["detail"]
    assert heard.states == []


@pytest.mark.parametrize("address", ["mine?a=/../b", "mine?..", "a%20b/..mine/c", "mine;a=.."])
def test_dots_that_are_no_step_of_a_webhooks_path_are_its_own(heard, address):
    webhooks.check(heard.root + address, heard.root)


@pytest.mark.parametrize(
    "root",
    [
        "https://example.com",
        "ftp://example.com/",
        "https:///hooks/",
        "https://a@b/",
        "https://a/?b",
        "https://a:99999/",
        "https://a:0/",
        "https://a/b",
    ],
)
def test_a_root_of_webhooks_that_could_let_others_in_is_refused_at_start(root):
    with pytest.raises(SettingsError, match="WEBHOOKS_URI"):
        HandlerSettings.from_environment({"WEBHOOKS_URI": root})


def test_no_webhook_is_called_where_the_operator_allows_none(embedder):
    answer = embedder.client.post("/predictions", json=INPUT | {"webhook": "https://example.com/"})
    assert problem(answer) == (422, "input-refused")
    assert "WEBHOOKS_URI" in answer.json()["detail"]


def test_what_runs_is_told_again_by_its_id_and_not_begun_again(cog, heard):
    body = LONG | {"webhook": f"{heard.root}mine", "webhook_events_filter": ["start", "completed"]}
    assert cog.client.put("/predictions/mine", json=body, headers=LATER).status_code == 202
    heard.until(1)
    for headers in ({}, LATER):
        again = cog.client.put("/predictions/mine", json=body, headers=headers)
        assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, "mine", "processing")
    assert cog.client.post("/predictions/mine/cancel").status_code == 200
    assert statuses(heard.until(2)) == ["starting", "canceled"]
    # Over is forgotten: the same id is a new prediction.
    assert cog.client.put("/predictions/mine", json=INPUT).json()["status"] == "succeeded"


def test_a_prediction_that_is_ended_frees_the_model(cog):
    before = time.monotonic()
    cog.client.put("/predictions/mine", json=LONG, headers=LATER)
    assert cog.client.post("/predictions/mine/cancel").json() == {}
    assert cog.client.post("/predictions", json=INPUT).json()["status"] == "succeeded"
    assert time.monotonic() - before < 5
    assert problem(cog.client.post("/predictions/mine/cancel")) == (404, "prediction-unknown")


def test_a_prediction_that_a_client_waits_for_is_not_ended_by_others(cog, heard):
    body = {"input": {"inputs": ["cold " * 60] * 1500}, "webhook": f"{heard.root}a", "webhook_events_filter": ["start"]}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cog.client.put, "/predictions/mine", json=body)
        heard.until(1)
        assert cog.client.put("/predictions/mine", json=INPUT).status_code == 202
        assert problem(cog.client.post("/predictions/mine/cancel")) == (404, "prediction-unknown")
        assert waiting.result().json()["status"] == "succeeded"


def test_a_prediction_that_fails_is_a_state_and_no_status(sentences, workshop, heard):
    limits = WIDE | {"REQUEST_TIMEOUT_S": "0.2"}
    with running(workshop, MODEL_DIR=str(sentences), WEBHOOKS_URI=heard.root, **limits) as started:
        told = started.client.post("/predictions", json=LONG)
        assert (told.status_code, told.json()["status"], told.json()["output"]) == (200, "failed", None)
        assert "longer than the 0.2 s" in told.json()["error"]
        started.client.post("/predictions", json=LONG | {"webhook": f"{heard.root}a"}, headers=LATER)
        assert statuses(heard.until(2)) == ["starting", "failed"]
        assert "prediction_failed" in started.log


def test_what_the_model_refuses_is_refused_before_who_does_not_wait_is_told_that_it_runs(cog, heard):
    body = {"input": {"inputs": "cold", "top_k": 1}, "webhook": f"{heard.root}a", "webhook_events_filter": ["completed"]}
    answer = cog.client.post("/predictions", json=body, headers=LATER)
    assert problem(answer) == (422, "input-refused")
    assert "takes none" in answer.json()["detail"]
    assert cog.client.post("/predictions", json=body | {"input": {"inputs": "cold"}}, headers=LATER).status_code == 202
    (state,) = heard.until(1)
    assert state["status"] == "succeeded"


def test_what_says_nothing_here_is_passed_over(cog):
    body = INPUT | {"output_file_prefix": "https://example.com", "version": "5c7d5dc6"}
    assert cog.client.post("/predictions", json=body).json()["status"] == "succeeded"
    # One preference of another name, whose value reads like it.
    assert cog.client.post("/predictions", json=INPUT, headers={"Prefer": "handling=respond-async"}).status_code == 200
    assert cog.client.post("/predictions", json=INPUT, headers={"Prefer": "wait=5, respond-async"}).status_code == 202


@pytest.mark.parametrize(
    "given",
    [b'{"inputs":"cold","top_k":1000000000000000000000000000000}', b'{"inputs":"cold","a":"\\ud800"}', b'{"inputs":"cold","\\ud800":1}'],
    ids=str,
)
@pytest.mark.parametrize("sent", [{}, LATER])
def test_an_input_that_no_state_could_tell_again_is_refused_and_takes_no_place(sentences, workshop, receiver, given, sent):
    with running(workshop, MODEL_DIR=str(sentences), WEBHOOKS_URI=receiver.root, MAX_QUEUE="2") as started:
        for webhook in (b"", b"", b', "webhook": "%s"' % f"{receiver.root}/a".encode()):
            body = b'{"input":%b%b}' % (given, webhook)
            answer = started.client.post("/predictions", content=body, headers={"content-type": "application/json", **sent})
            assert problem(answer) == (422, "input-refused")
        assert started.client.get("/health-check").json()["status"] == "READY"
        assert started.client.post("/predictions", json=INPUT).json()["status"] == "succeeded"


def test_more_than_may_wait_is_refused_at_once(sentences, workshop):
    with running(workshop, MODEL_DIR=str(sentences), **WIDE | {"MAX_QUEUE": "1"}) as started:
        assert started.client.put("/predictions/a", json=LONG, headers=LATER).status_code == 202
        until = time.monotonic() + 30
        # Until the model has taken it up, it is the queue that is full.
        while "pilotlight_waiting 0" not in started.client.get("/metrics").text:
            assert time.monotonic() < until
        refused = started.client.put("/predictions/b", json=INPUT, headers=LATER)
        assert problem(refused) == (409, "slots-in-use")
        assert refused.headers["retry-after"] == "1"
        assert started.client.get("/health-check").json()["status"] == "BUSY"
        assert started.client.post("/predictions/a/cancel").status_code == 200
        until = time.monotonic() + 30
        while started.client.get("/health-check").json()["status"] != "READY":
            assert time.monotonic() < until


def test_health_tells_what_the_model_does(sentences, workshop):
    with running(workshop, ready=False, MODEL_DIR=str(sentences), **WIDE | {"MAX_QUEUE": "1"}) as started:
        seen = set()
        until = time.monotonic() + 30
        while "READY" not in seen and time.monotonic() < until:
            try:
                told = started.client.get("/health-check").json()
                seen.add(told["status"])
            except Exception:  # noqa: BLE001  (the port is not open yet)
                continue
        assert seen <= {"STARTING", "READY"}
        assert told["setup"]["status"] == "succeeded"
        assert told["setup"]["started_at"] < told["setup"]["completed_at"]

        def until_answered():
            while (answer := started.predict({"inputs": ["cold " * 60] * 800})).status_code == 503:
                time.sleep(0.01)
            return answer.status_code

        with ThreadPoolExecutor(2) as pool:
            # One is computed, one fills the queue.
            asked = [pool.submit(until_answered) for _ in range(2)]
            while (told := started.client.get("/health-check").json()["status"]) == "READY" and not asked[0].done():
                time.sleep(0.005)
            assert told == "BUSY"
            assert [each.result() for each in asked] == [200, 200]


@pytest.mark.parametrize(("drain_s", "end"), [("20", "succeeded"), ("1", "canceled")])
def test_a_server_that_leaves_finishes_what_runs_and_tells_it(sentences, workshop, heard, drain_s, end):
    limits = WIDE | {"DRAIN_S": drain_s, "WEBHOOKS_URI": heard.root}
    with running(workshop, MODEL_DIR=str(sentences), **limits) as started:
        work = {"input": {"inputs": ["cold " * 60] * (1500 if end == "succeeded" else 30_000)}}
        body = work | {"webhook": f"{heard.root}a", "webhook_events_filter": ["start", "completed"]}
        started.client.post("/predictions", json=body, headers=LATER)
        heard.until(1)
        started.process.send_signal(signal.SIGTERM)
        assert statuses(heard.until(2)) == ["starting", end]
        assert started.process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "has no 'input'"),
        ({"input": "cold"}, "'input' is a text"),
        ({"input": {}}, "an object with 'inputs'"),
        ({"input": {"inputs": 1}}, "'input.inputs' is a number"),
        (INPUT | {"id": "a b"}, "'id' is not"),
        (INPUT | {"id": 7}, "'id' is not"),
        (INPUT | {"id": "a" * 129}, "'id' is not"),
        (INPUT | {"webhook": 7}, "'webhook' is a number"),
        (INPUT | {"webhook_events_filter": ["end"]}, "start, output, logs, completed"),
        (INPUT | {"webhook_events_filter": [[]]}, "start, output, logs, completed"),
        (INPUT | {"output_prefix": "https://example.com"}, "output_prefix"),
    ],
    ids=str,
)
def test_what_is_not_meant_is_refused_by_name(embedder, body, said):
    answer = embedder.client.post("/predictions", json=body)
    assert problem(answer) == (422, "input-refused")
    assert said in answer.json()["detail"]


def test_the_path_and_the_body_name_the_same_prediction(embedder):
    assert problem(embedder.client.put("/predictions/a", json=INPUT | {"id": "b"})) == (422, "input-refused")
    assert problem(embedder.client.put("/predictions/a%20b", json=INPUT)) == (422, "input-refused")


def test_a_stream_is_refused_by_name(embedder):
    answer = embedder.client.post("/predictions", json=INPUT, headers={"accept": "text/event-stream"})
    assert problem(answer) == (406, "not-acceptable")
    # Not where JSON will do.
    for accepted in ("application/json, text/event-stream", "text/event-stream, */*;q=0.1"):
        assert embedder.client.post("/predictions", json=INPUT, headers={"accept": accepted}).json()["status"] == "succeeded"
