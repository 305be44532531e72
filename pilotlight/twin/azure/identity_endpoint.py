"""Where a process on Azure asks for tokens of the identities that it may be: the endpoint of App Service and Container Apps."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure.identities import DEVELOPER, Principal, declared
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource, World

NAME = "identity"
# "REST endpoint reference" of managed identities, App Service and Container Apps documentation (read 2026-11).
VERSION = "2019-08-01"
_HEADER = "x-identity-header"
# A parameter that chooses an identity -> what of it. Without any, it is the resource's own.
_CHOICES = {"client_id": "client_id", "principal_id": "principal_id", "object_id": "principal_id", "mi_res_id": "resource_id"}


class IdentityEndpoint:
    """One secret header for each app, by which it is known; it is given the identities that it declares and no other. The developer has
    one too, and is the developer."""

    def __init__(self) -> None:
        # The secrets of apps by their ids, and the apps by those: one that is being made is not in the world yet.
        self._secrets: dict[str, str] = {}
        self._apps: dict[str, Resource] = {}
        self._twin: Twin | None = None
        # By which the developer is known, once somebody has asked for it.
        self._word = ""

    def variables(self, twin: Twin, app: Resource) -> Mapping[str, str]:
        """What a process of the app must find in its environment. An app that changes keeps its secret, and is what it declares now.

        Nothing for one without identities: on Azure the variables are missing then.
        """
        self._twin = twin
        twin.azure.handlers[NAME] = self
        secret = self._secrets.setdefault(app.id, secrets.token_hex(16))
        self._apps[secret] = app
        if next(declared(twin.world, app), None) is None:
            return {}
        return _told(twin, secret)

    def developer(self, twin: Twin) -> Mapping[str, str]:
        """What the developer's programs must find, so that azure-identity takes them for the developer; the same after a restart."""
        self._twin = twin
        twin.azure.handlers[NAME] = self
        # As secret as the deployer's key of AWS, of which it is made.
        self._word = hashlib.sha256(f"azure developer {twin.iam.deployer.secret_access_key}".encode()).hexdigest()[:32]
        return _told(twin, self._word)

    async def handle(self, request: Request, send: Send) -> None:
        try:
            content = self._token(request)
        except Refusal as refusal:
            said = {"statusCode": refusal.status, "message": refusal.message, "correlationId": str(uuid.uuid4())}
            await respond(send, json_response(refusal.status, said))
        else:
            await respond(send, json_response(200, content))

    def _token(self, request: Request) -> dict[str, str]:
        if request.method != "GET":
            raise _refusal("Tokens are asked for with GET.", 405)
        given = request.headers.get(_HEADER, "")
        app = self._apps.get(given)
        developer = bool(self._word) and hmac.compare_digest(given.encode("utf-8", "replace"), self._word.encode())
        if self._twin is None or (app is None and not developer):
            raise _refusal("The header X-IDENTITY-HEADER must have the value of the variable IDENTITY_HEADER of this app's processes.", 401)
        query = dict(request.query)
        if query.get("api-version") != VERSION:
            raise _refusal(f"api-version: {query.get('api-version')!r}: use {VERSION}.")
        if not query.get("resource"):
            raise _refusal("resource is missing: name the service that the token is for, https://storage.azure.com, say.")
        principal = DEVELOPER if app is None else _chosen(self._twin.world, app, query)
        tokens = self._twin.azure.tokens(self._twin)
        return {
            "access_token": tokens.access(principal.principal_id, principal.client_id, query["resource"], principal.tenant),
            "expires_on": str(int(time.time()) + tokens.lifetime_s),
            "resource": query["resource"],
            "token_type": "Bearer",
            "client_id": principal.client_id,
        }


def _told(twin: Twin, secret: str) -> dict[str, str]:
    return {"IDENTITY_ENDPOINT": twin.azure.plain(twin, twin.azure.url(twin, NAME, "msi", "token")), "IDENTITY_HEADER": secret}


def _chosen(world: World, app: Resource, query: Mapping[str, str]) -> Principal:
    """The identity that is asked for. Refusal where the app has none such, or where it is gone."""
    asked = {name: value for name, value in query.items() if name in _CHOICES}
    if len(asked) > 1:
        raise _refusal(f"{', '.join(sorted(asked))}: an identity is chosen by one of them.")
    held = list(declared(world, app))
    if asked:
        ((name, value),) = asked.items()
        found = [one for one in held if str(getattr(one, _CHOICES[name])).lower() == value.lower()]
    else:
        found = [one for one in held if one.resource_id == app.id]
    if not found:
        raise _refusal(f"Unable to load the proper Managed Identity. {_allowed(app.id, held)}")
    return found[0]


def _allowed(app: str, held: list[Principal]) -> str:
    own = any(one.resource_id == app for one in held)
    assigned = ", ".join(f"client_id={one.client_id} ({one.resource_id.rpartition('/')[2]})" for one in held if one.resource_id != app)
    return f"Without client_id, {app} {'is its own identity' if own else 'has no identity of its own'}; it may be {assigned or 'no other'}."


def _refusal(message: str, status: int = 400) -> Refusal:
    return Refusal("BadRequest", message, status)
