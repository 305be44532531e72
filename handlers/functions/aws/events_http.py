"""HTTP as Lambda sees it: REST proxy events (payload 1.0) and HTTP API events (2.0) in, the matching answers out.

Shared by the pattern's function and the Lambda mode of the model server.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from handlers.functions.http_request import HttpRequest
from handlers.functions.problems import AnswerTooLarge, MalformedBody, document, headers_of, status_of

# A synchronous Lambda answer is 6 MB at most, as the JSON that carries it: 6,291,556 bytes
# (Lambda quotas page, "Invocation payload", read 2026-11). The envelope and the headers need some of it.
MAX_ANSWER_BYTES = 6_291_556 - 65_536


def is_http(event: object) -> bool:
    """Whether an event comes from a gateway; anything else is a bare payload."""
    if not isinstance(event, dict):
        return False
    context = event.get("requestContext")
    return isinstance(context, dict) and ("httpMethod" in event or isinstance(context.get("http"), dict))


def parse(event: Mapping[str, Any]) -> HttpRequest:
    """Read a gateway's event. Raises MalformedBody when a body marked as base64 is not."""
    context = event["requestContext"]
    http, request_id = context.get("http") or {}, context.get("requestId")
    return HttpRequest(
        method=str(event.get("httpMethod") or http.get("method") or "").upper(),
        path=str(event.get("path") or event.get("rawPath") or "/"),
        headers=_headers(event),
        body=_body(event),
        request_id=request_id if isinstance(request_id, str) else None,
    )


def answer(status: int, headers: Mapping[str, str], body: str) -> dict[str, Any]:
    """An answer that both event versions understand; the reason where it is larger than Lambda sends."""
    try:
        check_size(body, len(body))
    except AnswerTooLarge as problem:
        kept = {name: value for name, value in headers.items() if name.lower() not in ("content-type", "content-length")}
        status, headers = status_of(problem), {**kept, **headers_of(problem)}
        body = json.dumps(document(problem, kept.get("x-request-id", "")))
    return {"statusCode": status, "headers": dict(headers), "body": body, "isBase64Encoded": False}


def check_size(answer: object, length: int) -> None:
    """Raises AnswerTooLarge for more than Lambda sends. `length`, in characters or bytes, tells a short one sooner."""
    # What carries it escapes what is not ASCII, six bytes for a letter, unless the runtime is Python 3.12 or later (awslambdaric).
    if length > MAX_ANSWER_BYTES // 6 and (size := len(json.dumps(answer))) > MAX_ANSWER_BYTES:
        raise AnswerTooLarge(
            f"The answer has {size} bytes as a text in JSON, in which Lambda sends {MAX_ANSWER_BYTES}: send fewer or shorter texts."
        )


def _headers(event: Mapping[str, Any]) -> dict[str, str]:
    plain = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items() if value is not None}
    several = {name.lower(): ",".join(map(str, values)) for name, values in (event.get("multiValueHeaders") or {}).items() if values}
    return several | plain


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise MalformedBody("The event's body is not a text.")
    if not event.get("isBase64Encoded"):
        return body.encode(errors="surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise MalformedBody(f"The event says that its body is base64, and it is not: {error}.") from error
