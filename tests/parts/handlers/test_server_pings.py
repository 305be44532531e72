"""Pings of the warming plan at the model server: the whole path of a request, and in no figure of the requests."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions import pings
from handlers.functions.pings import LEAST_HOLD_S, MOST_HOLD_S, Ping
from handlers.functions.problems import DeadlineExceeded, InputRefused
from handlers.functions.requests import PredictionRequest
from handlers.server.service import Service
from handlers.server.stages import AHEAD_S, Stages
from handlers.settings import HandlerSettings
from tests.parts.handlers.events import EVENTS
from tests.parts.handlers.processes import running
from tests.parts.handlers.test_lambda_mode import SECONDS, lambda_process
from tests.support.waiting import until

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@pytest.fixture
def fresh(tiny, tmp_path):
    """A server that nobody has asked yet."""
    with running(tmp_path, MODEL_DIR=str(tiny)) as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def held_for_long(tiny, workshop):
    """The answer to a first ping that is held for longer than a start may be ahead; the other tests run meanwhile."""
    with ThreadPoolExecutor(1) as pool, running(workshop, MODEL_DIR=str(tiny)) as started:
        yield pool.submit(pinged, started, AHEAD_S + 0.5)


def pinged(server, hold_s=LEAST_HOLD_S, request_id="ping-1", body=pings.REQUEST):
    return server.client.post("/invocations", json=body, headers={ATTRIBUTES: Ping(request_id, hold_s).attributes})


def counters(server):
    lines = server.client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def logged(text, event):
    return [line for line in map(json.loads, (line for line in text.splitlines() if line.startswith("{"))) if line["event"] == event]


def test_a_ping_of_sagemaker_takes_the_path_up_to_the_model_and_tells_whether_it_was_cold(fresh):
    first, second = (pinged(fresh).json()["ping"] for _ in range(2))
    assert (first["cold"], second["cold"]) == (True, False)
    assert first["stages"]["load"] > 0
    assert first["stages"]["first"] > 0
    assert second["stages"] == {}
    assert first["instance"] == second["instance"]


def test_a_ping_that_has_no_time_is_in_no_figure_of_requests():
    service = Service(HandlerSettings(), Stages(0.0))

    def late():
        return re.search(
            r'shed_total\{reason="deadline"\} (\d+)', service.metrics.text(ready=False, waiting=0, stages={}, tokens={}, spans={})
        )[1]

    with pytest.raises(DeadlineExceeded):
        service.ping_within(Ping("ping-1", LEAST_HOLD_S), 0)
    assert late() == "0"
    with pytest.raises(DeadlineExceeded):
        service.answer_within(PredictionRequest(("text",), False, {}), "request-1", 0)
    assert late() == "1"


def test_a_ping_counts_in_its_own_figures_only(fresh):
    assert pinged(fresh).status_code == 200
    counted = counters(fresh)
    assert counted['pilotlight_pings_total{status="200"}'] == 1
    assert counted["pilotlight_prediction_seconds_count"] == counted["pilotlight_prediction_seconds_sum"] == 0
    # The requests of the metrics themselves, and of waiting for the server, are answers; a ping is none.
    before = counted['pilotlight_answers_total{status="200"}']
    assert pinged(fresh).status_code == 200
    assert counters(fresh)['pilotlight_answers_total{status="200"}'] == before + 1
    assert logged(fresh.log, "request") == logged(fresh.log, "cold_start") == []
    assert [(line["request_id"], line["status"], line["cold"]) for line in logged(fresh.log, "ping")] == [
        ("ping-1", 200, True),
        ("ping-1", 200, False),
    ]


def test_the_latency_of_a_service_is_of_its_requests_alone(tiny, tmp_path):
    with running(tmp_path, MODEL_DIR=str(tiny), SERVICE="mine") as started:
        assert pinged(started).status_code == 200
        sent = {"/invocations": 200, "/predict": 200, "/invocations?": 422}
        for route, status in sent.items():
            body = {"inputs": "call"} if status == 200 else {"text": "call"}
            assert started.client.post(route, json=body).status_code == status
        # Of the last one it is written after the answer is sent.
        until(lambda: started.log.count('"_aws"') == len(sent))
    lines = [line for line in map(json.loads, started.log.splitlines()) if "_aws" in line]
    assert [line["event"] for line in lines] == ["request"] * len(sent)
    for line in lines:
        [told] = line["_aws"]["CloudWatchMetrics"]
        assert told == {
            "Namespace": "Pilotlight",
            "Dimensions": [["Service"]],
            "Metrics": [{"Name": "RequestLatency", "Unit": "Milliseconds"}],
        }
        assert line["Service"] == "mine"
        assert line["RequestLatency"] == line["ms"] > 0


def test_the_latency_of_a_model_that_is_a_function_is_of_its_requests_alone(tiny, tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny), SERVICE="mine") as (api, _):
        api.invoke({"ping": {"requestId": "start", "holdSeconds": 0.1}}, SECONDS)
        api.invoke(EVENTS["rest"]({"inputs": "call"}), SECONDS)
        api.invoke({"inputs": "call"}, SECONDS)
    lines = [line for line in map(json.loads, (tmp_path / "lambda.log").read_text().splitlines()) if "_aws" in line]
    assert [(line["event"], line["Service"], line["RequestLatency"] > 0) for line in lines] == [("request", "mine", True)] * 2


def test_a_cold_start_that_a_ping_took_is_in_no_callers_answer(fresh):
    assert pinged(fresh).json()["ping"]["cold"] is True
    answer = fresh.client.post("/invocations", json={"inputs": "call"}, headers={ATTRIBUTES: "request-id=caller-1"})
    assert answer.status_code == 200
    assert "server-timing" not in answer.headers
    assert counters(fresh)["pilotlight_prediction_seconds_count"] == 1


@pytest.mark.parametrize(("asked", "held"), [(0.0, LEAST_HOLD_S), (0.3, 0.3)])
def test_a_ping_holds_its_instance_as_long_as_it_says_and_not_less_than_the_least(server, asked, held):
    started = time.monotonic()
    assert pinged(server, hold_s=asked).status_code == 200
    assert held <= time.monotonic() - started < held + 2


def test_requests_are_answered_while_a_ping_is_held(server):
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(pinged, server, 2.0)
        time.sleep(0.1)
        started = time.monotonic()
        assert server.predict({"inputs": "call"}).status_code == 200
        assert time.monotonic() - started < 1.5
        assert not held.done()
        assert held.result().status_code == 200


def test_a_ping_that_fails_is_a_failed_ping_and_no_failed_request(fresh):
    assert pinged(fresh, body={"inputs": []}).status_code == 422
    counted = counters(fresh)
    assert counted['pilotlight_pings_total{status="422"}'] == 1
    assert 'pilotlight_answers_total{status="422"}' not in counted


@pytest.mark.parametrize("attributes", ["request-id=ping=1", "ping", "", "x;ping=0.1;request-id=a"])
def test_attributes_that_are_no_ping_are_a_request(server, attributes):
    answer = server.client.post("/invocations", json={"inputs": "call"}, headers={ATTRIBUTES: attributes})
    assert list(answer.json()) == ["outputs"]


def test_another_route_takes_no_ping(server):
    answer = server.client.post("/predict", json={"inputs": "call"}, headers={ATTRIBUTES: Ping("a", 0.1).attributes})
    assert list(answer.json()) == ["outputs"]


def test_a_ping_of_lambda_does_the_same(tiny, tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):
        started = time.monotonic()
        first = api.invoke(Ping("ping-1", 0.2).event, SECONDS).body["ping"]
        held = time.monotonic() - started
        second = api.invoke(Ping("ping-2", 0.1).event, SECONDS).body["ping"]
        answer = api.invoke(EVENTS["rest"]({"inputs": "call"}), SECONDS).body
    assert (first["cold"], second["cold"], first["instance"] == second["instance"]) == (True, False, True)
    assert held >= 0.2
    assert "server-timing" not in answer["headers"]
    log = (tmp_path / "lambda.log").read_text()
    assert [(line["request_id"], line["status"]) for line in logged(log, "ping")] == [("ping-1", 200), ("ping-2", 200)]
    assert len(logged(log, "request")) == 1


@pytest.mark.parametrize("event", [{"ping": None}, {"ping": []}, {"ping": {}, "inputs": "a"}], ids=str)
def test_a_ping_of_lambda_that_can_not_be_read_is_refused(tiny, tmp_path, event):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):
        answer = api.invoke(event, SECONDS)
    assert (answer.kind, answer.body["status"]) == ("response", 422)


@pytest.mark.parametrize("version", EVENTS)
def test_a_gateways_client_can_not_ping(tiny, tmp_path, version):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):
        event = EVENTS[version]({"inputs": "call"}, **{ATTRIBUTES.lower(): Ping("a", 0.1).attributes})
        plain = api.invoke(event, SECONDS).body
        disguised = api.invoke(EVENTS[version]({"ping": {}}), SECONDS).body
    assert list(json.loads(plain["body"])) == ["outputs"]
    assert disguised["statusCode"] == 422


@given(st.text(), st.floats(allow_nan=False))
def test_what_is_written_is_read_again_within_the_bounds(request_id, hold_s):
    ping = Ping("given-1", hold_s)
    bounded = min(max(hold_s, LEAST_HOLD_S), MOST_HOLD_S)
    from_headers = pings.of_headers({"x-amzn-sagemaker-custom-attributes": ping.attributes})
    assert from_headers.request_id == "given-1"
    assert from_headers.hold_s == pytest.approx(bounded, rel=1e-5)
    assert pings.of_event(ping.event, "other") == Ping("given-1", bounded)
    odd = pings.of_event({"ping": {"requestId": request_id, "holdSeconds": request_id}}, "other")
    assert re.fullmatch(r"[A-Za-z0-9._:=/+-]{1,128}", odd.request_id)
    assert LEAST_HOLD_S <= odd.hold_s <= MOST_HOLD_S


def test_a_ping_that_is_no_object_is_refused():
    with pytest.raises(InputRefused, match="nothing beside it"):
        pings.of_event({"ping": 1}, "id")


def test_how_long_a_ping_is_held_says_nothing_about_its_start(held_for_long):
    assert held_for_long.result().json()["ping"]["cold"] is True
