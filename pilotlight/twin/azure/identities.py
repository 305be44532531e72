"""Who there is on Azure: identities that programs made, identities of resources, the developer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pilotlight.twin.azure import account
from pilotlight.twin.azure.types import IDENTITY
from pilotlight.twin.world import Resource, World

# What role assignments call the kinds of principals that there are here.
APPLICATION, USER = "ServicePrincipal", "User"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """`resource_id` is the identity's own id, for an identity of a resource that resource's; empty for the developer."""

    principal_id: str
    client_id: str
    resource_id: str
    tenant: str = account.TENANT
    kind: str = APPLICATION


DEVELOPER = Principal(principal_id=account.PRINCIPAL, client_id=account.CLIENT, resource_id="", kind=USER)


def principals(world: World) -> dict[str, Principal]:
    """Everybody, by principal id."""
    found = [DEVELOPER, *map(_user_assigned, world.find(IDENTITY))]
    found += [own for one in world.all() if one.token.startswith("azure-native:") and (own := system_assigned(one))]
    return {one.principal_id: one for one in found}


def declared(world: World, resource: Resource) -> Iterator[Principal]:
    """The identities that a resource's output `identity` says it may be, its own first; without those that are gone by now."""
    if own := system_assigned(resource):
        yield own
    identity = resource.get("identity")
    assigned = (identity.get("userAssignedIdentities") or {}) if isinstance(identity, Mapping) else {}
    for one in assigned.values():
        if (there := world.one(IDENTITY, principalId=one["principalId"])) is not None:
            yield _user_assigned(there)


def system_assigned(resource: Resource) -> Principal | None:
    """The identity that is the resource's own, where it has one."""
    identity = resource.get("identity")
    if not isinstance(identity, Mapping) or not identity.get("principalId"):
        return None
    principal_id = str(identity["principalId"])
    tenant = str(identity.get("tenantId") or account.TENANT)
    return Principal(principal_id=principal_id, client_id=_client(principal_id), resource_id=resource.id, tenant=tenant)


def _user_assigned(resource: Resource) -> Principal:
    ids = {"principal_id": str(resource["principalId"]), "client_id": str(resource["clientId"]), "tenant": str(resource["tenantId"])}
    return Principal(**ids, resource_id=resource.id)


def _client(principal_id: str) -> str:
    """The application's id of a resource's own identity, which no output tells."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, principal_id))
