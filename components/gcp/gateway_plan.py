"""What the gateway is told, as an OpenAPI document with Google's extensions, and what watches it. Pure."""

import math
from collections.abc import Mapping
from typing import Any

import pulumi

from components.args import GatewayArgs
from components.gcp.watch import Alarm

PATH = "predict"
# Where answers that come later are: their id is the last step.
RESULTS, RESULT_ID = "results", "id"
METRIC = "predict-requests"
KEY_HEADER = "x-api-key"
_ANSWER = {"description": "The answer, or a problem document."}


def document(title: str, function: str, args: GatewayArgs) -> dict[str, Any]:
    """The gateway of one function, at the address `function`: the same paths there, with an ID token for it, and nothing else."""
    paths: dict[str, Any] = {f"/{PATH}": {"post": _predict(args)}}
    if args.later:
        paths[f"/{RESULTS}/{{{RESULT_ID}}}"] = {"get": _result()}
    return {
        "swagger": "2.0",
        "info": {"title": title, "version": "1"},
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json", "application/problem+json"],
        "x-google-backend": {
            "address": function,
            "jwt_audience": function,
            "path_translation": "APPEND_PATH_TO_ADDRESS",
            "deadline": float(args.timeouts.gateway_s),
            "protocol": "h2",
        },
        **(_management(args) if args.auth_mode == "api-key" else {}),
        "securityDefinitions": {args.auth_mode: _scheme(args)},
        "security": [{args.auth_mode: []}],
        "paths": paths,
    }


def quota(requests_per_second: float) -> int:
    """The calls a minute that are as many a second: minutes are all that API Gateway counts."""
    return math.ceil(requests_per_second * 60)


def _predict(args: GatewayArgs) -> dict[str, Any]:
    counted = {"x-google-quota": {"metricCosts": {METRIC: 1}}} if args.auth_mode == "api-key" else {}
    body = {"name": "body", "in": "body", "required": True, "schema": {"type": "object"}}
    return {"operationId": "predict", "parameters": [body], "responses": {"200": _ANSWER, "202": _ANSWER}, **counted}


def _result() -> dict[str, Any]:
    """Not counted: who waits for an answer asks for it again and again."""
    parameter = {"name": RESULT_ID, "in": "path", "required": True, "type": "string"}
    return {"operationId": "result", "parameters": [parameter], "responses": {"200": _ANSWER, "202": _ANSWER}}


def _management(args: GatewayArgs) -> dict[str, Any]:
    """The quota: by the minute and consumer project, which is that of the key."""
    limit = {
        "name": f"{METRIC}-a-minute",
        "metric": METRIC,
        "unit": "1/min/{project}",
        "values": {"STANDARD": quota(args.requests_per_second)},
    }
    metric = {"name": METRIC, "displayName": "Predictions", "valueType": "INT64", "metricKind": "DELTA"}
    return {"x-google-management": {"metrics": [metric], "quota": {"limits": [limit]}}}


def _scheme(args: GatewayArgs) -> Mapping[str, Any]:
    if args.auth_mode == "api-key":
        return {"type": "apiKey", "name": KEY_HEADER, "in": "header"}
    # Without a jwks_uri the keys are found through the issuer's OpenID discovery (Service Management API, AuthProvider.jwksUri).
    return {
        "type": "oauth2",
        "flow": "implicit",
        "authorizationUrl": "",
        "x-google-issuer": args.issuer,
        "x-google-audiences": ",".join(args.audience),
    }


def gateway_alarm(gateway: pulumi.Input[str]) -> Alarm:
    """Answers of the 500s, as callers see them."""
    return Alarm(
        role="gateway-errors",
        text="Callers get 5XX answers.",
        metric="apigateway.googleapis.com/proxy/request_count",
        resource="apigateway.googleapis.com/Gateway",
        of={"gateway_id": gateway},
        where={"response_code_class": "5xx"},
        statistic="sum",
        threshold=0,
        minutes=0,
    )
