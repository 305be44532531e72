"""The answers that a REST API gives itself: the service's defaults, and what the declared gateway responses make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.aws.gateway_call import Call, expand, json_response
from pilotlight.twin.rows import AwsResponse

# response type -> (status, message, x-amzn-ErrorType), by the API Gateway developer guide, "Gateway response types".
DEFAULTS: dict[str, tuple[int, str, str]] = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource", "AccessDeniedException"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error", "InternalServerErrorException"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal server error", "AuthorizerConfigurationException"),
    "AUTHORIZER_FAILURE": (500, "Internal server error", "InternalServerErrorException"),
    "BAD_REQUEST_BODY": (400, "Invalid request body", "BadRequestException"),
    "BAD_REQUEST_PARAMETERS": (400, "Missing required request parameters", "BadRequestException"),
    "EXPIRED_TOKEN": (403, "The security token included in the request is expired", "ExpiredTokenException"),
    "INTEGRATION_FAILURE": (504, "Network error communicating with endpoint", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out", "InternalServerErrorException"),
    "INVALID_API_KEY": (403, "Forbidden", "ForbiddenException"),
    "INVALID_SIGNATURE": (
        403,
        "The request signature we calculated does not match the signature you provided.",
        "InvalidSignatureException",
    ),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "QUOTA_EXCEEDED": (429, "Limit Exceeded", "LimitExceededException"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long", "RequestEntityTooLargeException"),
    "RESOURCE_NOT_FOUND": (404, "The requested resource was not found", "NotFoundException"),
    "THROTTLED": (429, "Too Many Requests", "TooManyRequestsException"),
    "UNAUTHORIZED": (401, "Unauthorized", "UnauthorizedException"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type", "BadRequestException"),
    "WAF_FILTERED": (403, "Forbidden", "ForbiddenException"),
}
TYPES = frozenset(DEFAULTS) | {"DEFAULT_4XX", "DEFAULT_5XX"}


class GatewayAnswer(Exception):
    """The gateway answers by itself. `status` overrides the type's default where the case has its own (a malformed answer: 502)."""

    def __init__(self, kind: str, message: str | None = None, *, status: int | None = None, detail: str | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message or DEFAULTS[kind][1]
        self.status = status or DEFAULTS[kind][0]
        self.detail = detail


def render(answer: GatewayAnswer, call: Call, declared: Mapping[str, Any]) -> AwsResponse:
    """The response, by the declared gateway response of its type, else by the DEFAULT_ of its class, else AWS's own."""
    call.context |= {
        "error.message": answer.message,
        "error.messageString": json.dumps(answer.message),
        "error.responseType": answer.kind,
    }
    if answer.detail:
        call.context["integrationErrorMessage"] = call.context["integration.error"] = answer.detail
    own = declared.get(answer.kind)
    chosen = own or declared.get(f"DEFAULT_{answer.status // 100}XX")
    headers = {"x-amzn-errortype": DEFAULTS[answer.kind][2]}
    if chosen is None:
        return json_response(answer.status, {"message": answer.message}, headers)
    # A status declared on DEFAULT_ types applies to every type that falls back to them.
    status = chosen["status"] or answer.status
    call.context["status"] = str(status)
    templates = chosen["templates"] or {"application/json": '{"message":$context.error.messageString}'}
    kind = _accepted(templates, call.request.headers.get("accept", "*/*"))
    headers |= {"content-type": kind, **_parameters(chosen["parameters"], call)}
    return AwsResponse(status=status, headers=headers, body=expand(templates[kind], call.context).encode())


def _accepted(templates: Mapping[str, str], accept: str) -> str:
    wanted = [part.partition(";")[0].strip() for part in accept.split(",")]
    return next((kind for kind in templates if kind in wanted), next(iter(templates)))


def _parameters(parameters: Mapping[str, str], call: Call) -> dict[str, str]:
    headers = {}
    for target, source in parameters.items():
        value = parameter_value(source, call)
        if value is not None:
            headers[target.removeprefix("gatewayresponse.header.").lower()] = value
    return headers


def parameter_value(source: str, call: Call) -> str | None:
    """The value of a response parameter: a text in single quotes, or a part of the context or of the request."""
    if source.startswith("'") and source.endswith("'"):
        return source[1:-1]
    if source.startswith("context."):
        return call.context.get(source.removeprefix("context."))
    if source.startswith("method.request.header."):
        return call.request.headers.get(source.removeprefix("method.request.header.").lower())
    if source.startswith("method.request.querystring."):
        return dict(call.request.query).get(source.removeprefix("method.request.querystring."))
    return None


def parameter_known(source: str) -> bool:
    """Whether `parameter_value` understands it: the row refuses what it does not."""
    prefixes = ("context.", "method.request.header.", "method.request.querystring.")
    return (len(source) >= 2 and source[0] == source[-1] == "'") or source.startswith(prefixes)
