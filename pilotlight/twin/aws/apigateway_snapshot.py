"""What a deployment of a REST API holds: its methods, integrations, models and gateway responses as of its creation."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

REST_API = "aws:apigateway/restApi:RestApi"
RESOURCE = "aws:apigateway/resource:Resource"
METHOD = "aws:apigateway/method:Method"
INTEGRATION = "aws:apigateway/integration:Integration"
MODEL = "aws:apigateway/model:Model"
VALIDATOR = "aws:apigateway/requestValidator:RequestValidator"
RESPONSE = "aws:apigateway/response:Response"
API_POLICY = "aws:apigateway/restApiPolicy:RestApiPolicy"
DEPLOYMENT = "aws:apigateway/deployment:Deployment"
# Not a resource of the program: it lives beside the deployment in the world, under a type of the twin's own.
SNAPSHOT = "twin:apigateway:Snapshot"


def snapshot_id(rest_api: str, deployment: str) -> str:
    return f"{rest_api}/{deployment}"


def path_of(world: World, rest_api: str, resource_id: str) -> str | None:
    """The path template of a resource id (the root's is "/"); None where the API has no such resource."""
    api = world.get(REST_API, rest_api)
    if api is None:
        return None
    if resource_id == api["rootResourceId"]:
        return "/"
    resource = world.get(RESOURCE, resource_id)
    return str(resource["path"]) if resource and resource["restApi"] == rest_api else None


def capture(world: World, rest_api: str) -> dict[str, Any]:
    """The snapshot; Refusal in AWS's words where the API has no method, or a method without an integration."""
    api = world.get(REST_API, rest_api)
    if api is None:
        raise Refusal("NotFoundException", "Invalid API identifier specified", 404)
    methods = world.find(METHOD, restApi=rest_api)
    if not methods:
        raise Refusal("BadRequestException", "The REST API doesn't contain any methods")
    policy = world.one(API_POLICY, restApiId=rest_api)
    return {
        "routes": [_route(world, rest_api, method) for method in methods],
        "responses": {item["responseType"]: _response(item) for item in world.find(RESPONSE, restApiId=rest_api)},
        "binaryMediaTypes": list(api.get("binaryMediaTypes", [])),
        "policy": str(policy["policy"] if policy else api.get("policy", "")),
    }


def _route(world: World, rest_api: str, method: Resource) -> dict[str, Any]:
    where = {"restApi": rest_api, "resourceId": method["resourceId"], "httpMethod": method["httpMethod"]}
    integration = world.one(INTEGRATION, **where)
    if integration is None:
        raise Refusal("BadRequestException", "No integration defined for method")
    validator = world.get(VALIDATOR, str(method.get("requestValidatorId", "")))
    return {
        "path": path_of(world, rest_api, method["resourceId"]) or "/",
        "resourceId": method["resourceId"],
        "method": method["httpMethod"],
        "authorization": method["authorization"],
        "apiKeyRequired": bool(method.get("apiKeyRequired", False)),
        "validateBody": bool(validator and validator.get("validateRequestBody", False)),
        "validateParameters": bool(validator and validator.get("validateRequestParameters", False)),
        "models": {kind: _schema(world, rest_api, name) for kind, name in method.get("requestModels", {}).items()},
        "parameters": dict(method.get("requestParameters", {})),
        "integration": {
            "type": integration["type"],
            "uri": integration.get("uri", ""),
            "credentials": integration.get("credentials"),
            "timeoutMs": int(integration.get("timeoutMilliseconds", 29_000)),
        },
    }


def _schema(world: World, rest_api: str, name: str) -> Any:
    model = world.one(MODEL, restApi=rest_api, name=name)
    # "Empty" and "Error" are in every new API without being declared; both let any object pass.
    return json.loads(model.get("schema", "{}") or "{}") if model else {}


def _response(item: Resource) -> dict[str, Any]:
    return {
        "status": int(item["statusCode"]) if item.get("statusCode") else None,
        "templates": dict(item.get("responseTemplates", {})),
        "parameters": dict(item.get("responseParameters", {})),
    }
