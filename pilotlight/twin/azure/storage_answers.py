"""Refusals as Azure Storage's services tell them."""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from pilotlight.twin.rows import AwsResponse, Refusal

# What a client that shows no token is told, by which the SDKs find the tenant and the audience.
_CHALLENGE = "Bearer authorization_uri=https://login.microsoftonline.com/{tenant}/oauth2/authorize resource_id=https://storage.azure.com"


def refused(service: str, refusal: Refusal, *, tenant: str, time: str, head: bool) -> AwsResponse:
    """The answer; without a body to HEAD. `time` is said in the message, in ISO 8601."""
    request_id = str(uuid.uuid4())
    message = f"{refusal.message}\nRequestId:{request_id}\nTime:{time}"
    headers = {"x-ms-error-code": refusal.code, "x-ms-request-id": request_id}
    if refusal.status == 401:
        headers["www-authenticate"] = _CHALLENGE.format(tenant=tenant)
    if service == "table":
        headers["content-type"] = "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
        error = {"code": refusal.code, "message": {"lang": "en-US", "value": message}}
        body = json.dumps({"odata.error": error}).encode()
    else:
        headers["content-type"] = "application/xml"
        text = f"<Error><Code>{refusal.code}</Code><Message>{escape(message)}</Message></Error>"
        body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return AwsResponse(status=refusal.status, headers=headers, body=b"" if head else body)
