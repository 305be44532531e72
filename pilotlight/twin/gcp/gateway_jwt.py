"""Tokens of callers: found where the document says, judged in the order and with the texts of Envoy's JWT filter, which ESPv2 uses."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx

from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp.gateway_document import Operation
from pilotlight.twin.gcp.gateway_schemes import Provider
from pilotlight.twin.jwks import Jwks, signed_by
from pilotlight.twin.rows import Refusal

# API Gateway documentation, "Using JWT to authenticate users": how long keys are kept. An unknown one is not asked for before that.
KEYS_S = 300
# ESPv2, http_request_timeout_s.
_FETCH_S = 30
# Envoy's clock_skew_seconds.
_SKEW_S = 60
_FOREIGN = "Jwt issuer is not configured"
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"})


class Callers:
    """Judges tokens of any number of issuers; their keys are kept in memory."""

    def __init__(self) -> None:
        self._jwks = Jwks(keep_s=KEYS_S, fetch_s=_FETCH_S, ask_again_s=KEYS_S)

    async def payload(self, request: Request, operation: Operation, service: str) -> str | None:
        """The payload of the caller's token, base64url without padding as it is handed on; None where the operation asks for none.

        Refusal (401, for an audience 403) for a caller without a good one.
        """
        refusal: Refusal | None = None
        for provider in operation.providers:
            try:
                return await self._of(provider, request, service)
            except Refusal as found:
                # What is wrong with a token of the right issuer says more than that it is of no other.
                refusal = found if refusal is None or refusal.message == _FOREIGN else refusal
        if refusal is not None:
            raise refusal
        return None

    async def _of(self, provider: Provider, request: Request, service: str) -> str:
        refusal = _refused("Jwt is missing")
        for token in _tokens(provider, request):
            try:
                await self._verify(provider, token, service)
                return token.split(".")[1]
            except Refusal as found:
                refusal = found
        raise refusal

    async def _verify(self, provider: Provider, token: str, service: str) -> None:
        header, claims = _parts(token)
        if header.get("alg") not in _ALGORITHMS:
            raise _refused("Jwt header [alg] is not supported")
        if claims.get("iss") != provider.issuer:
            raise _refused(_FOREIGN)
        _check_times(claims)
        audiences = claims.get("aud")
        allowed = provider.audiences or (f"https://{service}",)
        if not any(_bare(str(one)) in map(_bare, allowed) for one in (audiences if isinstance(audiences, list) else [audiences])):
            raise _refused("Audiences in Jwt are not allowed", 403)
        await self._check_signature(provider, token, header)

    async def _check_signature(self, provider: Provider, token: str, header: dict[str, Any]) -> None:
        kid = header.get("kid")
        try:
            keys = await self._jwks.keys(provider.issuer, kid if isinstance(kid, str) else None, provider.jwks_uri)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise _refused(f"Jwks remote fetch is failed{f': {error}' if isinstance(error, ValueError) else ''}") from None
        candidates = list(keys.values()) if kid is None else [keys[kid]] if kid in keys else []
        if not candidates:
            raise _refused("Jwks doesn't have key to match kid or alg from Jwt")
        if not any(signed_by(token, key, header["alg"]) for key in candidates):
            raise _refused("Jwt verification fails")


def _refused(text: str, status: int = 401) -> Refusal:
    return Refusal("UNAUTHENTICATED" if status == 401 else "PERMISSION_DENIED", text, status)


def _tokens(provider: Provider, request: Request) -> Iterator[str]:
    for name, prefix in provider.headers:
        value = request.headers.get(name, "")
        if value.startswith(prefix) and value != prefix:
            yield value.removeprefix(prefix).strip()
    given = dict(request.query)
    yield from (given[name] for name in provider.parameters if given.get(name))


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(".")
    if len(parts) != 3:
        raise _refused("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")
    return _object(parts[0], "header"), _object(parts[1], "payload")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused(f"Jwt {what} is an invalid Base64url encoded or an invalid JSON")
    return found


def _check_times(claims: dict[str, Any]) -> None:
    """By the machine's clock, as the twin's own tokens: what issued the token lives by it."""
    now, begins, ends = time.time(), claims.get("nbf"), claims.get("exp")
    if isinstance(begins, int | float) and now + _SKEW_S < begins:
        raise _refused("Jwt not yet valid")
    if isinstance(ends, int | float) and now > ends + _SKEW_S:
        raise _refused("Jwt is expired")


def _bare(audience: str) -> str:
    """Envoy takes audiences for the same with and without their scheme, and with and without a slash at the end."""
    return audience.removeprefix("https://").removeprefix("http://").rstrip("/")
