"""JWT authorizers of HTTP APIs: keys by the issuer's OIDC discovery, then signature, issuer, audience, times, scopes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from pilotlight.twin.asgi import Request
from pilotlight.twin.jwks import Jwks

# API Gateway developer guide, JWT authorizers: public keys are kept for two hours; a fetch may take 1500 ms.
KEYS_S = 2 * 3600
FETCH_S = 1.5
# An unknown key id makes the issuer be asked again, but not for every bad token.
_ASK_AGAIN_S = 5


class Unauthorized(Exception):
    """The token is missing or not valid (401); the text is the reason."""


class Forbidden(Exception):
    """The token is valid but lacks the route's scopes (403)."""


class JwtAuthorizer:
    """Checks tokens against any number of issuers; their keys are kept in memory."""

    def __init__(self) -> None:
        self._jwks = Jwks(keep_s=KEYS_S, fetch_s=FETCH_S, ask_again_s=_ASK_AGAIN_S)

    async def claims(self, request: Request, authorizer: Mapping[str, Any], scopes: list[str]) -> dict[str, Any]:
        """{"claims", "scopes"} as the event shows them; Unauthorized or Forbidden."""
        token = _token(request, list(authorizer.get("identitySources") or ["$request.header.Authorization"]))
        configuration = authorizer["jwtConfiguration"]
        claims = await self._decode(token, configuration["issuer"], list(configuration.get("audiences") or []))
        held = str(claims.get("scope", "")).split() or list(claims.get("scp") or [])
        if scopes and not set(scopes) & set(held):
            raise Forbidden
        return {"claims": {name: _claim(value) for name, value in claims.items()}, "scopes": [s for s in held if s in scopes] or None}

    async def _decode(self, token: str, issuer: str, audiences: list[str]) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ("RS256", "RS384", "RS512"):
                raise Unauthorized("invalid signing method")
            kid = str(header.get("kid", ""))
            keys = await self._jwks.keys(issuer, kid)
            if kid not in keys:
                raise Unauthorized("unable to find a signing key that matches")
            claims: dict[str, Any] = jwt.decode(
                token,
                keys[kid],
                algorithms=[header["alg"]],
                issuer=issuer,
                options={"verify_aud": False, "verify_iat": False, "require": ["exp"]},
            )
        # TypeError: the key is of another kind than the algorithm.
        except (jwt.PyJWTError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unauthorized(str(error) or type(error).__name__) from None
        if not _audience_matches(claims, audiences):
            raise Unauthorized("invalid audience")
        if isinstance(claims.get("iat"), int | float) and claims["iat"] > time.time() + 60:
            raise Unauthorized("the token was issued in the future")
        return claims


def _token(request: Request, sources: list[str]) -> str:
    for source in sources:
        place, _, name = source.removeprefix("$request.").partition(".")
        value = request.headers.get(name.lower(), "") if place == "header" else dict(request.query).get(name, "")
        kind, _, rest = value.partition(" ")
        token = rest.strip() if kind.lower() == "bearer" else value.strip()
        if token:
            return token
    raise Unauthorized("no token")


def _audience_matches(claims: Mapping[str, Any], audiences: list[str]) -> bool:
    found = claims.get("aud")
    if found is None:
        # Tokens of Cognito's clients carry no aud; API Gateway takes client_id in its place.
        return str(claims.get("client_id", "")) in audiences
    return bool(set(found if isinstance(found, list) else [found]) & set(audiences))


def _claim(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{' '.join(map(str, value))}]" if isinstance(value, list) else str(value)
