"""One API Management service at the moment of a call: its documents of policies, and what policies need of it (`Means`)."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from pilotlight.twin.azure import identities
from pilotlight.twin.azure.apim_backend import ApimBackends
from pilotlight.twin.azure.apim_call import ApiResponse, Call, PolicyFailure
from pilotlight.twin.azure.apim_expression_members import Jwt
from pilotlight.twin.azure.apim_openid import Configurations
from pilotlight.twin.azure.apim_policies import INTERNAL, Document, Forwarding, Wanted
from pilotlight.twin.azure.apim_policy_jwt import verified
from pilotlight.twin.azure.apim_policy_limits import Limits
from pilotlight.twin.azure.apim_policy_xml import Element, parse
from pilotlight.twin.azure.apim_traces import Traced
from pilotlight.twin.azure.types import (
    API_BACKEND,
    API_GLOBAL_POLICY,
    API_NAMED_VALUE,
    API_OPERATION_POLICY,
    API_POLICY,
    API_PRODUCT_POLICY,
)
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

POLICY_SCOPES = {API_GLOBAL_POLICY: "global", API_PRODUCT_POLICY: "product", API_POLICY: "api", API_OPERATION_POLICY: "operation"}
# What a service has at its global scope until a program says otherwise: the page of forward-request.
_DEFAULT = parse("<policies><inbound/><backend><forward-request/></backend><outbound/><on-error/></policies>")
# A token that lasts no longer than this is not sent any more.
_RENEW_S = 300


@lru_cache(maxsize=256)
def parsed(value: str, content_format: str) -> Element:
    return parse(value, content_format)


def named_value(world: World, service_id: str, name: str) -> Resource | None:
    """The named value that policies write as `{{name}}`, which is its displayName."""
    found = (one for one in world.find(API_NAMED_VALUE) if one.id.startswith(f"{service_id}/"))
    return next((one for one in found if one["displayName"] == name), None)


def backend(world: World, service_id: str, name: str) -> Resource | None:
    return world.get(API_BACKEND, f"{service_id}/backends/{name}")


class Services:
    """What is kept from call to call, of every service. To be used in the twin's loop."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.limits = Limits(twin.clock.now)
        self.backends = ApimBackends(lambda url: twin.azure.plain(twin, url))
        self.configurations = Configurations(lambda url: twin.azure.plain(twin, url))
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def token(self, principal: identities.Principal, resource: str) -> str:
        """An access token, kept for most of its life. Refusal for a resource that the tenant does not know."""
        token, until = self._tokens.get((principal.principal_id, resource), ("", 0.0))
        if time.monotonic() >= until:
            tokens = self.twin.azure.tokens(self.twin)
            token = tokens.access(principal.principal_id, principal.client_id, resource, principal.tenant)
            self._tokens[principal.principal_id, resource] = token, time.monotonic() + tokens.lifetime_s - _RENEW_S
        return token


class ServiceMeans:
    """`Means` of one service."""

    def __init__(self, services: Services, service: Resource) -> None:
        self._services, self._service = services, service
        self._world = services.twin.world
        self.limits = services.limits
        # What tells of the call, where something does.
        self.traced: Traced | None = None

    def documents(self, api: Resource | None, operation: Resource | None, product: Resource | None) -> list[Document]:
        """The documents that a call is subject to, the narrowest scope first. The service's own where it has none is the default."""
        places = [(API_OPERATION_POLICY, operation), (API_POLICY, api), (API_PRODUCT_POLICY, product), (API_GLOBAL_POLICY, self._service)]
        found = []
        for token, holder in places:
            stored = self._world.get(token, f"{holder.id}/policies/policy") if holder is not None else None
            if stored is not None:
                root = parsed(str(stored["value"]), str(stored.get("format") or "xml"))
                found.append(Document(scope=POLICY_SCOPES[token], id=stored.id, root=root))
            elif token == API_GLOBAL_POLICY:
                found.append(Document(scope="global", id=self._service.id, root=_DEFAULT))
        return found

    def named_value(self, name: str) -> str:
        found = named_value(self._world, self._service.id, name)
        if found is None:
            raise PolicyFailure(500, "ExpressionValueEvaluationFailure", f"Cannot find a property '{name}'", told=INTERNAL)
        return str(found["value"])

    def backend(self, name: str) -> str:
        found = backend(self._world, self._service.id, name)
        if found is None:
            raise PolicyFailure(500, "BackendNotFound", f"Backend with id '{name}' could not be found.", told=INTERNAL)
        return str(found["url"])

    def token(self, client_id: str | None, resource: str) -> str:
        own = list(identities.declared(self._world, self._service))
        system = identities.system_assigned(self._service)
        principal = system if client_id is None else next((one for one in own if one.client_id == client_id), None)
        whose = "no system-assigned identity" if client_id is None else f"no user-assigned identity with the client id {client_id!r}"
        if principal is None:
            raise PolicyFailure(500, "ManagedIdentityFailure", f"The service {self._service['name']} has {whose}.", told=INTERNAL)
        try:
            return self._services.token(principal, resource)
        except Refusal as refusal:
            raise PolicyFailure(500, "ManagedIdentityFailure", str(refusal), told=INTERNAL) from None

    async def verified(self, token: str, wanted: Wanted) -> Jwt:
        return await verified(token, wanted, self._services.configurations)

    async def forward(self, call: Call, how: Forwarding) -> ApiResponse:
        if self.traced is None:
            return await self._services.backends.forward(call, how)
        asked = self.traced.forwarding()
        try:
            answer = await self._services.backends.forward(call, how)
            asked.status = answer.status_code
            return answer
        finally:
            asked.seconds = time.time() - asked.began
