"""REST APIs as their clients see them."""

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from pilotlight.twin.iam import Credentials
from pilotlight.twin.rows import Refusal
from tests.twin.front.conftest import Reply, RunningFront

SCHEMA = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "string"}}}
FORMAT = '{"id":"$context.requestId","status":"$context.status","key":"$context.identity.apiKeyId","error":"$context.error.responseType"}'


def deployed(front: RunningFront, **api: Any) -> SimpleNamespace:
    return front.account.stage(front.account.rest_api(**api))


def post(made: SimpleNamespace, key: str | bytes | None = None, body: Any = None, path: str = "predict", **headers: str) -> httpx.Response:
    given: Any = ({"x-api-key": key} if key else {}) | {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{made.stage['invokeUrl']}/{path}"
    if isinstance(body, bytes):
        return httpx.post(url, content=body, headers=given)
    return httpx.post(url, json={"inputs": "a"} if body is None else body, headers=given)


def test_a_call_with_its_key_reaches_the_function_as_aws_would_call_it(front: RunningFront) -> None:
    made = deployed(front)
    key = front.account.plan(made)
    answer = post(made, key)
    event = answer.json()
    assert answer.status_code == 200
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/predict", "/predict", "POST")
    assert json.loads(event["body"]) == {"inputs": "a"}
    assert event["requestContext"]["identity"]["apiKey"] == key
    assert answer.headers["x-amzn-requestid"] == event["requestContext"]["requestId"]
    (call,) = front.functions.calls
    assert call == {
        "function": "api",
        "qualifier": "live",
        "source": "apigateway.amazonaws.com",
        "source_arn": f"arn:aws:execute-api:us-east-1:123456789012:{made.api.id}/live/POST/predict",
    }


def test_without_a_key_or_with_a_wrong_or_disabled_one_nobody_gets_in(front: RunningFront) -> None:
    made = deployed(front)
    key = front.account.plan(made)
    loose = front.account.create("aws:apigateway/apiKey:ApiKey")
    for wrong in (None, "x", key + "x", loose["value"], "ü".encode()):
        answer = post(made, wrong)
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
        assert answer.headers["x-amzn-errortype"] == "ForbiddenException"
    front.account.update(made.key, enabled=False)
    assert post(made, key).status_code == 403
    assert front.functions.calls == []


def test_calls_are_counted_by_api_and_stage(front: RunningFront) -> None:
    made = deployed(front)
    key = front.account.plan(made)
    assert [post(made, given).status_code for given in (key, key, None)] == [200, 200, 403]
    place = {"ApiName": str(made.api["name"]), "Stage": "live"}
    assert front.counted("AWS/ApiGateway", "Count", 3, **place)
    counted = {name: front.total("AWS/ApiGateway", name, **place) for name in ("Count", "4XXError", "5XXError")}
    assert counted == {"Count": 3, "4XXError": 1, "5XXError": 0}
    assert front.total("AWS/ApiGateway", "Count", ApiName=str(made.api["name"])) == 3
    assert (front.total("AWS/ApiGateway", "Latency", "p99", **place) or 0) > 0


def test_a_plan_throttles_and_its_quota_ends(front: RunningFront) -> None:
    made = deployed(front)
    slow = front.account.plan(made, throttleSettings={"rateLimit": 0.001, "burstLimit": 2})
    assert [post(made, slow).status_code for _ in range(4)] == [200, 200, 429, 429]
    assert post(made, slow).json() == {"message": "Too Many Requests"}
    small = front.account.plan(made, quotaSettings={"limit": 2, "period": "DAY"})
    assert [post(made, small).status_code for _ in range(3)] == [200, 200, 429]
    assert post(made, small).json() == {"message": "Limit Exceeded"}
    front.account.twin.clock.advance(86_400)
    assert post(made, small).status_code == 200


def test_the_stages_own_throttle_counts_for_everybody(front: RunningFront) -> None:
    made = deployed(front, key=False)
    settings = {"throttlingRateLimit": 0.001, "throttlingBurstLimit": 3}
    front.account.create(
        "aws:apigateway/methodSettings:MethodSettings", restApi=made.api.id, stageName="live", methodPath="*/*", settings=settings
    )
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: post(made), range(8))]
    assert sorted(statuses) == [200] * 3 + [429] * 5


