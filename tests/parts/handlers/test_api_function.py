"""The function of pattern 1: events in, InvokeEndpoint through boto3's own client, problem documents for what fails."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st

from components.artifact import function_sources
from handlers.functions import logs
from handlers.functions.aws.api import GatewayFunction
from handlers.functions.aws.endpoint import SageMakerEndpoint
from handlers.functions.aws.settings import LambdaSettings
from handlers.functions.endpoint import cold_start_stages
from handlers.functions.environment import SettingsError
from tests.parts.handlers.events import EVENTS, REQUEST_ID, rest_event

ROOT = Path(__file__).resolve().parents[3]
OUTPUTS = b'{"outputs":[[[0.5]]]}'
PLAIN = {"ENDPOINT_NAME": "service", "MODEL_TASK": "feature-extraction", "ENDPOINT_TIMEOUT_S": "2", "MAX_BODY_BYTES": "1000"}


class Context:
    """The part of Lambda's context that the function reads."""

    aws_request_id = "lambda-request"

    def __init__(self, remaining_ms=30_000):
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self):
        return self.remaining_ms


def answer_of(body, attributes=None):
    fields = {"CustomAttributes": attributes} if attributes else {}
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentType": "application/json", **fields}


@pytest.fixture
def runtime():
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}), **keys)
    with Stubber(client) as stubber:
        yield stubber


def function_over(client, **variables):
    settings = LambdaSettings.from_environment(PLAIN | variables)
    return GatewayFunction(settings, SageMakerEndpoint(settings.endpoint_name, client), init_ms=12.5)


def asked(inputs="cold", **parameters):
    body = {"inputs": inputs} | ({"parameters": parameters} if parameters else {})
    return {
        "EndpointName": "service",
        "Body": json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
        "ContentType": "application/json",
        "Accept": "application/json",
        "CustomAttributes": ANY,
    }


class Told:
    """Custom attributes with this id, and with what is left of the time that there is for an answer."""

    def __init__(self, request_id, most_ms=2000):
        self.request_id = request_id
        self.most_ms = most_ms

    def __eq__(self, attributes):
        request_id, timeout = attributes.split(";")
        left_ms = int(timeout.removeprefix("timeout-ms="))
        return request_id == f"request-id={self.request_id}" and 0 < left_ms <= self.most_ms

    __hash__ = None


def assert_problem(answer, status, name):
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (status, "application/problem+json"), answer
    document = json.loads(answer["body"])
    assert (document["status"], document["type"]) == (status, f"urn:pilotlight:problem:{name}")
    return document["detail"]


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
@pytest.mark.parametrize("version", EVENTS)
def test_a_request_reaches_the_endpoint_in_one_spelling_and_its_answer_comes_back_as_it_is(runtime, version, encoded):
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked("schläft 服务"))
    event = EVENTS[version]('{ "parameters" : {},\n "inputs":"schl\\u00e4ft 服务" }', encoded=encoded)
    answer = function_over(runtime.client).handle(event, Context())
    assert (answer["statusCode"], answer["body"]) == (200, OUTPUTS.decode())
    assert answer["isBase64Encoded"] is False
    runtime.assert_no_pending_responses()


@pytest.mark.parametrize("version", EVENTS)
def test_a_body_at_the_limit_reaches_the_endpoint_within_it(runtime, version):
    body = json.dumps({"inputs": "ä" * 50}, ensure_ascii=False, separators=(",", ":"))
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked("ä" * 50))
    function = function_over(runtime.client, MAX_BODY_BYTES=str(len(body.encode())))
    assert function.handle(EVENTS[version](body, encoded=False), Context())["statusCode"] == 200


def test_the_request_id_goes_to_the_endpoint_the_log_and_the_client(runtime, capsys):
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked() | {"CustomAttributes": Told(REQUEST_ID)})
    answer = function_over(runtime.client).handle(rest_event({"inputs": "cold"}), Context())
    assert answer["headers"]["x-request-id"] == REQUEST_ID
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["request_id"]) for line in lines] == [("cold_start", REQUEST_ID), ("request", REQUEST_ID)]


@pytest.mark.parametrize(("left", "status", "name"), [("0", 504, "deadline-exceeded"), ("soon", 400, "timeout-refused")])
def test_a_caller_that_has_no_time_wakes_no_endpoint(runtime, left, status, name):
    answer = function_over(runtime.client).handle(rest_event({"inputs": "cold"}, **{"X-Request-Timeout-Ms": left}), Context())
    assert_problem(answer, status, name)


