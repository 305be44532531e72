"""What a function's proxy answer becomes on the wire, in the rules of REST and of HTTP APIs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.twin.aws.gateway_lambda import IntegrationFailed
from pilotlight.twin.rows import AwsResponse


@dataclass(kw_only=True)
class Answer:
    """`extra` holds repeated headers, which a mapping can't."""

    response: AwsResponse
    extra: list[tuple[str, str]] = field(default_factory=list)


def rest_answer(answer: Any, *, accepts_binary: bool) -> Answer:
    """A REST API's reading: anything but the documented form is malformed (the client gets 502)."""
    if not isinstance(answer, dict) or set(answer) - {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}:
        raise IntegrationFailed("malformed", "Malformed Lambda proxy response")
    single = _headers(answer.get("headers"))
    multi = {name.lower(): [str(value) for value in values] for name, values in _mapping(answer.get("multiValueHeaders")).items()}
    body = _body(answer, decode=accepts_binary)
    headers = {name: value for name, value in single.items() if name not in multi}
    extra = [(name, value) for name, values in multi.items() for value in values]
    if not any(name == "content-type" for name in [*headers, *multi]):
        headers["content-type"] = "application/json"
    return Answer(response=AwsResponse(status=_status(answer.get("statusCode")), headers=_clean(headers), body=body), extra=extra)


def http_answer(answer: Any, *, version: str) -> Answer:
    """An HTTP API's reading: in format 2.0 an answer without a status is a 200 with that JSON as its body."""
    if version == "1.0" or (isinstance(answer, dict) and "statusCode" in answer):
        if not isinstance(answer, dict):
            raise IntegrationFailed("malformed", "The function's answer is not an object")
        headers = _headers(answer.get("headers"))
        extra = [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or []]
        if version == "1.0":
            multi = _mapping(answer.get("multiValueHeaders"))
            headers = {name: value for name, value in headers.items() if name not in {key.lower() for key in multi}}
            extra += [(name.lower(), str(value)) for name, values in multi.items() for value in values]
        if "content-type" not in headers and not any(name == "content-type" for name, _ in extra):
            headers["content-type"] = "text/plain;charset=UTF-8"
        body = _body(answer, decode=True)
        return Answer(response=AwsResponse(status=_status(answer.get("statusCode")), headers=_clean(headers), body=body), extra=extra)
    text = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
    return Answer(response=AwsResponse(status=200, headers={"content-type": "application/json"}, body=text.encode()))


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise IntegrationFailed("malformed", "Malformed Lambda proxy response: headers must be an object")
    return value


def _headers(value: Any) -> dict[str, str]:
    headers = {}
    for name, item in _mapping(value).items():
        if not isinstance(item, str | int | float | bool):
            raise IntegrationFailed("malformed", "Malformed Lambda proxy response: a header's value must be a text")
        headers[name.lower()] = str(item).lower() if isinstance(item, bool) else str(item)
    return headers


def _status(value: Any) -> int:
    try:
        status = int(str(value))
    except ValueError:
        status = 0
    if isinstance(value, bool) or not 100 <= status <= 599:
        raise IntegrationFailed("malformed", f"Malformed Lambda proxy response: statusCode {value!r}")
    return status


def _body(answer: Mapping[str, Any], *, decode: bool) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise IntegrationFailed("malformed", "Malformed Lambda proxy response: body must be a text")
    if answer.get("isBase64Encoded") is True and decode:
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error:
            raise IntegrationFailed("malformed", "Malformed Lambda proxy response: body is not base64") from None
    return body.encode("utf-8", "replace")


def _clean(headers: dict[str, str]) -> dict[str, str]:
    # The length is the gateway's to say; hop-by-hop headers are not a function's.
    return {name: value for name, value in headers.items() if name not in ("content-length", "transfer-encoding", "connection")}
