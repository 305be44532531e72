"""The authentication that Azure puts before a container app, "Easy Auth": who may come in, and what the container is told of who came."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pilotlight.twin.asgi import Request
from pilotlight.twin.azure.auth_limits import ENTRA
from pilotlight.twin.passing import bearer
from pilotlight.twin.rows import Properties

if TYPE_CHECKING:
    from pilotlight.twin.azure.tokens import Tokens

# App Service documentation, "Work with user identities": what the module alone may set.
_OWN = "x-ms-client-principal"
_TOKEN_PREFIX = "x-ms-token-"  # noqa: S105 (a header's name)
_PROVIDER = "aad"
# The same: what of a token's claims is renamed, to the names of Windows Identity Foundation.
_RENAMED = {
    "idp": "http://schemas.microsoft.com/identity/claims/identityprovider",
    "oid": "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "sub": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
    "tid": "http://schemas.microsoft.com/identity/claims/tenantid",
}
_NAME_TYPE = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
_ROLE_TYPE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
_NAMES = ("preferred_username", "upn", "name")
LOGIN = "/.auth/login/aad"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a request gets: `headers` for the container, or an answer of that status, with those headers and that text."""

    headers: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    text: str = ""


class EasyAuth:
    """One app's, read from its inputs; `tokens` verifies."""

    def __init__(self, config: Properties, tokens: Tokens) -> None:
        validation = config.get("globalValidation") or {}
        entra = (config.get("identityProviders") or {}).get(ENTRA) or {}
        self.enabled = (config.get("platform") or {}).get("enabled", True) is not False
        self._action = validation.get("unauthenticatedClientAction") or "RedirectToLoginPage"
        self._excluded = tuple(validation.get("excludedPaths") or ())
        self._entra = entra if entra.get("enabled", True) is not False else {}
        self._tokens = tokens

    def judge(self, request: Request, path: str) -> Verdict:
        """`path` is that of the request below the app's address."""
        token = bearer(request.headers.get("authorization"))
        claims = self._claims(token) if token and self._entra else None
        if claims is not None:
            if text := self._refused(claims):
                return Verdict(status=403, text=text)
            return Verdict(headers=told(claims))
        if self._action == "AllowAnonymous" or any(_is_below(path, excluded) for excluded in self._excluded):
            return Verdict()
        if self._action == "Return403":
            return Verdict(status=403, text="You do not have permission to view this directory or page.")
        if self._action == "Return401" or token:
            return Verdict(status=401, headers=(("www-authenticate", f'Bearer realm="{request.headers.get("host", "")}"'),), text=_WHO)
        return Verdict(status=302, headers=(("location", f"{LOGIN}?post_login_redirect_uri={quote(path, safe='')}"),))

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        """Of a token of the registered issuer for one of the audiences; None for any other."""
        registration, validation = self._entra.get("registration") or {}, self._entra.get("validation") or {}
        own = registration.get("clientId")
        audiences = [*(validation.get("allowedAudiences") or ()), *((own, f"api://{own}") if own else ())]
        claims = self._tokens.verify(token, audiences)
        return claims if claims is not None and claims["iss"] == issued_by(str(registration.get("openIdIssuer"))) else None

    def _refused(self, claims: Mapping[str, Any]) -> str | None:
        """Why somebody who is known may not come in. Where a policy names nobody, everybody of the tenant may."""
        policy = (self._entra.get("validation") or {}).get("defaultAuthorizationPolicy") or {}
        identities = (policy.get("allowedPrincipals") or {}).get("identities") or ()
        applications = policy.get("allowedApplications") or ()
        if identities and claims["oid"] not in identities:
            return f"The identity {claims['oid']} is not among allowedPrincipals.identities."
        if applications and claims["appid"] not in applications:
            return f"The application {claims['appid']} is not among allowedApplications."
        return None


_WHO = "You do not have permission to view this directory or page: send a token of the registered issuer for one of the audiences."


def issued_by(address: str) -> str:
    """Who issues the tokens that belong to an `openIdIssuer`, as the document there says: of the address with /v2.0 those of version 2.0,
    else those of version 1.0, which are what managed identities have."""
    parts = address.removeprefix("https://").strip("/").split("/")
    tenant = parts[1] if len(parts) > 1 else ""
    return f"https://login.microsoftonline.com/{tenant}/v2.0" if parts[-1] == "v2.0" else f"https://sts.windows.net/{tenant}/"


def told(claims: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The headers by which a container learns who came."""
    listed = [{"typ": _RENAMED.get(name, name), "val": str(value)} for name, value in claims.items()]
    principal = {"auth_typ": _PROVIDER, "claims": listed, "name_typ": _NAME_TYPE, "role_typ": _ROLE_TYPE}
    name = next((str(claims[key]) for key in _NAMES if key in claims), None)
    return (
        (_OWN, base64.b64encode(json.dumps(principal, separators=(",", ":")).encode()).decode()),
        (f"{_OWN}-id", str(claims["oid"])),
        (f"{_OWN}-idp", _PROVIDER),
        *(((f"{_OWN}-name", name),) if name else ()),
    )


def is_own(header: str) -> bool:
    """Whether a header is the module's to set, and nobody else's."""
    return header.lower().startswith((_OWN, _TOKEN_PREFIX))


def _is_below(path: str, excluded: str) -> bool:
    """Whether a path is an excluded one; `/health/*` is everything below `/health`."""
    if excluded.endswith("/*"):
        return path.startswith(excluded[:-1]) or path == excluded[:-2]
    return path == excluded
