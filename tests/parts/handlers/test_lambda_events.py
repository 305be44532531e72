"""The model server as the event function itself: SQS batches to a real process, over moto's own server."""

import json
import subprocess
import sys
import threading

import boto3
import pytest
from moto.server import ThreadedMotoServer

from handlers.functions import outputs, requests
from handlers.server.lambda_events import InProcessModel
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from tests.parts.handlers.event_world import KEYS, World, batch, failed, message, unseen_s
from tests.parts.handlers.processes import ROOT
from tests.parts.handlers.test_lambda_mode import SECONDS, lambda_process


@pytest.fixture(scope="module")
def aws():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    clients = {name: boto3.client(name, endpoint_url=f"http://{host}:{port}", **KEYS) for name in ("s3", "dynamodb", "sqs")}
    yield World(clients=clients), f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def told(aws):
    """The variables of the function."""
    made, address = aws
    where = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    return where | made.variables("table,queue") | {"AWS_DEFAULT_REGION": "us-east-1"}


def test_a_batch_is_predicted_in_the_process_and_recorded(aws, told, tiny, tmp_path):
    made, _ = aws
    good, bad = message(made.put("in/a.txt", "cold start")), message(made.put("in/b.json", "{", "application/json"))
    large = message(made.put("in/large.txt", "warm " * 2000))
    with lambda_process(tmp_path, MODEL_DIR=str(tiny), MAX_BODY_BYTES="4096", **told) as (api, _):
        answer = api.invoke(batch(good, bad, large), SECONDS)
        assert (answer.kind, failed(answer.body)) == ("response", [bad["messageId"]])
        assert api.invoke({"inputs": "cold start"}, SECONDS).body["outputs"] == outputs_of(made, "in/a.txt")
    assert {sent["object"].partition("/")[2] for sent in made.sent()} == {"in/a.txt", "in/large.txt"}
    log = [json.loads(line) for line in (tmp_path / "lambda.log").read_text().splitlines() if line.startswith("{")]
    assert {line["Stage"] for line in log if "Stage" in line} >= {"endpoint-boot", "endpoint-load", "endpoint-first"}
    assert next(line["reason"] for line in log if line.get("level") == "ERROR").startswith("The object is not JSON")
    # What each prediction took is a metric too, of a batch's as of a call's.
    assert len([line["RequestLatency"] for line in log if line.get("event") == "request"]) == 2


def test_a_message_of_an_object_without_a_result_is_seen_again_after_its_pause(aws, told, tiny, tmp_path):
    made, _ = aws
    bad, good = (json.dumps({"Records": [made.put(*each)]}) for each in (("in/c.json", "{", "application/json"), ("in/c.txt", "cold")))
    records = made.taken(bad, good, attempt=3)
    with lambda_process(tmp_path, MODEL_DIR=str(tiny), **told) as (api, _):
        left = failed(api.invoke(batch(*records), SECONDS).body)
    assert left == [each["messageId"] for each in records if "c.json" in each["body"]]
    waits = unseen_s()
    assert 80 - SECONDS <= waits.pop(left[0]) <= 160
    assert all(wait > 160 for wait in waits.values())


def outputs_of(made, key):
    return next(
        json.loads(row["result"])["outputs"] for (name, version), row in made.rows().items() if name == key and version != "#latest"
    )


def test_without_a_table_a_batch_is_an_error_so_that_no_message_is_lost(tiny, tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny)) as (api, _):
        answer = api.invoke(batch(message(body="{}")), SECONDS)
    assert answer.kind == "error"
    assert "RESULTS_TABLE is not set" in json.dumps(answer.body)


def test_a_bad_variable_is_a_failed_init_with_its_message(told, tiny, tmp_path):
    with lambda_process(tmp_path, MODEL_DIR=str(tiny), **told | {"RESULTS": "topic"}) as (api, process):
        posted = api.posted.get(timeout=SECONDS)
        assert (posted.kind, process.wait(timeout=SECONDS)) == ("init-error", 1)
    assert "RESULTS is 'topic': use one of queue, queue,table, table, table,queue." in json.dumps(posted.body)


def test_a_function_behind_a_gateway_imports_nothing_of_the_pipeline():
    code = "import sys, handlers.server.lambda_runtime; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "botocore", "aws_lambda_powertools", "handlers.functions.pipeline"} & set(found)


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}, {"top_k": None}, {"function_to_apply": "none"}], ids=str)
def test_a_result_is_what_the_object_would_have_got_by_itself(classifier, parameters):
    check_alike(classifier, "text-classification", parameters)


def test_features_are_what_the_object_would_have_got_by_itself(tiny):
    check_alike(tiny, "feature-extraction", {})


def check_alike(folder, task, parameters):
    service = Service(HandlerSettings(model_dir=folder), Stages(0))
    service.start()
    service.worker.loaded.result(timeout=SECONDS)
    # Its answers by packed weights have other last digits (docs/decisions/0027).
    for thread in threading.enumerate():
        if thread.name == "model-packing":
            thread.join(SECONDS)
    model = InProcessModel(service)

    def answer(inputs):
        body = {"inputs": inputs} | ({"parameters": parameters} if parameters else {})
        return model.invoke(json.dumps(body).encode(), request_id="id", budget_s=SECONDS).body

    texts = ["cold start", "warm cloud", "sleep"]
    requests.check_parameters(task, parameters)
    parts = outputs.split(answer(texts), len(texts))
    shape = {"task": task, "parameters": parameters}
    assert outputs.result(parts, many=True, **shape) == answer(texts).decode()
    assert [outputs.result([part], many=False, **shape) for part in parts] == [answer(text).decode() for text in texts]
    assert outputs.result(parts[:1], many=True, **shape) == answer(texts[:1]).decode()
