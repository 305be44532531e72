"""The warmer: pings side by side, straight to the model, and what it tells of them."""

import io
import json
import threading
import time

import boto3
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber

from handlers.functions.aws import warmer as warmer_module
from handlers.functions.aws.warmer import to_endpoint, to_function
from handlers.functions.environment import SettingsError
from handlers.functions.pings import LEAST_HOLD_S
from handlers.functions.warming import MOST_PARALLEL, Warmer, WarmingFailed, hold_of, parallel_of
from tests.parts.handlers.processes import running
from tests.parts.handlers.test_api_function import Context
from tests.parts.handlers.test_lambda_mode import SECONDS, lambda_process

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
ARN = "arn:aws:lambda:us-east-1:123456789012:function:mine-model:live"


def answer(cold, instance):
    return json.dumps({"ping": {"cold": cold, "instance": instance, "stages": {}}}).encode()


class Instances:
    """A model of many instances, one ping each at a time; all of them must be busy before one is done."""

    def __init__(self, count):
        self._together = threading.Barrier(count)
        self._lock = threading.Lock()
        self.pings = []

    def __call__(self, ping):
        with self._lock:
            self.pings.append(ping)
            number = len(self.pings)
        self._together.wait(10)
        return answer(number % 2 == 0, f"instance-{number}")


def written(capsys, event):
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return [line for line in lines if line.get("event") == event]


def test_pings_run_side_by_side_and_are_counted_by_instance_and_cold_ones(capsys):
    model = Instances(6)
    told = Warmer(model).warm(6, batch_id="batch", seconds=20)
    assert told == {"pings": 6, "answered": 6, "cold": 3, "instances": 6}
    assert sorted(ping.request_id for ping in model.pings) == [f"batch-{number}" for number in range(6)]
    (line,) = written(capsys, "warmed")
    assert (line["cold"], line["instances"], line["level"], line["request_id"]) == (3, 6, "INFO", "batch")


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_more_pings_the_longer_each_keeps_its_instance(parallel):
    model = Instances(parallel)
    Warmer(model).warm(parallel, batch_id="batch", seconds=20)
    assert {ping.hold_s for ping in model.pings} == {hold_of(parallel)}
    assert hold_of(1) == LEAST_HOLD_S < hold_of(2) < hold_of(20)


def test_fewer_instances_than_pings_are_told(capsys):
    told = Warmer(lambda _: answer(False, "the same")).warm(3, batch_id="batch", seconds=20)
    assert (told["answered"], told["instances"]) == (3, 1)
    assert written(capsys, "warmed")[0]["level"] == "WARNING"


def test_some_failures_are_told_and_none_of_them_is_raised(capsys):
    def send(ping):
        if ping.request_id.endswith("-0"):
            raise OSError("throttled")
        return answer(False, ping.request_id)

    told = Warmer(send, "mine").warm(3, batch_id="batch", seconds=20)
    assert told == {"pings": 3, "answered": 2, "cold": 0, "instances": 2}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["request_id"], line["message"]) for line in lines if line.get("event") == "ping_failed"] == [("batch-0", "throttled")]
    (counted,) = [line for line in lines if "_aws" in line]
    assert (counted["Pings"], counted["PingsCold"], counted["PingsFailed"], counted["Service"]) == (3, 0, 1, "mine")


@pytest.mark.parametrize(
    "said",
    [b"", b"{}", b"[]", b'{"ping": null}', b'{"ping": {}}', b'{"status": 503, "detail": "asleep"}', b'{"outputs": 1}', b"\xff"],
    ids=repr,
)
def test_an_answer_that_is_none_to_a_ping_is_a_failed_ping_and_none_answered_is_raised(said):
    with pytest.raises(WarmingFailed, match="None of 2 pings"):
        Warmer(lambda _: said).warm(2, batch_id="batch", seconds=20)


def test_pings_that_are_late_are_not_waited_for():
    gate = threading.Event()

    def send(ping):
        if ping.request_id.endswith("-1"):
            gate.wait(20)
        return answer(False, ping.request_id)

    started = time.monotonic()
    told = Warmer(send).warm(2, batch_id="batch", seconds=0.5)
    assert time.monotonic() - started < 5
    gate.set()
    assert (told["pings"], told["answered"]) == (2, 1)


