"""The events that API Gateway hands a function: format 1.0 (REST, and HTTP APIs that ask for it) and 2.0 (HTTP APIs)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.twin.aws.gateway_call import Call

_TEXT = re.compile(r"^(text/.*|application/(json|javascript|xml|.*\+json|.*\+xml))$")


_EMPTY = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _added(call: Call) -> list[tuple[str, str]]:
    trace = f"Root=1-{int(call.started):08x}-{call.request_id.replace('-', '')[:24]}"
    return [
        ("x-amzn-trace-id", trace),
        ("x-forwarded-for", call.request.source_ip),
        ("x-forwarded-port", call.domain.partition(":")[2] or "80"),
        ("x-forwarded-proto", "http"),
    ]


def _headers(call: Call) -> list[tuple[str, str]]:
    added = _added(call)
    names = {name for name, _ in added}
    hop = {"connection", "transfer-encoding", "keep-alive", "te", "upgrade"} | names
    return [pair for pair in call.request.header_pairs if pair[0] not in hop] + added


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


def _base_path(call: Call) -> str:
    """What the front's address has before the stage. On AWS the API's id is in the host, and a custom domain's base path is here."""
    return f"/execute-api/{call.api_id}"


def is_binary(media_types: Sequence[str], content_type: str) -> bool:
    """Whether one of an API's binary media types covers a content type."""
    kind = content_type.partition(";")[0].strip().lower()
    main = kind.partition("/")[0]
    return any(declared.lower() in ("*/*", kind, f"{main}/*") for declared in media_types)


def _body(body: bytes, binary: bool) -> tuple[str | None, bool]:
    if not body:
        return None, False
    if binary:
        return base64.b64encode(body).decode(), True
    # Text is Unicode by the time a function sees it: bytes that are none become U+FFFD, on AWS too.
    return body.decode("utf-8", "replace"), False


def event_v1(
    call: Call,
    body: bytes,
    *,
    resource: str,
    resource_id: str,
    path_parameters: Mapping[str, str],
    stage_variables: Mapping[str, str],
    identity: Mapping[str, str | None],
    binary: bool,
    authorizer: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """A proxy event in format 1.0. `version` is set by HTTP APIs only."""
    headers = [(_title(name), value) for name, value in _headers(call)]
    query = call.request.query
    text, encoded = _body(body, binary)
    event: dict[str, Any] = {"version": version} if version else {}
    event |= {
        "resource": resource,
        "path": call.path,
        "httpMethod": call.request.method,
        "headers": dict(headers),
        "multiValueHeaders": _grouped(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query) or None,
        "pathParameters": dict(path_parameters) or None,
        "stageVariables": dict(stage_variables) or None,
        "requestContext": _context_v1(call, resource, resource_id, identity, authorizer),
        "body": text,
        "isBase64Encoded": encoded,
    }
    return event


def _context_v1(
    call: Call, resource: str, resource_id: str, identity: Mapping[str, str | None], authorizer: Mapping[str, Any] | None
) -> dict[str, Any]:
    context = {
        "resourceId": resource_id,
        "resourcePath": resource,
        "httpMethod": call.request.method,
        "extendedRequestId": call.extended_id,
        "requestTime": call.request_time,
        "path": f"{_base_path(call)}/{call.stage}{call.path}",
        "accountId": call.account,
        "protocol": "HTTP/1.1",
        "stage": call.stage,
        "domainPrefix": call.context["domainPrefix"],
        "requestTimeEpoch": int(call.started * 1000),
        "requestId": call.request_id,
        "identity": {
            **dict.fromkeys(_EMPTY),
            "sourceIp": call.request.source_ip,
            "userAgent": call.request.headers.get("user-agent"),
            **identity,
        },
        "domainName": call.domain,
        "apiId": call.api_id,
    }
    return context | ({"authorizer": dict(authorizer)} if authorizer else {})


def event_v2(
    call: Call,
    body: bytes,
    *,
    route_key: str,
    path_parameters: Mapping[str, str],
    stage_variables: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A proxy event in format 2.0: repeated headers and query parameters joined by commas, absent parts left out."""
    headers = {name: ",".join(values) for name, values in _grouped(_headers(call)).items()}
    cookies = [part.strip() for part in headers.pop("cookie", "").split(";") if part.strip()]
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    text, encoded = _body(body, binary=bool(kind) and not _TEXT.match(kind))
    path = call.path if call.stage == "$default" else f"/{call.stage}{call.path}"
    called = f"{_base_path(call)}{path}"
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": call.request.raw_query,
        "headers": headers,
        "requestContext": _context_v2(call, route_key, called, authorizer),
        "isBase64Encoded": encoded,
    }
    optional = {
        "cookies": cookies,
        "queryStringParameters": {name: ",".join(values) for name, values in _grouped(call.request.query).items()},
        "pathParameters": dict(path_parameters),
        "stageVariables": dict(stage_variables),
        "body": text,
    }
    return event | {name: value for name, value in optional.items() if value}


def _context_v2(call: Call, route_key: str, path: str, authorizer: Mapping[str, Any] | None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "accountId": call.account,
        "apiId": call.api_id,
        "domainName": call.domain,
        "domainPrefix": call.context["domainPrefix"],
        "http": {
            "method": call.request.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": call.request.source_ip,
            "userAgent": call.request.headers.get("user-agent", ""),
        },
        "requestId": call.extended_id,
        "routeKey": route_key,
        "stage": call.stage,
        "time": call.request_time,
        "timeEpoch": int(call.started * 1000),
    }
    return context | ({"authorizer": dict(authorizer)} if authorizer else {})
