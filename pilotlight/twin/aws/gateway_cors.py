"""CORS of HTTP APIs: preflight answers and headers, by the API's declared configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.asgi import Request
from pilotlight.twin.aws.gateway_answers import Answer
from pilotlight.twin.rows import AwsResponse


def _origin(request: Request, cors: Mapping[str, Any]) -> str | None:
    origin = request.headers.get("origin")
    allowed = cors.get("allowOrigins") or []
    if origin is None or not (origin in allowed or "*" in allowed):
        return None
    return "*" if "*" in allowed and not cors.get("allowCredentials") else origin


def allow(request: Request, cors: Mapping[str, Any]) -> dict[str, str]:
    """The headers that a cross-origin answer carries; none where CORS is not declared or the origin is not allowed."""
    origin = _origin(request, cors)
    if origin is None:
        return {}
    headers = {"access-control-allow-origin": origin}
    if cors.get("allowCredentials"):
        headers["access-control-allow-credentials"] = "true"
    if exposed := cors.get("exposeHeaders"):
        headers["access-control-expose-headers"] = ",".join(exposed)
    return headers


def preflight(request: Request, cors: Mapping[str, Any]) -> Answer | None:
    """The answer to a preflight request, or None where this is none (or CORS is not declared)."""
    if not cors or request.method != "OPTIONS" or "access-control-request-method" not in request.headers:
        return None
    headers: dict[str, str] = {}
    if _origin(request, cors):
        for name, field in (("allow-methods", "allowMethods"), ("allow-headers", "allowHeaders")):
            if cors.get(field):
                headers[f"access-control-{name}"] = ",".join(cors[field])
        if cors.get("maxAge"):
            headers["access-control-max-age"] = str(int(cors["maxAge"]))
    return Answer(response=AwsResponse(status=204, headers=headers))
