"""HTTP APIs as their clients see them."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from pilotlight.twin.iam import Credentials
from tests.support.issuer import OTHER_KEY, serving, token
from tests.twin.front.conftest import Reply, RunningFront
from tests.twin.front.test_front_rest_api import signed, too_many


@pytest.fixture
def issuer() -> Iterator[str]:
    with serving() as url:
        yield url


def url_of(made: Any, path: str = "predict") -> str:
    return f"{made.stage['invokeUrl'].rstrip('/')}/{path}"


def test_a_call_reaches_the_function_in_format_two(front: RunningFront) -> None:
    made = front.account.http_api()
    answer = httpx.post(url_of(made) + "?a=1&a=2", json={"inputs": "ü"})
    event = answer.json()
    assert (event["version"], event["routeKey"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "POST /predict",
        "/predict",
        "a=1&a=2",
    )
    assert json.loads(event["body"]) == {"inputs": "ü"}
    assert event["requestContext"]["stage"] == "$default"
    assert front.functions.calls[0]["source_arn"] == f"arn:aws:execute-api:us-east-1:123456789012:{made.api.id}/$default/POST/predict"


def test_a_named_stage_and_format_one(front: RunningFront) -> None:
    made = front.account.http_api(version="1.0", stage={"name": "v1", "stageVariables": {"a": "b"}})
    event = httpx.post(url_of(made), content=b"x").json()
    assert (event["version"], event["path"], event["stageVariables"]) == ("1.0", "/predict", {"a": "b"})
    assert httpx.post(f"{made.api['apiEndpoint']}/predict").status_code == 404


def test_unknown_routes_are_not_found(front: RunningFront) -> None:
    made = front.account.http_api()
    for answer in (httpx.get(url_of(made)), httpx.post(url_of(made, "none"))):
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_routes_of_a_deployment_stay_as_deployed(front: RunningFront) -> None:
    account = front.account
    made = account.http_api()
    deployment = account.create("aws:apigatewayv2/deployment:Deployment", apiId=made.api.id)
    stage = account.create("aws:apigatewayv2/stage:Stage", apiId=made.api.id, name="fixed", deploymentId=deployment.id)
    target = f"integrations/{made.integration.id}"
    account.create("aws:apigatewayv2/route:Route", apiId=made.api.id, routeKey="ANY /later/{id}", target=target)
    assert httpx.post(f"{stage['invokeUrl']}/predict").status_code == 200
    assert httpx.put(f"{stage['invokeUrl']}/later/1").status_code == 404
    assert httpx.put(url_of(made, "later/1")).json()["pathParameters"] == {"id": "1"}


def guarded(front: RunningFront, issuer: str, **route: Any) -> Any:
    made = front.account.http_api()
    authorizer = front.account.create(
        "aws:apigatewayv2/authorizer:Authorizer",
        apiId=made.api.id,
        authorizerType="JWT",
        identitySources=["$request.header.Authorization"],
        jwtConfiguration={"issuer": issuer, "audiences": ["predict"]},
    )
    front.account.update(made.route, authorizationType="JWT", authorizerId=authorizer.id, **route)
    return made


def called(made: Any, bearer: str | None) -> httpx.Response:
    return httpx.post(url_of(made), json={}, headers={"authorization": f"Bearer {bearer}"} if bearer is not None else {})


def test_a_valid_token_opens_the_route_and_its_claims_reach_the_function(front: RunningFront, issuer: str) -> None:
    made = guarded(front, issuer)
    answer = called(made, token(issuer))
    assert answer.status_code == 200
    claims = answer.json()["requestContext"]["authorizer"]["jwt"]["claims"]
    assert (claims["sub"], claims["aud"]) == ("me", "predict")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 4e9},
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://elsewhere"},
        {"key": OTHER_KEY},
        {"kid": "two"},
    ],
)
def test_any_other_token_is_unauthorized(front: RunningFront, issuer: str, claims: dict[str, Any]) -> None:
    made = guarded(front, issuer)
    answer = called(made, token(issuer, **claims))
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert "invalid_token" in answer.headers["www-authenticate"]


def test_no_token_a_broken_one_and_an_unsigned_one_are_unauthorized(front: RunningFront, issuer: str) -> None:
    made = guarded(front, issuer)
    unsigned = jwt.encode({"iss": issuer, "aud": "predict", "exp": time.time() + 60}, None, algorithm="none", headers={"kid": "one"})
    hmac = jwt.encode({"iss": issuer, "aud": "predict", "exp": time.time() + 60}, "x" * 32, algorithm="HS256", headers={"kid": "one"})
    for bearer in (None, "x", "x.y.z", unsigned, hmac):
        assert called(made, bearer).status_code == 401
    assert front.functions.calls == []


def test_missing_scopes_are_forbidden(front: RunningFront, issuer: str) -> None:
    made = guarded(front, issuer, authorizationScopes=["write", "admin"])
    answer = called(made, token(issuer))
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert called(made, token(issuer, scope="read write")).status_code == 200


def test_an_issuer_that_does_not_answer_is_unauthorized(front: RunningFront) -> None:
    for issuer in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
        made = guarded(front, issuer)
        assert called(made, token(issuer)).status_code == 401


def test_signed_routes_ask_for_the_right_to_invoke(front: RunningFront) -> None:
    made = front.account.http_api(route={"authorizationType": "AWS_IAM"})
    invoke = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{made.api['executionArn']}/$default/POST/predict"}
    may = front.account.iam.credentials(front.account.role("may", policy=[invoke]))
    may_not = front.account.iam.credentials(front.account.role("may-not"))
    stranger = Credentials(access_key_id="AKIASTRANGERSTRANGER", secret_access_key="x")
    assert signed(url_of(made), may).json()["requestContext"]["authorizer"]["iam"]["userArn"].endswith("may/pilotlight")
    for answer in (
        signed(url_of(made), may_not),
        signed(url_of(made), stranger),
        signed(url_of(made), may, "lambda"),
        httpx.post(url_of(made)),
    ):
        assert answer.status_code == 403


def test_stages_throttle_their_routes(front: RunningFront) -> None:
    made = front.account.http_api(stage={"defaultRouteSettings": {"throttlingRateLimit": 0.001, "throttlingBurstLimit": 2}})
    assert [httpx.post(url_of(made)).status_code for _ in range(3)] == [200, 200, 429]
    assert httpx.post(url_of(made)).json() == {"message": "Too Many Requests"}


@pytest.mark.parametrize(
    ("play", "status", "message"),
    [
        (lambda event: Reply(b"{}", "Unhandled"), 500, "Internal Server Error"),
        (lambda event: {"statusCode": "odd"}, 500, "Internal Server Error"),
        (too_many, 503, "Service Unavailable"),
    ],
)
def test_a_function_that_does_not_answer_well(front: RunningFront, play: Any, status: int, message: str) -> None:
    made = front.account.http_api()
    front.functions.play = play
    answer = httpx.post(url_of(made))
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_a_result_without_a_status_is_the_body_and_cookies_are_set_one_by_one(front: RunningFront) -> None:
    made = front.account.http_api()
    front.functions.play = lambda event: {"vector": [1]}
    assert httpx.post(url_of(made)).json() == {"vector": [1]}
    front.functions.play = lambda event: {"statusCode": 200, "cookies": ["a=1", "b=2"], "body": "x"}
    assert httpx.post(url_of(made)).headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_bodies_above_ten_megabytes_are_too_large(front: RunningFront) -> None:
    made = front.account.http_api()
    answer = httpx.post(url_of(made), content=b"x" * (10 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_cors_is_answered_only_where_it_is_declared(front: RunningFront) -> None:
    made = front.account.http_api()
    asks = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert httpx.options(url_of(made), headers=asks).status_code == 404
    cors = {"allowOrigins": ["https://a.example"], "allowMethods": ["POST"], "maxAge": 60}
    front.account.update(made.api, corsConfiguration=cors)
    preflight = httpx.options(url_of(made), headers=asks)
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "POST")
    assert httpx.post(url_of(made), headers=asks).headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in httpx.post(url_of(made), headers={"origin": "https://b.example"}).headers


def test_access_logs_need_no_role_of_the_account(front: RunningFront) -> None:
    front.logs.create_group("access")
    settings = {"destinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:access", "format": "$context.routeKey $context.status"}
    made = front.account.http_api(stage={"accessLogSettings": settings})
    httpx.post(url_of(made))
    deadline = time.monotonic() + 5
    while not front.logs.events("access") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [event.message for event in front.logs.events("access")] == ["POST /predict 200"]
