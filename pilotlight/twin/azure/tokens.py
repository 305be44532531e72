"""Access tokens of identities as Entra ID gives them, signed with a key of the twin's own."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt

from pilotlight.twin.azure.account import TENANT
from pilotlight.twin.rows import Refusal
from pilotlight.twin.signing import ALGORITHM, Remembered, SigningKey

# Microsoft Entra documentation, "Managed identities for Azure resources frequently asked questions" (read 2026-11): tokens are kept
# for around 24 hours, so that a right which comes with a token may take as long.
LIFETIME_S = 86_400
# What is in every tenant: Azure's own services ("Azure services that support Microsoft Entra authentication", read 2026-11). Any other
# resource needs an application of the tenant, which no type of azure-native makes.
RESOURCES = (
    *("https://management.azure.com", "https://management.core.windows.net", "https://storage.azure.com"),
    *("https://containerregistry.azure.net", "https://eventgrid.azure.net", "https://servicebus.azure.net", "https://monitor.azure.com"),
    *("https://api.loganalytics.io", "https://cosmos.azure.com", "https://vault.azure.net", "https://graph.microsoft.com"),
)
_ACCOUNT = re.compile(r"https://[a-z0-9]{3,24}\.(blob|queue|table)\.core\.windows\.net")


class Tokens:
    """What this twin signs and accepts. Any number of them in one home share its key. Tokens last `lifetime_s` seconds."""

    lifetime_s = LIFETIME_S

    def __init__(self, home: Path) -> None:
        self._key = SigningKey(home / "azure-tokens.pem")
        # (token, audiences) -> claims.
        self._accepted: Remembered[Mapping[str, Any]] = Remembered()

    def access(self, principal_id: str, client_id: str, resource: str, tenant: str = TENANT) -> str:
        """A token for a resource, which is its audience as it was asked for; it lasts `lifetime_s` seconds.

        Refusal (400) for a resource that no tenant knows.
        """
        if resource.rstrip("/") not in RESOURCES and not _ACCOUNT.fullmatch(resource.rstrip("/")):
            raise Refusal(
                "invalid_resource",
                f"AADSTS500011: The resource principal named {resource} was not found in the tenant named {tenant}. There are "
                f"{', '.join(RESOURCES)}, and storage accounts.",
            )
        claims = {
            "iss": issuer(tenant),
            "aud": resource,
            "appid": client_id,
            "appidacr": "2",
            "idp": issuer(tenant),
            "idtyp": "app",
            "nbf": int(time.time()),
            "oid": principal_id,
            "sub": principal_id,
            "tid": tenant,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        return self._key.sign(claims, LIFETIME_S)

    def verify(self, token: str, audiences: Iterable[str]) -> Mapping[str, Any] | None:
        """The claims of a token for one of those audiences; None for one of another key, issuer or audience, or that has ended."""
        wanted = sorted(audiences)
        held = self._accepted.get((token, *wanted))
        if held is not None:
            return held
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self._key.public,
                algorithms=[ALGORITHM],
                audience=wanted,
                options={"require": ["exp", "iat", "nbf", "aud", "iss", "oid", "appid", "tid"]},
            )
        except jwt.InvalidTokenError:
            return None
        if claims["iss"] != issuer(str(claims["tid"])):
            return None
        self._accepted.put((token, *wanted), claims, float(claims["exp"]))
        return claims

    def key_set(self) -> dict[str, Any]:
        """What verifies the tokens, as a JSON Web Key Set."""
        return {"keys": [self._key.jwk()]}


def issuer(tenant: str) -> str:
    """Who issues tokens of version 1.0, which are what managed identities get ("Access tokens in the Microsoft identity platform")."""
    return f"https://sts.windows.net/{tenant}/"
