import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.asgi import Request
from pilotlight.twin.aws.gateway_answers import http_answer, rest_answer
from pilotlight.twin.aws.gateway_call import Call, expand
from pilotlight.twin.aws.gateway_events import event_v1, event_v2, is_binary
from pilotlight.twin.aws.gateway_lambda import IntegrationFailed, target_of
from pilotlight.twin.aws.gateway_limits import Quotas, Throttles
from pilotlight.twin.aws.gateway_responses import GatewayAnswer, render
from pilotlight.twin.aws.gateway_routes import best_route, match_path
from pilotlight.twin.aws.gateway_validation import invalid_body, missing_parameters

DAY = 86_400


def request(method: str = "POST", query: str = "", **headers: str) -> Request:
    pairs = [(name.replace("_", "-"), value) for name, value in {"host": "127.0.0.1:4566", **headers}.items()]

    async def receive() -> Any:
        raise AssertionError("nobody reads the body here")

    return Request(
        method=method, raw_path="/", raw_query=query, headers=dict(pairs), header_pairs=pairs, source_ip="127.0.0.1", receive=receive
    )


def call(stage: str = "live", path: str = "/predict", **keys: Any) -> Call:
    return Call(request=request(**keys), api_id="abc", stage=stage, path=path, account="1", region="us-east-1", extended=True)


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    moment = [0.0]
    throttles = Throttles(lambda: moment[0])
    wanted = [(("stage",), 2.0, 3.0)]
    assert [throttles.admit(wanted) for _ in range(5)] == [True, True, True, False, False]
    moment[0] = 0.5
    assert [throttles.admit(wanted) for _ in range(2)] == [True, False]
    moment[0] = 100
    assert sum(throttles.admit(wanted) for _ in range(10)) == 3


def test_a_call_that_one_bucket_refuses_costs_the_others_nothing() -> None:
    throttles = Throttles(lambda: 0.0)
    empty, full = (("a",), 0.0, 0.0), (("b",), 1.0, 1.0)
    assert not throttles.admit([full, empty])
    assert throttles.admit([full])


def test_a_changed_limit_counts_at_once() -> None:
    throttles = Throttles(lambda: 0.0)
    assert not throttles.admit([(("a",), 0.0, 0.0)])
    assert throttles.admit([(("a",), 1.0, 1.0)])


@given(st.lists(st.floats(min_value=0, max_value=3), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_no_schedule_gets_more_than_burst_and_rate(pauses: list[float], rate: int, burst: int) -> None:
    moment = [0.0]
    throttles = Throttles(lambda: moment[0])
    admitted = 0
    for pause in pauses:
        moment[0] += pause
        admitted += throttles.admit([(("a",), float(rate), float(burst))])
    assert admitted <= burst + moment[0] * rate + 1e-6


@pytest.mark.parametrize(("period", "seconds"), [("DAY", DAY), ("WEEK", 7 * DAY), ("MONTH", 31 * DAY)])
def test_a_quota_comes_back_with_the_next_period(period: str, seconds: int) -> None:
    moment = [1_767_225_600.0]
    quotas = Quotas(lambda: moment[0])
    assert [quotas.admit(("key",), 2, period) for _ in range(3)] == [True, True, False]
    assert quotas.admit(("other",), 2, period)
    moment[0] += seconds
    assert quotas.admit(("key",), 2, period)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/predict", "/predict", {}),
        ("/predict", "/predict/", {}),
        ("/predict", "/other", None),
        ("/predict", "/predict/x", None),
        ("/a/{id}", "/a/b%2Fc", {"id": "b/c"}),
        ("/{proxy+}", "/a/b", {"proxy": "a/b"}),
        ("/{proxy+}", "/", None),
        ("/", "/", {}),
    ],
)
def test_paths_match_templates(template: str, path: str, expected: Any) -> None:
    assert match_path(template, path) == expected


