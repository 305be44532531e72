"""The document that API Gateway is told by, and the config that holds it."""

import inspect
from typing import Any

import pulumi_gcp as gcp
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator

from tests.planned.gcp.conftest import API, CONFIG, JWT, RUN, document, plan_of


@pytest.mark.parametrize("changes", [{}, JWT])
def test_the_document_is_one_of_openapi_2_with_a_single_route(changes: dict[str, Any]) -> None:
    plan = plan_of(API, changes)
    said = document(plan)
    # Google's pages leave this address empty, which the schema of OpenAPI does not: nobody is sent there.
    told = {"authorizationUrl": "https://issuer.example/authorize"}
    schemes = {name: {**scheme, **(told if "authorizationUrl" in scheme else {})} for name, scheme in said["securityDefinitions"].items()}
    OpenAPIV2SpecValidator({**said, "securityDefinitions": schemes}).validate()
    assert {path: list(verbs) for path, verbs in said["paths"].items()} == {"/predict": ["post"]}
    address = plan.one(RUN, "function-service").outputs["uri"]
    backend = said["x-google-backend"]
    assert (backend["address"], backend["jwt_audience"], backend["path_translation"]) == (address, address, "APPEND_PATH_TO_ADDRESS")


def test_keys_are_asked_for_and_counted_by_the_minute() -> None:
    said = document(plan_of(API, {"auth.requestsPerSecond": 2.5}))
    assert said["securityDefinitions"] == {"api-key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}
    assert said["security"] == [{"api-key": []}]
    [limit] = said["x-google-management"]["quota"]["limits"]
    assert (limit["unit"], limit["values"]) == ("1/min/{project}", {"STANDARD": 150})
    [metric] = said["x-google-management"]["metrics"]
    assert limit["metric"] == metric["name"]
    assert said["paths"]["/predict"]["post"]["x-google-quota"] == {"metricCosts": {metric["name"]: 1}}


def test_tokens_are_checked_against_issuer_and_audience_and_not_counted() -> None:
    plan = plan_of(API, JWT)
    said = document(plan)
    scheme = said["securityDefinitions"]["jwt"]
    assert (scheme["x-google-issuer"], scheme["x-google-audiences"]) == ("https://issuer.example", "models,others")
    assert said["security"] == [{"jwt": []}]
    assert "x-google-management" not in said
    assert plan.all("gcp:projects/apiKey:ApiKey") == []


def test_the_key_opens_this_api_alone_and_goes_with_the_stack() -> None:
    plan = plan_of(API)
    key = plan.one("gcp:projects/apiKey:ApiKey").inputs
    assert key["restrictions"] == {"apiTargets": [{"service": plan.one("gcp:apigateway/api:Api").outputs["managedService"]}]}
    # A key that was used within a week is else not deleted; a name that was deleted stays taken for a month.
    assert (key["deletionPolicy"], key.get("name")) == ("FORCE", None)


def test_another_document_is_another_config_which_comes_before_the_old_one_goes() -> None:
    changes = [{}, {"auth.requestsPerSecond": 21}, JWT, {"endpoint.memoryMb": 4096}]
    configs = [plan_of(API, each).one(CONFIG) for each in changes]
    names = [each.inputs["apiConfigId"] for each in configs]
    assert len(set(names[:3])) == 3
    # What is not in the document changes nothing of the gateway.
    assert names[3] == names[0]
    assert not any(each.delete_first for each in configs)
    gateway = plan_of(API).one("gcp:apigateway/gateway:Gateway")
    assert gateway.inputs["apiConfig"] == configs[0].outputs["id"]


def test_the_gateway_stays_the_same_when_its_document_changes() -> None:
    ids = {plan_of(API, each).one("gcp:apigateway/gateway:Gateway").inputs["gatewayId"] for each in ({}, JWT)}
    assert len(ids) == 1


def test_the_provider_can_turn_no_streaming_on() -> None:
    """Why `answers.stream` is refused here; Google's API has `streamingMode`."""
    assert not [name for name in inspect.signature(gcp.apigateway.GatewayArgs.__init__).parameters if "stream" in name]
