"""Errors in the form that each AWS service writes them, so that an unchanged client raises the right exception."""

from __future__ import annotations

import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

from pilotlight.twin.cbor import encode
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.sigv4 import AuthFailure

# The generic code of an AuthFailure -> (rest-xml and query, json, rest-json). AWS's services differ, and boto3 shows the code.
_AUTH: dict[str, tuple[str, str, str]] = {
    "InvalidClientTokenId": ("InvalidClientTokenId", "UnrecognizedClientException", "UnrecognizedClientException"),
    "SignatureDoesNotMatch": ("SignatureDoesNotMatch", "InvalidSignatureException", "InvalidSignatureException"),
    "IncompleteSignature": ("IncompleteSignature", "IncompleteSignatureException", "IncompleteSignatureException"),
    "ExpiredToken": ("ExpiredToken", "ExpiredTokenException", "ExpiredTokenException"),
    "RequestExpired": ("AccessDenied", "InvalidSignatureException", "InvalidSignatureException"),
    "RequestTimeTooSkewed": ("RequestTimeTooSkewed", "InvalidSignatureException", "InvalidSignatureException"),
    "MissingAuthenticationToken": (
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationTokenException",
    ),
    "AccessDenied": ("AccessDenied", "AccessDeniedException", "AccessDeniedException"),
}
_S3_NAMES = {"InvalidClientTokenId": "InvalidAccessKeyId", "MissingAuthenticationToken": "AccessDenied"}


def protocol(service: str, headers: Mapping[str, str]) -> str:
    """`rest-xml`, `json`, `cbor`, `query` or `rest-json`: how this request's service writes its errors."""
    if service == "s3":
        return "rest-xml"
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "cbor"
    if "x-amz-target" in headers:
        return "json"
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded") or service == "sts":
        return "query"
    return "rest-json"


def error_response(error: Refusal, *, service: str, headers: Mapping[str, str], request_id: str) -> AwsResponse:
    """The answer to a refused request."""
    form = protocol(service, headers)
    code = _code(error, service, form)
    if form == "rest-xml":
        body = f"<Error><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message><RequestId>{request_id}</RequestId></Error>"
        return _response(error.status, {"content-type": "application/xml", "x-amz-request-id": request_id}, _xml(body))
    if form == "query":
        inner = f"<Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message></Error>"
        body = f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
        return _response(error.status, {"content-type": "text/xml", "x-amzn-requestid": request_id}, _xml(body))
    if form == "cbor":
        headers_out = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor", "x-amzn-requestid": request_id}
        status = 400 if error.status == 403 else error.status
        return _response(status, headers_out, encode({"__type": code, "message": error.message}))
    if form == "json":
        # The JSON protocols answer a refusal of the caller with 400, not 403.
        status = 400 if error.status == 403 else error.status
        content = json.dumps({"__type": code, "message": error.message}).encode()
        return _response(status, {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": request_id}, content)
    content = json.dumps({"message": error.message, "Message": error.message}).encode()
    headers_out = {"content-type": "application/json", "x-amzn-requestid": request_id, "x-amzn-errortype": code}
    return _response(error.status, headers_out, content)


def _code(error: Refusal, service: str, form: str) -> str:
    if not isinstance(error, AuthFailure) and error.code != "AccessDenied":
        return error.code
    xml, json_code, rest_json = _AUTH.get(error.code, (error.code,) * 3)
    if service == "s3":
        return _S3_NAMES.get(error.code, xml)
    return {"json": json_code, "cbor": json_code, "rest-json": rest_json}.get(form, xml)


def _xml(body: str) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + body).encode()


def _response(status: int, headers: dict[str, str], body: bytes) -> AwsResponse:
    return AwsResponse(status=status, headers=headers, body=body)