def test_the_most_specific_route_wins() -> None:
    routes = [("ANY", "/{proxy+}", 1), ("GET", "/a/{id}", 2), ("GET", "/a/b", 3), ("ANY", "/a/b", 4)]
    assert best_route(routes, "GET", "/a/b") == (3, {})
    assert best_route(routes, "POST", "/a/b") == (4, {})
    assert best_route(routes, "GET", "/a/c") == (2, {"id": "c"})
    assert best_route(routes, "PUT", "/z") == (1, {"proxy": "z"})
    assert best_route(routes[1:], "PUT", "/z") is None


def test_rest_events_look_as_aws_builds_them() -> None:
    made = call(query="a=1&a=2&b=%C3%BC", content_type="application/json", x_api_key="k")
    event = event_v1(
        made,
        b'{"x": 1}',
        resource="/predict",
        resource_id="r",
        path_parameters={},
        stage_variables={},
        identity={"apiKey": "k"},
        binary=False,
    )
    assert event["queryStringParameters"] == {"a": "2", "b": "ü"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["ü"]}
    assert event["headers"]["Content-Type"] == "application/json"
    assert event["multiValueHeaders"]["X-Forwarded-For"] == ["127.0.0.1"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"x": 1}', False)
    assert event["pathParameters"] is None
    context = event["requestContext"]
    assert (context["path"], context["stage"], context["identity"]["apiKey"]) == (
        "/execute-api/abc/live/predict",
        "live",
        "k",
    )
    assert event["headers"]["X-Forwarded-Proto"] == "http"
    assert "version" not in event


def test_http_events_look_as_aws_builds_them() -> None:
    made = call(stage="$default", query="a=1&a=2", cookie="x=1; y=2", content_type="application/json")
    event = event_v2(made, "ü".encode(), route_key="POST /predict", path_parameters={}, stage_variables={}, authorizer=None)
    assert (event["rawPath"], event["rawQueryString"], event["queryStringParameters"]) == ("/predict", "a=1&a=2", {"a": "1,2"})
    assert event["cookies"] == ["x=1", "y=2"]
    assert event["body"] == "ü"
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["http"]["path"] == "/execute-api/abc/predict"
    assert not {"pathParameters", "stageVariables"} & set(event)
    binary = event_v2(call(content_type="image/png"), b"\x89", route_key="x", path_parameters={}, stage_variables={}, authorizer=None)
    assert (binary["body"], binary["isBase64Encoded"], binary["rawPath"]) == (base64.b64encode(b"\x89").decode(), True, "/live/predict")


def test_bytes_that_are_no_text_arrive_as_base64_only_for_binary_types() -> None:
    assert is_binary(["image/*"], "image/png; q=1")
    assert not is_binary(["image/*"], "text/plain")
    keys: dict[str, Any] = {"resource": "/", "resource_id": "r", "path_parameters": {}, "stage_variables": {}, "identity": {}}
    assert event_v1(call(), b"\xff", binary=False, **keys)["body"] == "\ufffd"
    assert event_v1(call(), b"\xff", binary=True, **keys)["isBase64Encoded"] is True


def test_a_rest_answer_becomes_a_response() -> None:
    answer = rest_answer(
        {"statusCode": "201", "headers": {"X-A": 1}, "multiValueHeaders": {"Set-Cookie": ["a", "b"]}, "body": "{}"}, accepts_binary=False
    )
    assert (answer.response.status, answer.response.body) == (201, b"{}")
    assert answer.response.headers == {"x-a": "1", "content-type": "application/json"}
    assert answer.extra == [("set-cookie", "a"), ("set-cookie", "b")]


def test_base64_is_decoded_only_where_the_client_accepts_binary() -> None:
    result = {"statusCode": 200, "body": "aGk=", "isBase64Encoded": True}
    assert rest_answer(result, accepts_binary=True).response.body == b"hi"
    assert rest_answer(result, accepts_binary=False).response.body == b"aGk="
    assert http_answer(result, version="2.0").response.body == b"hi"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        [],
        {},
        {"statusCode": "ok"},
        {"statusCode": 99},
        {"statusCode": True},
        {"statusCode": 200, "body": {}},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a": []}},
        {"statusCode": 200, "odd": 1},
        {"statusCode": 200, "body": "&", "isBase64Encoded": True},
    ],
)
def test_malformed_proxy_answers_are_failures(answer: Any) -> None:
    with pytest.raises(IntegrationFailed, match="malformed"):
        rest_answer(answer, accepts_binary=True)