def test_bodies_are_validated_by_the_declared_model(front: RunningFront) -> None:
    made = deployed(front, key=False, schema=SCHEMA)
    assert post(made).status_code == 200
    for body in ({}, {"inputs": 1}, [], b"{", b"\xff\xfe"):
        answer = post(made, None, body, content_type="application/json")
        assert (answer.status_code, answer.json()) == (400, {"message": "Invalid request body"})


def test_unknown_paths_methods_stages_and_apis(front: RunningFront) -> None:
    made = deployed(front, key=False)
    base = made.stage["invokeUrl"]
    for answer in (post(made, path="other"), httpx.get(f"{base}/predict"), post(made, path="predict/deeper")):
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
    for url in (base.replace("/live", "/test"), f"{front.url}/execute-api/none/live", f"{front.url}/execute-api/"):
        assert (httpx.post(url).status_code, httpx.post(url).json()) == (403, {"message": "Forbidden"})


def test_only_what_was_deployed_is_served(front: RunningFront) -> None:
    made = deployed(front, key=False)
    place = {"restApi": made.api.id, "resourceId": made.resource.id, "httpMethod": "GET"}
    front.account.create("aws:apigateway/method:Method", **place, authorization="NONE")
    front.account.create(
        "aws:apigateway/integration:Integration", **place, type="AWS_PROXY", integrationHttpMethod="POST", uri=made.integration["uri"]
    )
    url = f"{made.stage['invokeUrl']}/predict"
    assert httpx.get(url).status_code == 403
    newer = front.account.create("aws:apigateway/deployment:Deployment", restApi=made.api.id, triggers={"hash": "2"})
    front.account.update(made.stage, deployment=newer.id)
    assert httpx.get(url).status_code == 200


def test_declared_gateway_responses_shape_refusals(front: RunningFront) -> None:
    made = front.account.rest_api()
    parameters = {"gatewayresponse.header.Content-Type": "'application/problem+json'"}
    templates = {"application/json": '{"title":$context.error.messageString,"status":404,"instance":"$context.requestId"}'}
    front.account.create(
        "aws:apigateway/response:Response",
        restApiId=made.api.id,
        responseType="MISSING_AUTHENTICATION_TOKEN",
        statusCode="404",
        responseParameters=parameters,
        responseTemplates=templates,
    )
    front.account.stage(made)
    answer = post(made, path="none")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["instance"] == answer.headers["x-amzn-requestid"]


async def slow(event: dict[str, Any]) -> Any:
    await asyncio.sleep(5)


def too_many(event: dict[str, Any]) -> Any:
    raise Refusal("TooManyRequestsException", "Rate Exceeded.", 429)


def no_permission(event: dict[str, Any]) -> Any:
    raise Refusal("AccessDeniedException", "not authorized", 403)


@pytest.mark.parametrize(
    ("play", "status", "message"),
    [
        (lambda event: {"statusCode": "odd"}, 502, "Internal server error"),
        (lambda event: "text", 502, "Internal server error"),
        (lambda event: Reply(b'{"errorMessage": "boom"}', "Unhandled"), 502, "Internal server error"),
        (lambda event: Reply(b"\xff"), 502, "Internal server error"),
        (too_many, 500, "Internal server error"),
        (no_permission, 500, "Internal server error"),
    ],
)
def test_a_function_that_does_not_answer_well(front: RunningFront, play: Any, status: int, message: str) -> None:
    made = deployed(front, key=False)
    front.functions.play = play
    answer = post(made)
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_a_function_slower_than_its_integration_is_given_up(front: RunningFront) -> None:
    made = front.account.rest_api(key=False)
    front.account.update(made.integration, timeoutMilliseconds=100)
    front.account.stage(made)
    front.functions.play = slow
    started = time.monotonic()
    answer = post(made)
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})
    assert time.monotonic() - started < 3


def test_bodies_above_ten_megabytes_are_too_long(front: RunningFront) -> None:
    made = deployed(front, key=False)
    limit = 10 * 1024 * 1024
    front.functions.play = lambda event: {"statusCode": 200, "body": str(len(event["body"]))}
    assert post(made, None, b"x" * limit).text == str(limit)
    answer = post(made, None, b"x" * (limit + 1))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})
    chunked = httpx.post(f"{made.stage['invokeUrl']}/predict", content=(b"x" * 1_000_000 for _ in range(11)))
    assert chunked.status_code == 413