@pytest.mark.parametrize(("event", "parallel"), [({}, 1), ({"parallel": 1}, 1), ({"parallel": MOST_PARALLEL}, MOST_PARALLEL)])
def test_the_schedule_says_how_many(event, parallel):
    assert parallel_of(event) == parallel


@pytest.mark.parametrize("value", [0, -1, MOST_PARALLEL + 1, "2", None, 1.5, True])
def test_any_other_number_is_refused_with_what_is_allowed(value):
    with pytest.raises(ValueError, match=f"use a whole number from 1 to {MOST_PARALLEL}"):
        parallel_of({"parallel": value})


def test_an_endpoint_is_pinged_by_its_name_with_the_pings_attributes():
    client = boto3.client("sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}), **KEYS)
    with Stubber(client) as stubber:
        body = answer(True, "one")
        asked = {
            "EndpointName": "mine",
            "Body": b'{"inputs": "ping"}',
            "ContentType": "application/json",
            "CustomAttributes": "ping=0.1;request-id=batch-0",
        }
        stubber.add_response("invoke_endpoint", {"Body": StreamingBody(io.BytesIO(body), len(body))}, asked)
        assert Warmer(to_endpoint("mine", client)).warm(1, batch_id="batch", seconds=10)["cold"] == 1


@pytest.mark.parametrize("failed", [False, True])
def test_a_function_is_pinged_by_its_alias_and_its_errors_are_failed_pings(failed):
    client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}), **KEYS)
    with Stubber(client) as stubber:
        body = b'{"errorMessage": "no"}' if failed else answer(True, "one")
        event = json.dumps({"ping": {"requestId": "batch-0", "holdSeconds": 0.1}}).encode()
        answered = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(body), len(body))} | (
            {"FunctionError": "Unhandled"} if failed else {}
        )
        stubber.add_response("invoke", answered, {"FunctionName": ARN, "Payload": event})
        warmer = Warmer(to_function(ARN, client))
        if failed:
            with pytest.raises(WarmingFailed):
                warmer.warm(1, batch_id="batch", seconds=10)
        else:
            assert warmer.warm(1, batch_id="batch", seconds=10)["cold"] == 1


def test_the_model_server_understands_what_the_warmer_sends(tiny, tmp_path):
    """Both contracts, each over the real server: what is written on one side is read on the other."""
    with running(tmp_path, MODEL_DIR=str(tiny)) as server:

        class Runtime:
            def invoke_endpoint(self, **asked):
                headers = {"content-type": asked["ContentType"], "X-Amzn-SageMaker-Custom-Attributes": asked["CustomAttributes"]}
                return {"Body": io.BytesIO(server.client.post("/invocations", content=asked["Body"], headers=headers).content)}

        warmer = Warmer(to_endpoint("mine", Runtime()))
        assert warmer.warm(3, batch_id="batch", seconds=30) == {"pings": 3, "answered": 3, "cold": 1, "instances": 1}
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):

        class Function:
            def invoke(self, **asked):
                said = api.invoke(json.loads(asked["Payload"]), SECONDS).body
                return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(said).encode())}

        warmer = Warmer(to_function(ARN, Function()))
        assert [warmer.warm(1, batch_id="batch", seconds=30)["cold"] for _ in range(2)] == [1, 0]


def test_the_handler_takes_its_target_from_its_environment(monkeypatch):
    for name in ("ENDPOINT_NAME", "MODEL_FUNCTION", "SERVICE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="ENDPOINT_NAME"):
        warmer_module._warmer.__wrapped__()
    made = Warmer(Instances(2))
    monkeypatch.setattr(warmer_module, "_warmer", lambda: made)
    assert warmer_module.handler({"parallel": 2}, Context())["answered"] == 2


@pytest.mark.parametrize(
    ("variable", "value", "service"), [("ENDPOINT_NAME", "mine", "sagemaker-runtime"), ("MODEL_FUNCTION", ARN, "lambda")]
)
def test_each_target_has_its_client_which_never_repeats_a_ping(monkeypatch, variable, value, service):
    made = []

    def client(name, config):
        made.append((name, config.retries, config.max_pool_connections))

    for name in ("ENDPOINT_NAME", "MODEL_FUNCTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(boto3, "client", client)
    warmer_module._warmer.__wrapped__()
    assert made == [(service, {"total_max_attempts": 1, "mode": "standard"}, MOST_PARALLEL)]
