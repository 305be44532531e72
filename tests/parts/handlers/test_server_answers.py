"""What the model server answers, as a process, over HTTP: each contract, shapes, cold start, health."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from openapi_spec_validator import validate

from tests.parts.handlers.conftest import LABELS, minilm
from tests.parts.handlers.processes import running
from tests.parts.handlers.tiny import HIDDEN

VECTORS = json.loads((Path(__file__).resolve().parents[2] / "data" / "minilm_vectors.json").read_text())


@pytest.mark.parametrize("route", ["/predict", "/invocations"])
def test_every_contract_answers_with_the_same_outputs(server, route):
    answer = server.predict({"inputs": "cold start"}, route)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["outputs"]
    assert np.shape(answer.json()["outputs"]) == (1, 4, HIDDEN)


def test_a_list_of_texts_is_answered_in_order_each_without_a_trace_of_padding(server):
    texts = ["cold", "cold start warm", ""]
    outputs = server.predict({"inputs": texts, "parameters": {}}).json()["outputs"]
    assert [np.shape(item) for item in outputs] == [(1, 3, HIDDEN), (1, 5, HIDDEN), (1, 2, HIDDEN)]
    for text, output in zip(texts, outputs, strict=True):
        assert np.array(output) == pytest.approx(np.array(server.predict({"inputs": text}).json()["outputs"]), abs=1e-5)


def test_a_text_longer_than_the_model_is_truncated(server):
    assert np.shape(server.predict({"inputs": "cold " * 100}).json()["outputs"]) == (1, 64, HIDDEN)


def log_lines(server, request_id):
    """The lines of one request; they come after its answer."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        lines = [json.loads(line) for line in server.log.splitlines() if line.endswith("}")]
        found = [line for line in lines if line.get("request_id") == request_id]
        if any(line["event"] == "request" for line in found):
            return [line for line in found if line["event"] != "cold_start"]
        time.sleep(0.01)
    raise AssertionError(server.log)


def test_the_callers_request_id_comes_back_and_stands_in_the_log(server):
    answer = server.client.post("/predict", json={"inputs": "call"}, headers={"x-request-id": "my-call-1"})
    assert answer.headers["x-request-id"] == "my-call-1"
    assert [(line["event"], line["status"]) for line in log_lines(server, "my-call-1")] == [("request", 200)]


def test_a_request_id_that_could_break_a_log_line_is_replaced(server):
    answer = server.client.post("/predict", json={"inputs": "call"}, headers={"x-request-id": 'a"}{"b'})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])


def test_the_id_handed_on_through_sagemaker_is_used(server):
    answer = server.client.post(
        "/invocations", json={"inputs": "call"}, headers={"X-Amzn-SageMaker-Custom-Attributes": "request-id=from-function"}
    )
    assert answer.headers["x-request-id"] == "from-function"


def test_only_the_first_answer_tells_where_the_cold_start_went(tiny, workshop):
    with running(workshop, MODEL_DIR=str(tiny)) as started:
        first, second = (started.predict({"inputs": "cold"}) for _ in range(2))
        log = [json.loads(line) for line in started.log.splitlines()]
    stages = dict(part.split(";dur=") for part in first.headers["server-timing"].split(", "))
    assert list(stages) == ["boot", "import", "fetch", "load", "first"]
    assert 0 < float(stages["boot"]) < 60_000
    assert float(stages["import"]) > 0
    attributes = first.headers["x-amzn-sagemaker-custom-attributes"]
    assert attributes == "cold-start=" + ",".join(f"{name}:{value}" for name, value in stages.items())
    assert "server-timing" not in second.headers
    (told,) = [line for line in log if line["event"] == "cold_start"]
    assert (told["stages"]["load"], told["providers"]) == (float(stages["load"]), ["CPUExecutionProvider"])


def test_a_request_that_comes_while_the_model_loads_is_answered_and_ping_says_not_ready(tiny, workshop):
    with running(workshop, ready=False, MODEL_DIR=str(tiny)) as started:
        pings, answers = [], []
        with ThreadPoolExecutor(1) as pool:
            until = time.monotonic() + 30
            while not answers and time.monotonic() < until:
                try:
                    pings.append(started.client.get("/ping").status_code)
                    answers.append(pool.submit(started.predict, {"inputs": "cold"}))
                except httpx.TransportError:
                    time.sleep(0.002)
            assert answers[0].result(timeout=30).status_code == 200
        assert started.client.get("/ping").status_code == 200
        assert pings[0] in (200, 503)


