"""Inputs by reference: what a request may name, and that only a server which is told of a place fetches from there."""

import json

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.server import ThreadedMotoServer

from handlers.functions.aws.objects import S3Objects
from handlers.functions.environment import SettingsError
from handlers.functions.problems import InputRefused, ModelFailed
from handlers.functions.requests import PredictionRequest, from_value
from handlers.server.references import References
from handlers.settings import HandlerSettings
from tests.parts.handlers.event_world import BUCKET, KEYS, client, world
from tests.parts.handlers.processes import running
from tests.parts.handlers.tiny import HIDDEN

ROOT = f"s3://{BUCKET}/"


def asked(uri, **parameters):
    return from_value({"inputs": {"uri": uri}, "parameters": parameters}, max_inputs=8, references=True)


@pytest.fixture
def aws():
    with world() as made:
        yield made


@pytest.fixture
def references():
    made = References(ROOT, max_bytes=1000, max_inputs=8)
    made.__dict__["_store"] = S3Objects(client("s3"), max_bytes=1000)
    return made


def test_a_reference_becomes_the_inputs_of_that_version(aws, references):
    old = aws.put("in/a b?.txt", "old")["s3"]["object"]["versionId"]
    aws.put("in/a b?.txt", "new")
    assert references.fetched(asked(f"{ROOT}in/a%20b%3F.txt?versionId={old}")) == PredictionRequest(("old",), False, {})
    assert references.fetched(asked(f"{ROOT}in/a%20b%3F.txt", top_k=1)) == PredictionRequest(("new",), False, {"top_k": 1})


def test_a_reference_to_content_that_was_replaced_is_refused(aws, references):
    etag = aws.s3.put_object(Bucket=BUCKET, Key="a.txt", Body=b"old")["ETag"].strip('"')
    assert references.fetched(asked(f"{ROOT}a.txt?etag={etag}")).texts == ("old",)
    aws.put("a.txt", "new")
    with pytest.raises(InputRefused, match="it was replaced"):
        references.fetched(asked(f"{ROOT}a.txt?etag={etag}"))


def test_the_parameters_are_the_requests_not_the_objects(aws, references):
    aws.put("a.json", json.dumps({"inputs": ["a", "b"], "parameters": {"top_k": 9}}))
    assert references.fetched(asked(f"{ROOT}a.json")) == PredictionRequest(("a", "b"), True, {})


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/a.txt",
        f"s3://{BUCKET}-other/a.txt",
        "s3:///a.txt",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        f"s3://{BUCKET}",
        ROOT,
        f"{ROOT}a.txt#part",
        f"{ROOT}a.txt?partNumber=1",
        f"{ROOT}a.txt?etag=a%0d%0aX-More:%201",
        f"{ROOT}a.txt?etag=%E2%82%AC",
        f"{ROOT}a.txt?versionId=",
        f"s3://user@{BUCKET}/a.txt",
        "a.txt",
        "",
        "s3://[mine/a.txt",
        f"{ROOT}%FF",
        f"{ROOT}../other/a.txt?versionId=a&x=b",
    ],
)
def test_nothing_outside_of_the_root_is_asked_for(references, uri):
    references.__dict__["_store"] = None
    with pytest.raises(InputRefused, match=r"'inputs\.uri' is "):
        references.fetched(asked(uri))


@pytest.mark.parametrize("key", ["out/a.txt", "inside/a.txt", "in%2Fa.txt", "%69n/a.txt"])
def test_a_prefix_bounds_by_the_key_that_would_be_asked_for(key):
    references = References(f"{ROOT}in/", max_bytes=1000, max_inputs=8)
    bounds = key in ("out/a.txt", "inside/a.txt")
    references.__dict__["_store"] = None
    with pytest.raises(InputRefused if bounds else AttributeError):
        references.fetched(asked(ROOT + key))


@pytest.mark.parametrize("inputs", [{}, {"uri": 3}, {"uri": "s3://a/b", "more": 1}, {"url": "s3://a/b"}], ids=str)
def test_another_object_as_inputs_is_refused(inputs):
    with pytest.raises(InputRefused, match="'inputs' is an object"):
        from_value({"inputs": inputs}, max_inputs=8, references=True)


def test_what_can_not_be_read_is_refused_and_what_does_not_answer_is_a_failure(aws, references):
    aws.put("large.txt", "x" * 1001)
    aws.put("broken.txt", b"\xff")
    aws.put("many.jsonl", '"a"\n' * 9)
    for key, error, detail in [
        ("large.txt", InputRefused, "1001 bytes: 1000"),
        ("broken.txt", InputRefused, "not UTF-8"),
        ("many.jsonl", InputRefused, "9 texts: 8"),
        ("none.txt", InputRefused, "it was deleted"),
    ]:
        with pytest.raises(error, match=detail):
            references.fetched(asked(ROOT + key))
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")
    for fault in (denied, ReadTimeoutError(endpoint_url="s3")):
        broken = type("Client", (), {"get_object": lambda *_, fault=fault, **__: (_ for _ in ()).throw(fault)})()
        references.__dict__["_store"] = S3Objects(broken, max_bytes=1000)
        with pytest.raises(ModelFailed):
            references.fetched(asked(f"{ROOT}a.txt"))


@pytest.mark.parametrize("value", ["s3://bucket", "http://bucket/", "bucket", "s3:///", "s3://bucket?x/"])
def test_a_root_that_does_not_end_its_buckets_name_is_refused(value):
    with pytest.raises(SettingsError, match=r"INPUTS_URI is .*: use s3://BUCKET/"):
        HandlerSettings.from_environment({"INPUTS_URI": value})


def test_a_server_fetches_only_where_it_is_told_to(tiny, workshop):
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        address = f"http://{host}:{port}"
        told = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        s3 = boto3.client("s3", endpoint_url=address, **KEYS)
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="a.txt", Body="cold start " * 1000)
        body = {"inputs": {"uri": f"{ROOT}a.txt"}}
        with running(workshop, MODEL_DIR=str(tiny), INPUTS_URI=ROOT, MAX_BODY_BYTES="4096", **told) as server:
            answer = server.predict(body, "/invocations")
            assert (answer.status_code, np.shape(answer.json()["outputs"])) == (200, (1, 64, HIDDEN))
            assert server.predict({"inputs": {"uri": "s3://other/a.txt"}}).status_code == 422
        with running(workshop, MODEL_DIR=str(tiny), **told) as server:
            answer = server.predict(body)
            assert (answer.status_code, answer.json()["detail"]) == (422, "'inputs' is an object: send a text.")
    finally:
        moto.stop()
