"""The login servers of registries: tokens of identities exchanged for the registry's own."""

from __future__ import annotations

from urllib.parse import parse_qs

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure import registry
from pilotlight.twin.azure.types import REGISTRY
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal

_BODY_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"
# For whom a token may be that is exchanged (Azure/acr, docs/AAD-OAuth.md, and the policy azureADAuthenticationAsArmPolicy).
_OWN = "https://containerregistry.azure.net"
_MANAGERS = ("https://management.azure.com", "https://management.core.windows.net")


class RegistryPlane(Plane):
    """Answers `POST /acr/NAME/oauth2/exchange`."""

    async def start(self) -> None:
        self.twin.azure.handlers[registry.NAME] = self

    async def handle(self, request: Request, send: Send) -> None:
        try:
            content = await self._answer(request)
        except Refusal as refusal:
            said = {"errors": [{"code": refusal.code, "message": refusal.message}]}
            await respond(send, json_response(refusal.status, said))
        else:
            await respond(send, json_response(200, content))

    async def _answer(self, request: Request) -> dict[str, str]:
        name, _, path = request.raw_path.partition(f"/{registry.NAME}/")[2].partition("/")
        server = registry.login_server(self.twin, name)
        found = self.twin.world.one(REGISTRY, loginServer=server)
        if found is None:
            raise Refusal("NAME_UNKNOWN", f"There is no registry {server}: make it first.", 404)
        if (request.method, path) != ("POST", "oauth2/exchange"):
            raise Refusal("UNSUPPORTED", f"The local twin answers POST /oauth2/exchange here, not {request.method} /{path}.", 404)
        body = await request.body(_BODY_BYTES, Refusal("TOOBIG", f"The form must be smaller than {_BODY_BYTES} bytes.", 413))
        if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
            raise Refusal("UNSUPPORTED", f"The body must be a form ({_FORM}).", 415)
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "access_token":
            raise Refusal("UNSUPPORTED", f"grant_type: {form.get('grant_type')!r} is not served: use access_token.")
        if form.get("service") != server:
            raise Refusal("UNAUTHORIZED", f"service: {form.get('service')!r} is not this registry: use {server}.", 401)
        policy = ((found.get("policies") or {}).get("azureADAuthenticationAsArmPolicy") or {}).get("status", "enabled")
        audiences = [_OWN, *(_MANAGERS if policy == "enabled" else ())]
        every = [*audiences, *(f"{one}/" for one in audiences)]
        claims = self.twin.azure.tokens(self.twin).verify(form.get("access_token", ""), every)
        if claims is None:
            raise Refusal("UNAUTHORIZED", f"access_token: use one of this twin for {' or '.join(audiences)} that has not ended.", 401)
        if form.get("tenant") != claims["tid"]:
            raise Refusal("UNAUTHORIZED", f"tenant: {form.get('tenant')!r} is not the token's: use {claims['tid']}.", 401)
        return {"refresh_token": registry.refresh_token(self.twin, found, str(claims["oid"]))}
