"""The routes of an HTTP API as a stage serves them: live where it deploys by itself, else as of its deployment."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

API = "aws:apigatewayv2/api:Api"
ROUTE = "aws:apigatewayv2/route:Route"
INTEGRATION = "aws:apigatewayv2/integration:Integration"
AUTHORIZER = "aws:apigatewayv2/authorizer:Authorizer"
STAGE = "aws:apigatewayv2/stage:Stage"
DEPLOYMENT = "aws:apigatewayv2/deployment:Deployment"
SNAPSHOT = "twin:apigatewayv2:Snapshot"


def capture(world: World, api_id: str) -> list[dict[str, Any]]:
    """The routes that can be served; a route without a target is left out, as AWS answers 500 for none of them either."""
    return [_route(world, route) for route in world.find(ROUTE, apiId=api_id) if route.get("target")]


def capture_for_deployment(world: World, api_id: str) -> list[dict[str, Any]]:
    """As `capture`; Refusal in AWS's words where there is nothing to deploy."""
    routes = capture(world, api_id)
    if not routes:
        raise Refusal("BadRequestException", "At least one route is required before deploying the Api")
    return routes


def served(world: World, stage: Resource) -> list[dict[str, Any]]:
    """The routes that a stage serves now."""
    if stage.get("autoDeploy", False):
        return capture(world, stage["apiId"])
    held = world.get(SNAPSHOT, f"{stage['apiId']}/{stage.get('deploymentId', '')}")
    return list(held["routes"]) if held else []


def _route(world: World, route: Resource) -> dict[str, Any]:
    integration = world.get(INTEGRATION, str(route["target"]).removeprefix("integrations/"))
    authorizer = world.get(AUTHORIZER, str(route.get("authorizerId", "")))
    return {
        "key": route["routeKey"],
        "authorization": route.get("authorizationType", "NONE"),
        "scopes": list(route.get("authorizationScopes", [])),
        "authorizer": dict(authorizer.outputs) if authorizer else None,
        "integration": None
        if integration is None
        else {
            "uri": integration.get("integrationUri", ""),
            "version": integration.get("payloadFormatVersion", "1.0"),
            "timeoutMs": int(integration.get("timeoutMilliseconds", 30_000)),
            "credentials": integration.get("credentialsArn"),
        },
    }
