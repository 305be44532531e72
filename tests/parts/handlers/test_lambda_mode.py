"""The model server as a Lambda runtime: a real process against a local runtime API."""

import json
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import orjson
import pytest
from awslambdaric.lambda_runtime_marshaller import to_json

from handlers.server.lambda_runtime import LambdaHandler
from handlers.server.service import Answer, Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from tests.images.runtime_api import RuntimeApi
from tests.parts.handlers.events import EVENTS, REQUEST_ID, rest_event
from tests.parts.handlers.processes import ROOT, launch
from tests.parts.handlers.tiny import HIDDEN

SECONDS = 60


@contextmanager
def lambda_process(folder, **variables):
    with RuntimeApi() as api, (folder / "lambda.log").open("wb") as log:
        process = launch(log, AWS_LAMBDA_RUNTIME_API=api.address, **variables)
        try:
            yield api, process
        finally:
            # Before the API goes, which the runtime would take for a fault.
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def function(tiny, tmp_path_factory):
    # With a place to fetch inputs from, which no caller of the function may name.
    told = {"MODEL_DIR": str(tiny), "MAX_BODY_BYTES": "4096", "INPUTS_URI": "s3://mine/"}
    with lambda_process(tmp_path_factory.mktemp("lambda"), **told) as (api, _):
        yield api


def test_the_first_answer_tells_where_the_cold_start_went_and_later_ones_do_not(tiny, tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):
        first, second = (api.invoke(rest_event({"inputs": "cold"}, **{"X-Request-Id": "mine-1"}), SECONDS).body for _ in range(2))
    assert first["headers"]["server-timing"].startswith("boot;dur=")
    assert "server-timing" not in second["headers"]
    log = [json.loads(line) for line in (tmp_path / "lambda.log").read_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in log] == ["cold_start", "request", "request"]
    # An access log knows nothing of an id that the caller chose.
    assert (log[-1]["request_id"], log[-1]["gateway_request_id"]) == ("mine-1", REQUEST_ID)


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
@pytest.mark.parametrize("version", EVENTS)
def test_events_of_both_gateways_are_answered(function, version, encoded):
    answer = function.invoke(EVENTS[version]({"inputs": "cold start"}, encoded=encoded), SECONDS)
    assert answer.kind == "response"
    assert answer.body["statusCode"] == 200
    assert answer.body["headers"]["content-type"] == "application/json"
    assert np.shape(json.loads(answer.body["body"])["outputs"]) == (1, 4, HIDDEN)


def test_a_bare_payload_is_answered_with_bare_outputs(function):
    answer = function.invoke({"inputs": ["cold", "start"]}, SECONDS)
    assert [np.shape(item) for item in answer.body["outputs"]] == [(1, 3, HIDDEN)] * 2