@pytest.mark.parametrize(("answer", "body"), [({"a": 1}, b'{"a":1}'), ("text", b"text"), ([1], b"[1]"), (None, b"null")])
def test_an_http_answer_without_a_status_is_the_body(answer: Any, body: bytes) -> None:
    response = http_answer(answer, version="2.0").response
    assert (response.status, response.body, response.headers["content-type"]) == (200, body, "application/json")


def test_a_context_variable_without_a_value_is_a_dash() -> None:
    context = {"requestId": "r", "error.message": "m"}
    assert expand('{"a":"$context.requestId","b":"$context.authorizer.error", "c": "$context.error.message."}', context) == (
        '{"a":"r","b":"-", "c": "m."}'
    )


def test_a_declared_gateway_response_shapes_the_refusal() -> None:
    declared = {
        "THROTTLED": {
            "status": 429,
            "templates": {"application/json": '{"title":$context.error.messageString,"id":"$context.requestId"}'},
            "parameters": {
                "gatewayresponse.header.Content-Type": "'application/problem+json'",
                "gatewayresponse.header.Retry-After": "'1'",
            },
        },
        "DEFAULT_4XX": {"status": None, "templates": {}, "parameters": {"gatewayresponse.header.X-Host": "method.request.header.host"}},
        "MISSING_AUTHENTICATION_TOKEN": {"status": 404, "templates": {}, "parameters": {}},
    }
    made = call()
    throttled = render(GatewayAnswer("THROTTLED"), made, declared)
    assert throttled.headers["content-type"] == "application/problem+json"
    assert throttled.headers["retry-after"] == "1"
    assert throttled.body == f'{{"title":"Too Many Requests","id":"{made.request_id}"}}'.encode()
    fallback = render(GatewayAnswer("INVALID_API_KEY"), call(), declared)
    assert (fallback.status, fallback.body, fallback.headers["x-host"]) == (403, b'{"message":"Forbidden"}', "127.0.0.1:4566")
    assert render(GatewayAnswer("MISSING_AUTHENTICATION_TOKEN"), call(), declared).status == 404
    assert render(GatewayAnswer("INTEGRATION_TIMEOUT"), call(), declared).body == b'{"message":"Endpoint request timed out"}'


SCHEMA = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "string"}}}
ROUTE = {"validateBody": True, "validateParameters": True, "models": {"application/json": SCHEMA}, "parameters": {}}


@pytest.mark.parametrize(
    ("body", "valid"),
    [(b'{"inputs": "a"}', True), (b"{}", False), (b'{"inputs": 1}', False), (b"", False), (b"\xff", False), (b"[" * 100_000, False)],
)
def test_bodies_are_held_to_the_model(body: bytes, valid: bool) -> None:
    assert (invalid_body(ROUTE, request(content_type="application/json; charset=utf-8"), body) is None) is valid


def test_a_content_type_without_a_model_is_not_validated() -> None:
    assert invalid_body(ROUTE, request(content_type="text/plain"), b"x") is None
    assert invalid_body({**ROUTE, "validateBody": False}, request(), b"x") is None


def test_required_parameters_are_named() -> None:
    names = {
        "method.request.header.X-A": True,
        "method.request.querystring.q": True,
        "method.request.path.id": True,
        "method.request.header.B": False,
    }
    route = {**ROUTE, "parameters": names}
    assert missing_parameters(route, request(), {}) == ["X-A", "q", "id"]
    assert missing_parameters(route, request(query="q=1", x_a="1"), {"id": "1"}) == []


def test_the_function_is_found_in_either_kind_of_uri() -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:api:live"
    for uri in (arn, f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"):
        target = target_of(uri)
        assert target is not None
        assert (target.arn, target.name, target.qualifier) == (arn, "api", "live")
    assert target_of("https://example.com") is None