def test_the_time_that_a_caller_has_goes_to_the_endpoint(runtime):
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked() | {"CustomAttributes": Told(REQUEST_ID, most_ms=700)})
    answer = function_over(runtime.client).handle(rest_event({"inputs": "cold"}, **{"X-Request-Timeout-Ms": "700"}), Context())
    assert answer["statusCode"] == 200


def test_an_id_that_the_caller_chose_stands_beside_the_gateways_own(runtime, capsys):
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked() | {"CustomAttributes": Told("mine-1")})
    answer = function_over(runtime.client).handle(rest_event({"inputs": "cold"}, **{"X-Request-Id": "mine-1"}), Context())
    assert answer["headers"]["x-request-id"] == "mine-1"
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["event"], line["request_id"], line["gateway_request_id"]) == ("request", "mine-1", REQUEST_ID)


def test_a_cold_start_is_handed_on_with_the_functions_own_stage_in_front_and_once(runtime):
    attributes = "cold-start=boot:20.1,import:200,fetch:0,load:70,first:3"
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS, attributes), asked())
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked())
    function = function_over(runtime.client)
    cold, warm = (function.handle(rest_event({"inputs": "cold"}), Context()) for _ in range(2))
    timing = "function-init;dur=12.5, endpoint-boot;dur=20.1, endpoint-import;dur=200, endpoint-fetch;dur=0, "
    timing += "endpoint-load;dur=70, endpoint-first;dur=3"
    assert cold["headers"]["server-timing"] == timing
    assert "server-timing" not in warm["headers"]


def test_the_stages_of_a_cold_start_are_metrics_of_the_service(runtime, capsys):
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS, "cold-start=boot:20.1,load:70"), asked())
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked())
    function = function_over(runtime.client, SERVICE="mine")
    for _ in range(2):
        function.handle(rest_event({"inputs": "cold"}), Context())
    lines = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert [(line["Service"], line["Stage"], line["ColdStart"], line["request_id"]) for line in lines] == [
        ("mine", "function-init", 12.5, REQUEST_ID),
        ("mine", "endpoint-boot", 20.1, REQUEST_ID),
        ("mine", "endpoint-load", 70.0, REQUEST_ID),
    ]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ("{", 400, "malformed-body"),
        ("", 400, "malformed-body"),
        ('{"inputs": NaN}', 400, "malformed-body"),
        ("[" * 900, 400, "malformed-body"),
        ({"inputs": []}, 422, "input-refused"),
        # What the event pipeline may ask of the model server, no caller may: the server reads with its own role.
        ({"inputs": {"uri": "s3://mine/private.txt"}}, 422, "input-refused"),
        ({"inputs": [{"uri": "s3://mine/private.txt"}]}, 422, "input-refused"),
        ({"inputs": ["a"] * 500}, 413, "body-too-large"),
        ({"inputs": "a", "parameters": {"top_k": 3}}, 422, "input-refused"),
        ({"inputs": "a" * 1000}, 413, "body-too-large"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("version", EVENTS)
def test_a_request_that_can_only_fail_wakes_no_endpoint(runtime, version, body, status, name):
    assert_problem(function_over(runtime.client).handle(EVENTS[version](body), Context()), status, name)


def test_another_media_type_or_method_is_refused(runtime):
    function = function_over(runtime.client)
    assert_problem(function.handle(rest_event("a", **{"Content-Type": "text/plain"}), Context()), 415, "media-type-unsupported")
    answer = function.handle(rest_event("a", method="GET"), Context())
    assert_problem(answer, 405, "method-not-allowed")
    assert answer["headers"]["allow"] == "POST"


@pytest.mark.parametrize(("size", "status"), [(999, 200), (1000, 200), (1001, 413)])
def test_the_size_limit_holds_to_the_byte(runtime, size, status):
    text = "a" * (size - len('{"inputs": ""}'))
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked(text))
    assert function_over(runtime.client).handle(rest_event({"inputs": text}), Context())["statusCode"] == status


def refused(runtime, code, message="", status=400, **fields):
    runtime.add_client_error(
        "invoke_endpoint", code, message, http_status_code=status, modeled_fields=fields or None, expected_params=asked()
    )


