"""What the deployed chain refuses: keys, rates, sizes, malformed and slow requests, concurrency."""

import collections
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from tests.support.deployment import Deployment, post
from tests.support.size import only_all

STACK = "aws-sagemaker-api"
KIB = 1024


@pytest.fixture(scope="module")
def outputs(deployment: Deployment) -> Iterator[dict[str, Any]]:
    deployment.up(STACK)
    yield deployment.outputs(STACK)
    deployment.report("destroy", STACK)


def client(deployment: Deployment, service: str) -> Any:
    variables = deployment.variables()
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def is_problem(answer: httpx.Response) -> bool:
    body = answer.json()
    return bool(answer.headers["content-type"].startswith("application/problem+json")) and body["status"] == answer.status_code


def test_a_call_without_or_with_a_wrong_key_is_refused(outputs: dict[str, Any]) -> None:
    for key in ("", "not-the-key"):
        assert post(outputs, {"inputs": "x"}, key=key).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b'{"inputs": 7}', 400),
        (b'{"inputs": []}', 400),
        (b"{}", 400),
        (b'{"inputs": NaN}', 400),
        (b'{"inputs": "x", "parameters": {"no_such": 1}}', 422),
        (b"[" * 100_000, 400),
    ],
)
def test_a_malformed_body_gets_a_problem(outputs: dict[str, Any], body: bytes, status: int) -> None:
    answer = post(outputs, body)
    assert answer.status_code == status, answer.text
    assert is_problem(answer)


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_refused(outputs: dict[str, Any]) -> None:
    limit = 4 * KIB * KIB
    frame = len(json.dumps({"inputs": ""}))
    at = post(outputs, {"inputs": "a" * (limit - frame)})
    assert at.status_code == 200, at.text[:300]
    over = post(outputs, {"inputs": "a" * (limit - frame + 1)})
    assert over.status_code == 413
    assert is_problem(over)


def test_an_unknown_route_is_refused(outputs: dict[str, Any]) -> None:
    answer = httpx.get(outputs["url"].replace("/predict", "/nowhere"))
    assert answer.status_code in (403, 404)


def test_a_client_faster_than_its_plan_is_throttled(outputs: dict[str, Any]) -> None:
    # As many connections as threads: of those beyond twenty httpx closes one that a thread has just taken.
    limits = httpx.Limits(max_keepalive_connections=40)
    with httpx.Client(headers={"x-api-key": outputs["apiKey"]}, timeout=60, limits=limits) as caller, ThreadPoolExecutor(40) as pool:
        statuses = collections.Counter(pool.map(lambda _: caller.post(outputs["url"], json={}).status_code, range(300)))
    assert statuses[429] > 0
    assert set(statuses) <= {400, 429}


def test_unchanged_clients_reach_endpoint_function_objects_and_logs(deployment: Deployment, outputs: dict[str, Any]) -> None:
    body = json.dumps({"inputs": "straight"}).encode()
    answer = client(deployment, "sagemaker-runtime").invoke_endpoint(
        EndpointName=outputs["endpointName"], Body=body, ContentType="application/json"
    )
    assert len(json.loads(answer["Body"].read())["outputs"][0][0]) == 384
    lines = client(deployment, "sagemaker-runtime").invoke_endpoint(
        EndpointName=outputs["endpointName"], Body=b"straight\ncold\n", ContentType="text/csv", Accept="application/jsonlines"
    )
    assert lines["ContentType"] == "application/jsonlines"
    assert [len(json.loads(line)[0][0]) for line in lines["Body"].read().splitlines()] == [384, 384]
    function = client(deployment, "lambda").get_function(FunctionName=outputs["functionName"])
    assert function["Configuration"]["FunctionName"] == outputs["functionName"]
    buckets = [bucket["Name"] for bucket in client(deployment, "s3").list_buckets()["Buckets"]]
    assert any(STACK in bucket for bucket in buckets)
    groups = [group["logGroupName"] for group in client(deployment, "logs").describe_log_groups()["logGroups"]]
    assert set(outputs["logGroups"]) <= set(groups)


@only_all
def test_eight_calls_at_once_to_a_function_with_concurrency_two_are_throttled(deployment: Deployment) -> None:
    stack = "aws-lambda-api"
    deployment.edit(f"stacks/Pulumi.{stack}.yaml", r"maxConcurrency: 10", "maxConcurrency: 2")
    deployment.up(stack)
    outputs = deployment.outputs(stack)
    invoker = client(deployment, "lambda")
    event = json.dumps({"inputs": "crowd " * 400}).encode()

    def call(_: int) -> int:
        try:
            return int(
                invoker.invoke(FunctionName=outputs["functionName"], Qualifier=outputs["functionAlias"], Payload=event)["StatusCode"]
            )
        except invoker.exceptions.TooManyRequestsException as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])

    with ThreadPoolExecutor(8) as pool:
        statuses = collections.Counter(pool.map(call, range(8)))
    assert statuses[200] >= 2
    assert statuses[429] >= 1
    assert set(statuses) == {200, 429}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(outputs, {"inputs": "crowd " * 400}), range(8)))
    assert {answer.status_code for answer in answers} <= {200, 429, 500}
    assert 200 in {answer.status_code for answer in answers}
    deployment.report("destroy", stack)
