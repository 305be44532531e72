"""Every platform and every gateway keeps the contract of `components/contract.py`."""

import inspect
import json
from typing import Any

import pytest

from components import contract
from components.aws.gateway_routes import Snapshot
from components.capabilities import CLOUD_SETTINGS
from components.platform_facts import PLATFORM_FACTS
from components.platforms import CLOUDS, ENDPOINTS, cloud_of, load_endpoint, load_home
from tests.planned.conftest import Build
from tests.planned.recording import Graph

STACK_OF = {
    "aws-sagemaker": "aws-sagemaker-api",
    "aws-lambda": "aws-lambda-api",
    "gcp-cloud-run": "gcp-cloud-run-api",
    "azure-container-apps": "azure-container-apps-api",
}
EVENTS_OF = {
    "aws-sagemaker": "aws-sagemaker-events",
    "aws-lambda": "aws-lambda-events",
    "gcp-cloud-run": "gcp-cloud-run-events",
    "azure-container-apps": "azure-container-apps-events",
}
JWT: dict[str, Any] = {
    "auth__mode": "jwt",
    "auth__issuer": "https://issuer.example",
    "auth__audience": ["models"],
    "auth__dailyQuota": None,
    "accessLogs": None,
}
IAM: dict[str, Any] = {"auth__mode": "iam", "auth__dailyQuota": None, "accessLogs": None}
MODES: dict[str, dict[str, Any]] = {"api-key": {}, "jwt": JWT, "iam": IAM}
# Gateways that count the calls of keys alone, and know no AWS credentials.
OTHER_MODES: dict[str, dict[str, Any]] = {"api-key": {}, "jwt": {**JWT, "auth__requestsPerSecond": None}}
PAIRS = [(platform, mode) for platform in ENDPOINTS for mode in (MODES if cloud_of(platform) == "aws" else OTHER_MODES)]
AWS = [platform for platform in ENDPOINTS if cloud_of(platform) == "aws"]


def api(build: Build, platform: str, mode: str, **changes: Any) -> Graph:
    """The ready stack of pattern 1 of a platform, behind the gateway of that mode."""
    return build(STACK_OF[platform], **(MODES if cloud_of(platform) == "aws" else OTHER_MODES)[mode], **changes)


def test_both_tables_name_what_can_be_loaded() -> None:
    assert all(load_home(cloud) for cloud in CLOUDS)
    assert all(load_endpoint(platform) for platform in ENDPOINTS)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_home_gives_every_part_that_a_pattern_asks_for(cloud: str) -> None:
    asked = {name: part for name, part in vars(contract.Home).items() if inspect.isfunction(part) and not name.startswith("_")}
    home = load_home(cloud)
    assert {name for name in asked if not hasattr(home, name)} == set()
    given = {name: list(inspect.signature(getattr(home, name)).parameters) for name in asked}
    assert given == {name: list(inspect.signature(part).parameters) for name, part in asked.items()}
    assert {"objects", "results", "event_function", "deliver", "answers", "worker", "warm", "budget", "dashboard"} <= set(asked)


@pytest.mark.parametrize("platform", ENDPOINTS)
def test_every_endpoint_is_made_in_the_same_way(platform: str) -> None:
    parameters = inspect.signature(load_endpoint(platform)).parameters
    assert list(parameters) == ["name", "home", "image", "model", "args", "opts", "work"]


def test_every_platform_has_its_facts_and_a_ready_stack() -> None:
    assert set(PLATFORM_FACTS) == set(ENDPOINTS) == set(STACK_OF)
    # Where there are pipelines: a cloud without says so by name.
    without = {cloud for row in CLOUD_SETTINGS if (row.setting, row.value) == ("pattern", "events") for cloud in row.without}
    assert set(EVENTS_OF) == {platform for platform in ENDPOINTS if cloud_of(platform) not in without}


@pytest.mark.parametrize(("platform", "mode"), PAIRS)
def test_every_pair_of_platform_and_gateway_answers_at_an_address(build: Build, platform: str, mode: str) -> None:
    graph = api(build, platform, mode)
    assert graph.result["outputs"]["url"].startswith("https://")
    assert graph.result["outputs"]["url"].endswith("/predict")
    assert all(graph.result["outputs"].get("logGroups", []))
    assert (graph.result["key_is_secret"] is True) == (mode == "api-key")


@pytest.mark.parametrize(("platform", "stack"), [*STACK_OF.items(), *EVENTS_OF.items()])
def test_every_platform_scales_to_zero_and_says_how_large_a_body_it_takes(build: Build, platform: str, stack: str) -> None:
    endpoint = build(stack).result["endpoint"]
    facts = PLATFORM_FACTS[platform]
    assert (endpoint.floor, endpoint.max_body_bytes, endpoint.cold_start_budget_s) == (0, facts.max_body_bytes, facts.cold_start_s)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("platform", AWS)
def test_every_gateway_lets_only_itself_in(build: Build, platform: str, mode: str) -> None:
    permissions = build(STACK_OF[platform], **MODES[mode], answers=None).all("aws:lambda/permission:Permission")
    assert [each.inputs["principal"] for each in permissions] == ["apigateway.amazonaws.com"]
    assert permissions[0].inputs["sourceArn"].endswith("/POST/predict")


def test_keys_are_asked_for_and_limited_by_a_plan(build: Build) -> None:
    graph = build("aws-sagemaker-api", auth__requestsPerSecond=2.5, auth__burst=7, auth__dailyQuota=9)
    method = graph.one("aws:apigateway/method:Method", "gateway-method").inputs
    plan = graph.one("aws:apigateway/usagePlan:UsagePlan").inputs
    assert (method["apiKeyRequired"], method["httpMethod"], method["requestModels"]) == (
        True,
        "POST",
        {"application/json": "PredictRequest"},
    )
    assert plan["throttleSettings"] == {"rateLimit": 2.5, "burstLimit": 7}
    assert plan["quotaSettings"] == {"limit": 9, "period": "DAY"}
    stage = graph.one("aws:apigateway/methodSettings:MethodSettings").inputs["settings"]
    assert (stage["throttlingRateLimit"], stage["throttlingBurstLimit"], stage["dataTraceEnabled"]) == (2.5, 7, False)