@pytest.mark.parametrize("version", EVENTS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("", 400),
        ({"inputs": []}, 422),
        ({"inputs": {"uri": "s3://mine/private.txt"}}, 422),
        ({"inputs": "a", "parameters": {"x": 1}}, 422),
        ({"inputs": "a" * 5000}, 413),
        ("[" * 5000, 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_events_get_problem_documents_and_no_function_error(function, version, body, status):
    answer = function.invoke(EVENTS[version](body), SECONDS)
    assert (answer.kind, answer.body["statusCode"]) == ("response", status)
    assert answer.body["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer.body["body"])["status"] == status


@pytest.mark.parametrize("body", ['{"inputs": "a"}', "\u00e9"], ids=["JSON", "no ASCII"])
def test_a_body_that_is_not_the_base64_it_says_is_refused(function, body):
    answer = function.invoke(rest_event(body) | {"isBase64Encoded": True}, SECONDS)
    assert (answer.kind, answer.body["statusCode"]) == ("response", 400)


def test_an_event_whose_id_is_no_text_is_answered_by_lambdas_own(function):
    event = rest_event({"inputs": "a"})
    answer = function.invoke(event | {"requestContext": event["requestContext"] | {"requestId": 5}}, SECONDS)
    assert (answer.kind, answer.body["statusCode"]) == ("response", 200)
    assert answer.body["headers"]["x-request-id"].startswith("request-")


def test_another_method_is_refused(function):
    assert function.invoke(rest_event({"inputs": "a"}, method="GET"), SECONDS).body["statusCode"] == 405


@pytest.mark.parametrize(("left", "status"), [("0", 504), ("soon", 400), ("9000", 200)])
def test_the_time_that_a_caller_has_is_kept(function, left, status):
    answer = function.invoke(rest_event({"inputs": "a"}, **{"X-Request-Timeout-Ms": left}), SECONDS)
    assert answer.body["statusCode"] == status


@pytest.mark.parametrize("version", EVENTS)
def test_a_key_that_nobody_would_keep_is_refused(function, version):
    answer = function.invoke(EVENTS[version]({"inputs": "a"}, **{"idempotency-key": "k"}), SECONDS)
    assert answer.body["statusCode"] == 400
    assert json.loads(answer.body["body"])["type"].endswith("idempotency-key-refused")


@pytest.mark.parametrize("payload", [{}, [], "text", None, {"inputs": 3}, {"inputs": {"uri": "s3://mine/a"}}, {"Records": []}], ids=str)
def test_a_bad_bare_payload_gets_a_problem_document(function, payload):
    answer = function.invoke(payload, SECONDS)
    assert (answer.kind, answer.body["status"]) == ("response", 422)


class Context:
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self):
        return 10_000


@pytest.mark.parametrize(("letter", "length", "fits"), [("\u00e9", 1_030_000, True), ("\u00e9", 1_100_000, False), ("a", 6_200_000, True)])
def test_a_bare_answer_that_lambda_would_not_send_is_told_as_too_large(tiny, letter, length, fits):
    """By the bytes that the runtime's client makes of it, which escapes letters."""
    service = Service(HandlerSettings(model_dir=tiny), Stages(0.0))
    outputs = {"outputs": letter * length}
    service.answer_within = lambda *_: Answer(200, {}, orjson.dumps(outputs))
    told = LambdaHandler(service)({"inputs": "cold"}, Context())
    assert len(to_json(told)) <= 6_291_556
    if fits:
        assert told == outputs
    else:
        assert (told["status"], told["type"]) == (422, "urn:pilotlight:problem:answer-too-large")


@pytest.mark.parametrize("event", [{"inputs": "cold"}, rest_event({"inputs": "cold"})], ids=["bare", "of a gateway"])
def test_what_is_logged_and_counted_of_an_answer_is_what_was_sent(tiny, event, capsys):
    service = Service(HandlerSettings(model_dir=tiny), Stages(0.0))
    counted = []
    service.metrics.answered = counted.extend
    service.answer_within = lambda *_: Answer(200, {}, orjson.dumps({"outputs": "\u00e9" * 1_100_000}))
    told = LambdaHandler(service)(event, Context())
    assert told.get("statusCode", told.get("status")) == 422
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["status"], line["bytes"] < 1000) for line in lines if line["event"] == "request"] == [(422, True)]
    assert [status for status, _ in counted] == [422]


def test_a_model_that_can_not_be_served_is_a_failed_init_with_its_message(tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tmp_path / "none")) as (api, process):
        posted = api.posted.get(timeout=SECONDS)
        assert posted.kind == "init-error"
        assert "manifest.json does not exist" in json.dumps(posted.body)
        assert process.wait(timeout=SECONDS) == 1


def test_http_mode_imports_nothing_of_lambda_and_nothing_of_the_tool():
    unwanted = ("awslambdaric", "boto3", "botocore", "torch", "transformers", "pulumi", "pilotlight", "components")
    code = "import sys, handlers.server.http_server, handlers.engines.onnx; print(*{m.split('.')[0] for m in sys.modules})"
    imported = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "handlers" in imported
    assert not set(unwanted) & set(imported)
