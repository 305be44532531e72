"""What a gateway says and checks, as plain data: the request's schema, problem documents, access logs, alarms. Pure."""

import json
from dataclasses import dataclass, replace
from typing import Any

from pulumi import Input

from components.aws.watch import Alarm, Figure, repeated

PATH = "predict"
# Where answers that come later are: their id is the last step.
RESULTS, RESULT_ID = "results", "id"
TYPE_BASE = "about:blank"

REQUEST_SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "PredictRequest",
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "inputs": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
        "parameters": {"type": "object"},
    },
}


def request_schema(any_input: bool) -> dict[str, Any]:
    """What a request is checked against; with `any_input`, of a model of one's own, its inputs are the model's business."""
    properties: dict[str, Any] = REQUEST_SCHEMA["properties"]
    return REQUEST_SCHEMA | {"properties": properties | {"inputs": {}}} if any_input else REQUEST_SCHEMA


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What the gateway itself answers, before or instead of the function: an RFC 9457 problem document."""

    response_type: str
    status: int | None
    title: str
    detail: str
    retry_after_s: int | None = None

    def template(self) -> str:
        """The body: gateway responses know only `$context` variables, so nothing in it needs escaping."""
        known = {} if self.status is None else {"status": self.status}
        body = {"type": TYPE_BASE, "title": self.title, **known, "detail": self.detail, "requestId": "$context.requestId"}
        return json.dumps(body)

    def headers(self) -> dict[str, str]:
        """Response parameters; static values stand in single quotes."""
        headers = {"gatewayresponse.header.Content-Type": "'application/problem+json'"}
        if self.retry_after_s is not None:
            headers["gatewayresponse.header.Retry-After"] = f"'{self.retry_after_s}'"
        return headers


def _problem(response_type: str, status: int | None, title: str, detail: str, retry_after_s: int | None = None) -> Problem:
    return Problem(response_type=response_type, status=status, title=title, detail=detail, retry_after_s=retry_after_s)


_TEXTS, _VALUES = "a text or a list of texts", "an input of the model or a list of them"
PROBLEMS: tuple[Problem, ...] = (
    _problem(
        "BAD_REQUEST_BODY",
        400,
        "Bad Request",
        f"Send a JSON object with 'inputs' ({_TEXTS}) and, if wanted, 'parameters' (an object).",
    ),
    _problem("UNAUTHORIZED", 401, "Unauthorized", "The request carries no valid credentials."),
    _problem("ACCESS_DENIED", 403, "Forbidden", "These credentials may not call this."),
    _problem("INVALID_API_KEY", 403, "Forbidden", "Send a valid key in the header x-api-key."),
    # What the service answers to a path or method that does not exist.
    _problem("MISSING_AUTHENTICATION_TOKEN", 404, "Not Found", "There is only POST /predict here."),
    _problem("REQUEST_TOO_LARGE", 413, "Content Too Large", "The request body is larger than the gateway takes."),
    _problem("UNSUPPORTED_MEDIA_TYPE", 415, "Unsupported Media Type", "Send application/json."),
    _problem("THROTTLED", 429, "Too Many Requests", "More requests a second than this key may send.", 1),
    _problem("QUOTA_EXCEEDED", 429, "Too Many Requests", "The day's quota of this key is used up."),
    _problem("INTEGRATION_FAILURE", 502, "Bad Gateway", "The service failed to answer.", 1),
    _problem("INTEGRATION_TIMEOUT", 504, "Gateway Timeout", "The answer took too long; a first call after a rest may.", 1),
    _problem("DEFAULT_4XX", None, "Request refused", "The gateway refused the request."),
    _problem("DEFAULT_5XX", None, "Service failed", "The gateway could not get an answer.", 1),
)


def problems(later: bool, any_input: bool = False) -> tuple[Problem, ...]:
    """The gateway's own answers; with `later` there is a second route, which the 404 names, with `any_input` inputs need be no texts."""
    known = f"There are only POST /{PATH} and GET /{RESULTS}/{{{RESULT_ID}}} here."
    told = [replace(each, detail=known) if later and each.status == 404 else each for each in PROBLEMS]
    return tuple(replace(each, detail=each.detail.replace(_TEXTS, _VALUES)) if any_input else each for each in told)


_LOG_COMMON = {
    "requestId": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "latencyMs": "$context.responseLatency",
    "error": "$context.error.message",
}
REST_LOG_FORMAT = json.dumps(
    {
        **_LOG_COMMON,
        "path": "$context.resourcePath",
        "apiKeyId": "$context.identity.apiKeyId",
        "integrationStatus": "$context.integration.status",
        "integrationMs": "$context.integration.latency",
    }
)
HTTP_LOG_FORMAT = json.dumps(
    {
        **_LOG_COMMON,
        "route": "$context.routeKey",
        "authorizerError": "$context.authorizer.error",
        "integrationStatus": "$context.integrationStatus",
        "integrationMs": "$context.integrationLatency",
        "integrationError": "$context.integrationErrorMessage",
    }
)


def gateway_latency(dimensions: dict[str, Input[str]]) -> Figure:
    """How long callers wait. Pings go past the gateway: they are in the platform's own latencies of the model, and not in these."""
    title = "what callers wait (ms), without pings"
    return Figure(title=title, namespace="AWS/ApiGateway", metric="Latency", dimensions=dimensions, statistics=("p50", "p99"))


def gateway_alarm(metric: str, dimensions: dict[str, Input[str]]) -> Alarm:
    """Answers of the 500s, as callers see them."""
    return repeated(
        role="gateway-errors", text="Callers get 5XX answers.", namespace="AWS/ApiGateway", metric=metric, dimensions=dimensions
    )
