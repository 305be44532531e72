"""Pattern 1 on Google Cloud by hand, in front of an endpoint: the function that callers wait for, and API Gateway."""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import pulumi
import pulumi_gcp as gcp

from benchmarks.handwritten.google import (
    account,
    after,
    apis,
    digits,
    enabled,
    functions,
    invoke,
    labels,
    manager,
    prefix,
    project,
    region,
    settings,
    stack,
)
from benchmarks.handwritten.google_run import FAILED, SUM, alarm, body_bytes, counted, filtered, service

# Seconds: what the gateway waits for is 60, and each hop has one less.
GATEWAY_S, FUNCTION_S, ENDPOINT_S = 60, 59, 58
# Of an instance of a function; it takes four times the endpoint's.
REQUESTS = 16
if settings.auth is None or settings.auth.requests_per_second is None:
    raise pulumi.RunError("auth or auth.requestsPerSecond: missing.")
METRIC = "predict-requests"
ANSWER = {"description": "The answer, or a problem document."}
RESULT = {
    "operationId": "result",
    "parameters": [{"name": "id", "in": "path", "required": True, "type": "string"}],
    "responses": {"200": ANSWER, "202": ANSWER},
}
LIMIT = {"name": f"{METRIC}-a-minute", "metric": METRIC, "unit": "1/min/{project}"}
MINUTE = math.ceil(settings.auth.requests_per_second * 60)


def calls(
    endpoint: gcp.cloudrunv2.Service, endpoint_s: int, function_s: int, requests: int, more: Mapping[str, pulumi.Input[str]]
) -> dict[str, pulumi.Input[str]]:
    """What a function is told that calls the endpoint."""
    return {
        "ENDPOINT_URL": endpoint.uri,
        "ENDPOINT_TIMEOUT_S": str(endpoint_s),
        "MAX_BODY_BYTES": body_bytes,
        "MODEL_TASK": settings.model.task,
        "SERVICE": stack,
        "GOOGLE_CLOUD_PROJECT": project,
        **more,
        "CONCURRENCY": str(requests),
        "REQUEST_TIMEOUT_S": str(function_s),
    }


def function_of(
    endpoint: gcp.cloudrunv2.Service,
    variables: Mapping[str, pulumi.Input[str]] = MappingProxyType({}),
    grants: Callable[[gcp.serviceaccount.Account], Sequence[pulumi.Resource]] = lambda _: (),
) -> gcp.cloudrunv2.Service:
    """The function behind the gateway; `variables` and `grants` are those of answers that come later."""
    who = account("api-function", "api", "Calls the endpoint")
    made = service(
        "api-function",
        f"{prefix}-predict",
        functions,
        who,
        calls(endpoint, ENDPOINT_S, FUNCTION_S, REQUESTS, variables),
        (1, settings.function.memory_mb, REQUESTS, math.ceil(4 * (settings.endpoint.max_concurrency or 10) / REQUESTS)),
        FUNCTION_S,
        [invoke("api-function", endpoint, who), *grants(who)],
        args=["api"],
    )
    counted(f"{prefix}-predict", "ColdStart", "Cold starts by stage", staged=True)
    return made


def document(address: str, later: bool) -> str:
    predict = {
        "operationId": "predict",
        "parameters": [{"name": "body", "in": "body", "required": True, "schema": {"type": "object"}}],
        "responses": {"200": ANSWER, "202": ANSWER},
        "x-google-quota": {"metricCosts": {METRIC: 1}},
    }
    whole = {
        "swagger": "2.0",
        "info": {"title": prefix, "version": "1"},
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json", "application/problem+json"],
        "x-google-backend": {
            "address": address,
            "jwt_audience": address,
            "path_translation": "APPEND_PATH_TO_ADDRESS",
            "deadline": float(GATEWAY_S),
            "protocol": "h2",
        },
        "x-google-management": {
            "metrics": [{"name": METRIC, "displayName": "Predictions", "valueType": "INT64", "metricKind": "DELTA"}],
            "quota": {"limits": [{**LIMIT, "values": {"STANDARD": MINUTE}}]},
        },
        "securityDefinitions": {"api-key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
        "security": [{"api-key": []}],
        "paths": {"/predict": {"post": predict}, **({"/results/{id}": {"get": RESULT}} if later else {})},
    }
    return json.dumps(whole, sort_keys=True)


def gateway_of(function: gcp.cloudrunv2.Service, endpoint: gcp.cloudrunv2.Service, taken: Sequence[pulumi.Resource] = ()) -> None:
    """API Gateway with a key; `taken` is what takes requests that are answered later, where there is any."""
    lets_in = account("api-gateway", "gateway", "Calls the function for those whom the gateway lets in")
    ready = [apis["apigateway"], apis["servicemanagement"], apis["servicecontrol"]]
    api = gcp.apigateway.Api("api-gateway-api", api_id=prefix, display_name=prefix, labels=labels, opts=after(*ready))
    managed = enabled("api-gateway-managed", api.managed_service, manager, *ready)
    text = function.uri.apply(lambda address: document(address, bool(taken)))
    config = gcp.apigateway.ApiConfig(
        "api-gateway-config",
        api=api.api_id,
        api_config_id=pulumi.Output.format("{0} {1}", text, lets_in.email).apply(lambda held: f"config-{digits(held)}"),
        display_name=prefix,
        openapi_documents=[
            gcp.apigateway.ApiConfigOpenapiDocumentArgs(
                document=gcp.apigateway.ApiConfigOpenapiDocumentDocumentArgs(
                    path="openapi.json", contents=text.apply(lambda known: base64.b64encode(known.encode()).decode())
                )
            )
        ],
        gateway_config=gcp.apigateway.ApiConfigGatewayConfigArgs(
            backend_config=gcp.apigateway.ApiConfigGatewayConfigBackendConfigArgs(google_service_account=lets_in.email)
        ),
        labels=labels,
        opts=after(*ready),
    )
    gateway = gcp.apigateway.Gateway(
        "api-gateway-gateway",
        gateway_id=prefix,
        region=region,
        api_config=config.id,
        display_name=prefix,
        labels=labels,
        opts=after(invoke("api-gateway", function, lets_in), managed, *taken),
    )
    # Who must be told whose quota a call counts against.
    counts = gcp.Provider("api-gateway-quota", project=project, region=region, user_project_override=True, billing_project=project)
    opens = gcp.projects.ApiKey(
        "api-gateway-key",
        display_name=prefix,
        restrictions=gcp.projects.ApiKeyRestrictionsArgs(
            api_targets=[gcp.projects.ApiKeyRestrictionsApiTargetArgs(service=managed.service)]
        ),
        deletion_policy="FORCE",
        opts=pulumi.ResourceOptions(provider=counts, depends_on=[apis["apikeys"]]),
    )
    answered = ("apigateway.googleapis.com/proxy/request_count", "apigateway.googleapis.com/Gateway", "gateway_id")
    alarm("gateway-errors", "Callers get 5XX answers.", filtered(*answered, gateway.gateway_id, FAILED), 0, *SUM)
    pulumi.export("url", pulumi.Output.format("https://{0}/predict", gateway.default_hostname))
    pulumi.export("apiKey", pulumi.Output.secret(opens.key_string))
    pulumi.export("endpointName", endpoint.name)
    pulumi.export("functionName", function.name)