def test_health_metrics_and_description_answer(server):
    for route in ("/ping", "/health/startup", "/health/live", "/health/ready"):
        assert server.client.get(route).status_code == 200
        assert server.client.head(route).content == b""
    server.predict({"inputs": "call"})
    metrics = server.client.get("/metrics").text
    assert re.search(r'^pilotlight_answers_total\{status="200"\} [1-9]', metrics, re.MULTILINE)
    assert "pilotlight_ready 1\n" in metrics
    about = 'task="feature-extraction",engine="onnx",provider="CPUExecutionProvider",tier="local"'
    assert f"pilotlight_model_info{{{about}}} 1\n" in metrics
    description = server.client.get("/openapi.json").json()
    validate(description)
    assert {"/predict", "/invocations", "/ping", "/health/live", "/metrics"} <= set(description["paths"])


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ({"inputs": "cold"}, "[label]"),
        ({"inputs": ["cold", "warm"]}, "[label, label]"),
        ({"inputs": "cold", "parameters": {"top_k": 2}}, "[label, label]"),
        ({"inputs": ["cold"], "parameters": {"top_k": None}}, "[[label, label, label]]"),
        ({"inputs": ["cold", "warm"], "parameters": {"top_k": 1}}, "[[label], [label]]"),
    ],
)
def test_labels_come_in_the_pipelines_shapes(classified, body, shape):
    def shape_of(value):
        return f"[{', '.join(map(shape_of, value))}]" if isinstance(value, list) else "label"

    outputs = classified.predict(body).json()["outputs"]
    assert shape_of(outputs) == shape


def test_scores_are_chances_best_first_and_labels_the_models(classified):
    scores = classified.predict({"inputs": "cold", "parameters": {"top_k": None}}).json()["outputs"]
    assert {score["label"] for score in scores} == set(LABELS.values())
    assert sum(score["score"] for score in scores) == pytest.approx(1, abs=1e-5)
    assert scores == sorted(scores, key=lambda score: -score["score"])


def test_parameters_are_those_of_the_models_task(classified, server):
    assert classified.predict({"inputs": "cold", "parameters": {"function_to_apply": "none"}}).status_code == 200
    refused = server.predict({"inputs": "cold", "parameters": {"top_k": 2}})
    assert refused.status_code == 422
    assert "top_k" in refused.json()["detail"]
    assert "takes none" in refused.json()["detail"]


@pytest.fixture(scope="module")
def classified(classifier, workshop):
    with running(workshop, MODEL_DIR=str(classifier)) as started:
        yield started


def test_the_real_model_has_the_recorded_numbers_of_transformers(workshop):
    folder = minilm("feature-extraction", workshop)
    with running(workshop, MODEL_DIR=str(folder)) as started:
        for recorded in VECTORS["texts"]:
            hidden = np.array(started.predict({"inputs": recorded["text"]}).json()["outputs"])[0]
            assert len(hidden) == recorded["tokens"]
            for place, numbers in recorded["starts"].items():
                assert np.abs(hidden[int(place), : len(numbers)] - numbers).max() < VECTORS["tolerance"], recorded["name"]
            assert hidden.mean() == pytest.approx(recorded["mean"], abs=1e-5)
            assert (hidden**2).mean() == pytest.approx(recorded["mean_of_squares"], abs=1e-4)


def test_the_real_model_has_the_recorded_sentence_vectors(workshop):
    folder = minilm("sentence-embedding", workshop)
    with running(workshop, MODEL_DIR=str(folder)) as started:
        outputs = started.predict({"inputs": [recorded["text"] for recorded in VECTORS["texts"]]}).json()["outputs"]
        for found, recorded in zip(outputs, VECTORS["texts"], strict=True):
            assert np.abs(np.array(found) - recorded["sentence"]).max() < VECTORS["tolerance"], recorded["name"]