def problem_of(runtime, status, name):
    return assert_problem(function_over(runtime.client).handle(rest_event({"inputs": "cold"}), Context()), status, name)


@pytest.mark.parametrize(
    ("code", "message", "status", "expected", "name"),
    [
        ("ModelNotReadyException", "provisioning", 429, 503, "not-ready"),
        ("ValidationError", "Endpoint service of account 1 not found.", 400, 503, "not-ready"),
        ("ServiceUnavailable", "", 503, 503, "not-ready"),
        ("InternalFailure", "secret detail", 500, 502, "model-failed"),
        ("AccessDeniedException", "arn:aws:iam::123456789012:role/secret is not authorized", 403, 502, "model-failed"),
    ],
)
def test_what_the_endpoint_refuses_is_mapped_and_nothing_internal_leaks(runtime, code, message, status, expected, name):
    refused(runtime, code, message, status)
    assert "secret" not in problem_of(runtime, expected, name)


def test_a_throttled_call_is_tried_again_while_there_is_time(runtime):
    refused(runtime, "ThrottlingException", status=429)
    runtime.add_response("invoke_endpoint", answer_of(OUTPUTS), asked())
    assert function_over(runtime.client).handle(rest_event({"inputs": "cold"}), Context())["statusCode"] == 200


def test_a_call_that_stays_throttled_is_429_with_retry_after_and_counted_once(runtime, capsys):
    for _ in range(3):
        refused(runtime, "ThrottlingException", status=429)
    answer = function_over(runtime.client, ENDPOINT_TIMEOUT_S="20", SERVICE="mine").handle(rest_event({"inputs": "cold"}), Context())
    assert_problem(answer, 429, "throttled")
    assert int(answer["headers"]["retry-after"]) >= 1
    runtime.assert_no_pending_responses()
    told = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert [(line["Service"], line["RequestsThrottled"], line["request_id"]) for line in told] == [("mine", 1, REQUEST_ID)]


def model_error(runtime, status, message):
    refused(runtime, "ModelError", "Received server error", 424, OriginalStatusCode=status, OriginalMessage=message)


@pytest.mark.parametrize(
    ("status", "name"), [(400, "malformed-body"), (422, "input-refused"), (503, "overloaded"), (504, "deadline-exceeded")]
)
def test_a_problem_that_the_model_server_tells_the_client_is_handed_on(runtime, status, name):
    model_error(runtime, status, json.dumps({"type": f"urn:pilotlight:problem:{name}", "detail": "what is wrong", "status": status}))
    assert problem_of(runtime, status, name) == "what is wrong"


def test_an_answer_that_would_be_too_large_is_told_as_such(runtime):
    model_error(runtime, 422, json.dumps({"type": "urn:pilotlight:problem:answer-too-large", "detail": "shorter"}))
    assert problem_of(runtime, 422, "answer-too-large") == "shorter"


@pytest.mark.parametrize(
    ("status", "message"),
    [(500, '{"type": "a", "detail": "trace"}'), (400, "<html>trace</html>"), (400, "[]"), (400, '{"detail": "trace"}')],
)
def test_a_model_that_fails_is_502_and_its_words_stay_inside(runtime, status, message):
    model_error(runtime, status, message)
    assert "trace" not in problem_of(runtime, 502, "model-failed")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": 1}', b'{"outputs":', b'{"outputs":"\xff"}'], ids=repr)
def test_an_answer_without_outputs_is_a_failed_model(runtime, body):
    runtime.add_response("invoke_endpoint", answer_of(body), asked())
    problem_of(runtime, 502, "model-failed")


def test_an_answer_that_lambda_can_not_carry_is_told_as_such(runtime):
    runtime.add_response("invoke_endpoint", answer_of(b'{"outputs":"' + b"a" * 6_300_000 + b'"}'), asked())
    problem_of(runtime, 422, "answer-too-large")


# Six bytes of JSON for each letter that is not ASCII, two for a quotation mark.
@pytest.mark.parametrize("text", ["\u0416" * 1_100_000, '"' * 2_000_000], ids=["letters", "marks"])
def test_an_answer_that_is_too_large_once_lambda_has_escaped_it_is_told_as_such(runtime, text):
    runtime.add_response("invoke_endpoint", answer_of(json.dumps({"outputs": text}, ensure_ascii=False).replace(" ", "").encode()), asked())
    assert "as a text in JSON" in problem_of(runtime, 422, "answer-too-large")