def test_headers_above_ten_kilobytes_are_refused(front: RunningFront) -> None:
    made = deployed(front, key=False)
    assert post(made, x_big="x" * 11_000).status_code == 431
    assert post(made, x_big="x" * 5_000).status_code == 200


def test_a_client_that_stops_in_the_middle_of_its_body_does_not_hold_the_front(
    front: RunningFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotlight.twin.asgi.QUIET_S", 0.3)
    made = deployed(front, key=False)
    host, port = front.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as quiet:
        path = made.stage["invokeUrl"].removeprefix(front.url)
        quiet.sendall(f"POST {path}/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
        assert post(made).status_code == 200
        assert b" 408 " in quiet.recv(200)


def test_access_logs_say_what_the_format_asks_for(front: RunningFront) -> None:
    front.account.log_account()
    front.logs.create_group("access")
    destination = "arn:aws:logs:us-east-1:123456789012:log-group:access:*"
    made = front.account.rest_api()
    front.account.stage(made, accessLogSettings={"destinationArn": destination, "format": FORMAT})
    key = front.account.plan(made)
    answers = [post(made, key), post(made)]
    deadline = time.monotonic() + 5
    while len(events := front.logs.events("access")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    lines = [json.loads(event.message) for event in events]
    lines.sort(key=lambda line: line["status"])
    assert lines == [
        {"id": answers[0].headers["x-amzn-requestid"], "status": "200", "key": made.key.id, "error": "-"},
        {"id": answers[1].headers["x-amzn-requestid"], "status": "403", "key": "-", "error": "INVALID_API_KEY"},
    ]


def test_failures_of_the_function_are_told_in_the_execution_log(front: RunningFront) -> None:
    front.account.log_account()
    made = deployed(front, key=False)
    place = {"restApi": made.api.id, "stageName": "live", "methodPath": "*/*"}
    front.account.create("aws:apigateway/methodSettings:MethodSettings", **place, settings={"loggingLevel": "ERROR"})
    group = f"API-Gateway-Execution-Logs_{made.api.id}/live"
    front.logs.create_group(group)
    front.functions.play = no_permission
    answer = post(made)
    deadline = time.monotonic() + 5
    while not (events := front.logs.events(group)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert answer.headers["x-amzn-requestid"] in events[0].message
    assert "not authorized" in events[0].message


def signed(url: str, credentials: Credentials, service: str = "execute-api") -> httpx.Response:
    request = AWSRequest(method="POST", url=url, data=b'{"inputs": "a"}', headers={"content-type": "application/json"})
    keys = Keys(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    return httpx.post(url, content=b'{"inputs": "a"}', headers=dict(request.headers.items()))


def test_signed_methods_ask_for_the_right_to_invoke(front: RunningFront) -> None:
    made = deployed(front, key=False, authorization="AWS_IAM")
    account = front.account
    url = f"{made.stage['invokeUrl']}/predict"
    invoke = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{made.api['executionArn']}/live/POST/predict"}
    may = account.iam.credentials(account.role("may", policy=[invoke]))
    may_not = account.iam.credentials(account.role("may-not"))
    assert signed(url, may).status_code == 200
    assert "may/pilotlight" in signed(url, may).json()["requestContext"]["identity"]["userArn"]
    denied = signed(url, may_not)
    assert (denied.status_code, denied.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert post(made).json() == {"message": "Missing Authentication Token"}
    wrong = Credentials(access_key_id=may.access_key_id, secret_access_key="x", session_token=may.session_token)
    assert signed(url, wrong).status_code == 403


def test_a_resource_policy_closes_an_open_method(front: RunningFront) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    made = deployed(front, key=False, api={"policy": policy})
    assert post(made).status_code == 403
    assert front.functions.calls == []


def test_an_integration_with_a_role_needs_the_roles_right(front: RunningFront) -> None:
    account = front.account
    invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:api:live"}
    may = account.role("calls", service="apigateway.amazonaws.com", policy=[invoke])
    may_not = account.role("calls-not", service="apigateway.amazonaws.com")
    for role, status in ((may, 200), (may_not, 500)):
        made = account.rest_api(key=False)
        account.update(made.integration, credentials=role)
        account.stage(made)
        assert post(made).status_code == status
    assert [call["source"] for call in front.functions.calls] == [None]