def test_a_plan_without_quota_has_none(build: Build) -> None:
    assert "quotaSettings" not in build("aws-sagemaker-api", auth__dailyQuota=None).one("aws:apigateway/usagePlan:UsagePlan").inputs


def trigger(graph: Graph) -> str:
    return str(graph.one("aws:apigateway/deployment:Deployment").inputs["triggers"]["content"])


def test_only_what_is_deployed_with_the_api_makes_a_new_deployment(build: Build) -> None:
    on, off = build("aws-sagemaker-api"), build("aws-sagemaker-api", answers=None)
    assert trigger(on) != trigger(off)
    for graph, answers in ((on, {"async": True}), (off, None)):
        same = build(
            "aws-sagemaker-api", answers=answers, logs={"retentionDays": 7}, auth__burst=3, auth__dailyQuota=9, endpoint__memoryMb=4096
        )
        assert trigger(same) == trigger(graph)


@pytest.mark.parametrize(
    ("part", "inputs"),
    [
        ("path", {"path_part": "forecast"}),
        ("schema", {"schema": "{}"}),
        ("validator", {"validate_request_body": False}),
        ("method", {"api_key_required": False}),
        ("integration", {"timeout_milliseconds": 28_000}),
        ("result", {"path_part": "{key}"}),
        ("result-method", {"authorization": "AWS_IAM"}),
        ("result-integration", {"uri": "another"}),
        ("answer-throttled", {"status_code": "503"}),
    ],
)
def test_whatever_changes_in_a_part_of_the_api_makes_a_new_deployment(
    build: Build, monkeypatch: pytest.MonkeyPatch, part: str, inputs: dict[str, Any]
) -> None:
    before, add = trigger(build("aws-sagemaker-api")), Snapshot.add

    def changed(self: Snapshot, make: Any, role: str, *links: Any, **said: Any) -> Any:
        return add(self, make, role, *links, **said | (inputs if role == part else {}))

    monkeypatch.setattr(Snapshot, "add", changed)
    # Under settings of its own: other tests share the graphs of theirs.
    assert trigger(build("aws-sagemaker-api", again=True, logs={"retentionDays": 3})) != before


def test_a_deployment_comes_after_every_part_and_names_none(build: Build) -> None:
    """One that named a part would be deleted with it, while the stage still serves it."""
    graph = build("aws-sagemaker-api")
    deployment = graph.one("aws:apigateway/deployment:Deployment")
    kinds = (
        "resource:Resource",
        "model:Model",
        "requestValidator:RequestValidator",
        "method:Method",
        "integration:Integration",
        "response:Response",
    )
    parts = [each for kind in kinds for each in graph.all(f"aws:apigateway/{kind}")]
    assert {each.urn for each in parts} < set(deployment.dependencies)
    assert not {each.urn for each in parts} & {urn for urns in deployment.property_dependencies.values() for urn in urns}


def test_tokens_are_checked_against_issuer_audience_and_scopes(build: Build) -> None:
    graph = build("aws-lambda-api", **JWT, auth__scopes=["predict"])
    authorizer = graph.one("aws:apigatewayv2/authorizer:Authorizer").inputs
    route = graph.one("aws:apigatewayv2/route:Route").inputs
    assert authorizer["jwtConfiguration"] == {"issuer": "https://issuer.example", "audiences": ["models"]}
    assert (route["authorizationType"], route["authorizationScopes"]) == ("JWT", ["predict"])
    assert route["authorizerId"] == "api-gateway-authorizer-id"


def test_iam_callers_need_no_authorizer(build: Build) -> None:
    graph = build("aws-lambda-api", **IAM)
    assert graph.one("aws:apigatewayv2/route:Route").inputs["authorizationType"] == "AWS_IAM"
    assert graph.all("aws:apigatewayv2/authorizer:Authorizer") == []


@pytest.mark.parametrize("mode", ["jwt", "iam"])
def test_http_apis_are_throttled_and_logged(build: Build, mode: str) -> None:
    graph = build("aws-sagemaker-api", **MODES[mode])
    stage = graph.one("aws:apigatewayv2/stage:Stage").inputs
    assert stage["defaultRouteSettings"] == {"throttlingRateLimit": 20, "throttlingBurstLimit": 40}
    assert json.loads(stage["accessLogSettings"]["format"])["status"] == "$context.status"
    assert graph.all("aws:apigateway/account:Account") == []


def test_browsers_are_let_in_only_by_setting(build: Build) -> None:
    assert "corsConfiguration" not in build("aws-lambda-api", **JWT).one("aws:apigatewayv2/api:Api").inputs
    opened = build("aws-lambda-api", **JWT, cors={"allowOrigins": ["https://app.example"]}).one("aws:apigatewayv2/api:Api")
    assert opened.inputs["corsConfiguration"]["allowOrigins"] == ["https://app.example"]


def test_every_answer_of_the_gateway_is_a_problem_document(build: Build) -> None:
    answers = build("aws-sagemaker-api").all("aws:apigateway/response:Response")
    assert len(answers) == 13
    for answer in answers:
        body = json.loads(answer.inputs["responseTemplates"]["application/json"])
        assert {"type", "title", "detail"} <= set(body)
        assert answer.inputs.get("statusCode") in (None, str(body.get("status")))
        assert answer.inputs["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