def test_an_answer_that_fits_as_it_is_escaped_is_given_whole(runtime):
    body = json.dumps({"outputs": "\u0416" * 1_000_000}, ensure_ascii=False).replace(" ", "")
    runtime.add_response("invoke_endpoint", answer_of(body.encode()), asked())
    answer = function_over(runtime.client).handle(rest_event({"inputs": "cold"}), Context())
    assert (answer["statusCode"], answer["body"]) == (200, body)


class Slow:
    """A client whose endpoint takes its time, or breaks."""

    def __init__(self, seconds=0.0, error=None):
        self.seconds, self.error, self.calls = seconds, error, 0

    def invoke_endpoint(self, **_):
        self.calls += 1
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        return answer_of(OUTPUTS)


@pytest.mark.parametrize(
    ("timeout_s", "remaining_ms"), [("0.2", 30_000), ("20", 700)], ids=["the endpoint's timeout", "the function's time"]
)
def test_a_slow_endpoint_is_504_in_time(timeout_s, remaining_ms):
    function = function_over(Slow(1.5), ENDPOINT_TIMEOUT_S=timeout_s)
    started = time.monotonic()
    assert_problem(function.handle(rest_event({"inputs": "cold"}), Context(remaining_ms)), 504, "deadline-exceeded")
    assert time.monotonic() - started < 1.2


def test_without_time_left_nothing_is_called():
    client = Slow()
    assert_problem(function_over(client).handle(rest_event({"inputs": "cold"}), Context(400)), 504, "deadline-exceeded")
    assert client.calls == 0


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (botocore.exceptions.ReadTimeoutError(endpoint_url="https://secret"), 504, "deadline-exceeded"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://secret"), 503, "not-ready"),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="https://secret"), 503, "not-ready"),
        (botocore.exceptions.ResponseStreamingError(error="secret"), 503, "not-ready"),
        (botocore.exceptions.NoCredentialsError(), 502, "model-failed"),
        (RuntimeError("secret"), 500, "internal-fault"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_connection_is_mapped_and_nothing_internal_leaks(error, status, name):
    answer = function_over(Slow(error=error)).handle(rest_event({"inputs": "cold"}), Context())
    assert "secret" not in assert_problem(answer, status, name)


def test_a_connection_that_was_closed_while_the_process_was_frozen_is_no_failure():
    client = Slow(error=botocore.exceptions.ConnectionClosedError(endpoint_url="https://there"))
    real = client.invoke_endpoint

    def mended(**asked):
        try:
            return real(**asked)
        finally:
            client.error = None

    client.invoke_endpoint = mended
    assert function_over(client).handle(rest_event({"inputs": "cold"}), Context())["statusCode"] == 200
    assert client.calls == 2


def test_bad_variables_are_refused_all_at_once():
    with pytest.raises(SettingsError) as refusal:
        LambdaSettings.from_environment({"ENDPOINT_TIMEOUT_S": "soon", "MAX_BODY_BYTES": "0", "MODEL_TASK": "guess"})
    message = str(refusal.value)
    for part in (
        "ENDPOINT_NAME is not set",
        "ENDPOINT_TIMEOUT_S is 'soon'",
        "MAX_BODY_BYTES is '0'",
        "MODEL_TASK is 'guess'",
        "text-classification",
    ):
        assert part in message


@given(st.text())
def test_stages_that_can_not_be_read_are_none(text):
    assert isinstance(cold_start_stages(text), dict)
    assert isinstance(cold_start_stages("cold-start=" + text), dict)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    )
)
def test_any_request_body_gets_an_answer_of_the_function(value):
    answer = function_over(Slow()).handle(rest_event(value), Context())
    assert answer["statusCode"] in (200, 400, 413, 422)


def test_the_handler_reads_its_environment_in_the_init_phase_and_needs_only_its_zip(tmp_path):
    for file in function_sources(ROOT):
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    code = (
        "import sys, handlers.functions.aws.api as api; print(api._function.cache_info().currsize);"
        "print(sorted({m.split('.')[1] for m in sys.modules if m.startswith('handlers.')}))"
    )
    variables = PLAIN | {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1", "['functions']"]


def test_a_log_line_is_one_line_of_json_whatever_it_is_given(capsys):
    logs.write("odd", text="two\nlines", value=object())
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["text"] == "two\nlines"
