"""Who calls, and where: what API Gateway's requests tell about the other side.

Source of the headers: API Gateway, "Using JWT to authenticate users" (X-Apigateway-Api-Userinfo) and "Secure traffic with API keys".
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from handlers.functions.api import RESULTS

AuthMode = Literal["api-key", "jwt"]
AUTH_MODES: tuple[AuthMode, ...] = ("api-key", "jwt")
_KEY_HEADER, _TOKEN_HEADER = "x-api-key", "x-apigateway-api-userinfo"


def owner(headers: Mapping[str, str], mode: str) -> str | None:
    """Whom an answer belongs to: the API key, by its hash, or the token's issuer and subject. None when nobody is told.

    By the gateway's mode alone: the header of the other one would be the client's own word.
    """
    if mode == "api-key":
        key = headers.get(_KEY_HEADER)
        return f"key:{hashlib.sha256(key.encode()).hexdigest()}" if key else None
    claims = _claims(headers.get(_TOKEN_HEADER, ""))
    # A token of a client without a person may have no subject (RFC 9068, section 2.2). Apart from subjects, since a client may have
    # been named like one of them (section 5).
    for kind, claim in (("token", "sub"), ("client", "client_id")):
        if claims.get(claim):
            return f"{kind}:{claims.get('iss', '')}#{claims[claim]}"
    return None


def result_url(headers: Mapping[str, str], answer_id: str) -> str:
    """The URL of an answer: relative to the gateway's own (RFC 9110, section 10.2.2) where that is not told."""
    host = headers.get("x-forwarded-host", "")
    scheme = "http" if headers.get("x-forwarded-proto") == "http" else "https"
    return f"{scheme}://{host}{RESULTS}{answer_id}" if host else f"{RESULTS}{answer_id}"


def _claims(text: str) -> dict[str, Any]:
    """The payload of the caller's token, base64url without padding; nothing where it can't be read."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
