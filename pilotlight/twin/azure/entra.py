"""What Entra ID tells everybody: the OpenID configuration of a tenant, and the keys that verify its tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure.tokens import Tokens, issuer
from pilotlight.twin.rows import AwsResponse

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

NAME = "entra"
# As on login.microsoftonline.com. The configuration of version 2.0 names another issuer, which no identity's token here has.
_CONFIGURATIONS: Mapping[str, Callable[[str], str]] = {
    "/.well-known/openid-configuration": issuer,
    "/v2.0/.well-known/openid-configuration": lambda tenant: f"https://login.microsoftonline.com/{tenant}/v2.0",
}
_KEYS = ("/discovery/keys", "/discovery/v2.0/keys")
_TENANT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Entra:
    """`/_azure/entra/TENANT/…`; at the front that speaks TLS, `/entra/TENANT/…`."""

    def __init__(self, twin: Twin, tokens: Tokens) -> None:
        self._twin = twin
        self._tokens = tokens

    async def handle(self, request: Request, send: Send) -> None:
        tenant, _, path = request.raw_path.partition(f"/{NAME}/")[2].partition("/")
        path = f"/{path}"
        if request.method not in ("GET", "HEAD"):
            await respond(send, _refused(405, "MethodNotAllowed", "Configurations and keys are read: use GET."))
        elif not _TENANT.fullmatch(tenant):
            await respond(send, _refused(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found: use its id, a GUID."))
        elif path in _CONFIGURATIONS:
            await respond(send, json_response(200, self._configuration(request, tenant, _CONFIGURATIONS[path](tenant))))
        elif path in _KEYS:
            await respond(send, json_response(200, self._tokens.key_set()))
        else:
            served = ", ".join((*_CONFIGURATIONS, *_KEYS))
            await respond(send, _refused(404, "NotFound", f"There is nothing at {path}: below a tenant the twin serves {served}."))

    def _configuration(self, request: Request, tenant: str, issued_by: str) -> dict[str, object]:
        """With the keys at the front that was asked: whoever trusts the one need not trust the other's certificate."""
        address = self._twin.azure.url(self._twin, NAME, tenant)
        if request.headers.get("host") != urlsplit(address).netloc:
            address = self._twin.azure.plain(self._twin, address)
        return {
            "issuer": issued_by,
            "jwks_uri": f"{address}{_KEYS[0]}",
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
        }


def _refused(status: int, code: str, message: str) -> AwsResponse:
    return json_response(status, {"error": code, "error_description": message})
