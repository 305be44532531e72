"""Identities of programs, and what they are given, for tests of who may do what."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.azure.roles import BUILT_IN
from pilotlight.twin.azure.types import IDENTITY, ROLE_ASSIGNMENT
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP, Account

ROLES = {role.name: guid for guid, role in BUILT_IN.items()}


def identity(account: Account, name: str) -> Resource:
    return account.make(IDENTITY, name, {**IN_GROUP, "resourceName": name})


def role_id(name: str) -> str:
    """The id of a built-in role as programs write it."""
    return f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[name]}"


def assignment(who: Resource, role: str, scope: str, more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The inputs that give an identity a role, whose id is given or which is built in; `more` of them, None to leave one out."""
    definition = role if "/" in role else role_id(role)
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{scope}{definition}{who.id}"))
    given = {
        "scope": scope,
        "roleDefinitionId": definition,
        "principalId": who["principalId"],
        "principalType": "ServicePrincipal",
        "roleAssignmentName": name,
    }
    return {key: value for key, value in {**given, **more}.items() if value is not None}


def assign(account: Account, who: Resource, role: str, scope: str) -> Resource:
    inputs = assignment(who, role, scope)
    return account.make(ROLE_ASSIGNMENT, inputs["roleAssignmentName"], inputs)
