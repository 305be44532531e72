"""Identities of programs, roles, and who has which role where."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.azure import account, arm, identities
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.iam import covers, role_of
from pilotlight.twin.azure.roles import BUILT_IN, guid_of
from pilotlight.twin.azure.times import iso
from pilotlight.twin.azure.types import IDENTITY, ROLE_ASSIGNMENT, ROLE_DEFINITION
from pilotlight.twin.forms import Form
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.settings import Settings
from pilotlight.twin.twin import Twin
from pilotlight.twin.values import DEFAULTS
from pilotlight.twin.world import Resource

_GUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_PRINCIPAL = Form(_GUID, "the object id of a principal, as an identity's output `principalId`: a GUID")
_ROLE = Form(
    f"(?i:.*/?providers/Microsoft\\.Authorization/roleDefinitions/){_GUID}",
    "a role definition's id: /subscriptions/SUBSCRIPTION/providers/Microsoft.Authorization/roleDefinitions/GUID",
)
_ASSIGNMENT = "roleAssignmentName"
_PERMISSIONS = ("actions", "notActions", "dataActions", "notDataActions")
# Azure RBAC documentation, "Understand Azure role definitions" (read 2026-11): PROVIDER/TYPE/ACTION, with stars, or one star.
_ACTION = re.compile(r"\*|[\w.*-]+(?:/[\w.*-]+)+")


def _written(twin: Twin, inputs: Properties) -> dict[str, Any]:
    now = iso(twin.clock.now())
    return {"createdOn": now, "updatedOn": now, "createdBy": account.PRINCIPAL, "updatedBy": account.PRINCIPAL}


def _identity(twin: Twin, inputs: Properties) -> dict[str, Any]:
    """An identity that is made again is another one."""
    return {"principalId": str(uuid.uuid4()), "clientId": str(uuid.uuid4()), "tenantId": inputs["tenantId"]}


def _assignment_limits(inputs: Properties) -> list[str]:
    found = [*_PRINCIPAL.problems("principalId", inputs), *_ROLE.problems("roleDefinitionId", inputs)]
    for field, what in (("condition", "conditions"), ("delegatedManagedIdentityResourceId", "assignments across tenants")):
        if inputs.get(field) is not None:
            found.append(f"{field}: the local twin does not model {what}: leave it out, and choose a narrower scope or role.")
    return found


def _named(twin: Twin, settings: Settings, inputs: Properties, olds: Properties) -> dict[str, Any]:
    """The provider names assignments by random GUIDs, which stay."""
    if inputs.get(_ASSIGNMENT):
        return {}
    return {_ASSIGNMENT: olds.get(_ASSIGNMENT) or str(uuid.uuid4()), DEFAULTS: [_ASSIGNMENT]}


def _check_assignment(twin: Twin, inputs: Properties) -> None:
    _require_role(twin, inputs)
    _require_principal(twin, inputs)
    _require_new(twin, inputs)


def _require_role(twin: Twin, inputs: Properties) -> None:
    id_, scope = str(inputs["roleDefinitionId"]), str(inputs["scope"])
    role = role_of(twin.world, id_)
    if role is None:
        known = ", ".join(f"{one.name} ({guid})" for guid, one in BUILT_IN.items())
        raise Refusal(
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{guid_of(id_)}' does not exist. The twin knows roles that programs make "
            f"(authorization.RoleDefinition), and {known}.",
        )
    if not any(covers(one, scope) for one in role.scopes):
        raise Refusal(
            "RoleDefinitionNotAssignable",
            f"The role {role.name} cannot be assigned at {scope}: its assignableScopes are {', '.join(role.scopes)}.",
        )


def _require_principal(twin: Twin, inputs: Properties) -> None:
    principal_id, said = str(inputs["principalId"]), inputs.get("principalType")
    principal = identities.principals(twin.world).get(principal_id)
    if principal is None:
        raise Refusal(
            "PrincipalNotFound",
            f"Principal {principal_id.replace('-', '')} does not exist in the directory {inputs['tenantId']}. Check that you have the "
            f"correct principal ID: the output `principalId` of an identity.",
        )
    if said != principal.kind:
        raise Refusal(
            "UnmatchedPrincipalType",
            f"The PrincipalId '{principal_id.replace('-', '')}' has type '{principal.kind}', which is different from specified "
            f"PrincipalType '{said}'. Set principal_type='{principal.kind}': without it, the SDK says 'User'.",
        )


def _require_new(twin: Twin, inputs: Properties) -> None:
    """One name is one assignment, wherever it is; and nobody has the same role at the same place twice."""
    wanted = _identity_of(inputs)
    for other in twin.world.find(ROLE_ASSIGNMENT):
        same_name = other["name"].lower() == str(inputs[_ASSIGNMENT]).lower()
        if same_name and not arm.same(other["scope"], str(inputs["scope"])):
            raise _update_not_permitted(f"the assignment {other['name']} exists at {other['scope']}")
        if not same_name and _identity_of(other.outputs) == wanted:
            raise Refusal(
                "RoleAssignmentExists",
                f"The role assignment already exists. The ID of the conflicting role assignment is {other['name'].replace('-', '')}.",
                409,
            )


def _identity_of(properties: Mapping[str, Any]) -> tuple[str, str, str]:
    scope = str(properties["scope"]).lower().strip("/")
    return scope, str(properties["principalId"]).lower(), guid_of(str(properties["roleDefinitionId"]))


def _update_assignment(twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    if _identity_of(old.outputs) != _identity_of(new.outputs):
        raise _update_not_permitted(f"{old['name']} is of the role {guid_of(old['roleDefinitionId'])}")
    return {"updatedOn": iso(twin.clock.now())}


def _update_not_permitted(why: str) -> Refusal:
    return Refusal(
        "RoleAssignmentUpdateNotPermitted",
        f"Tenant ID, application ID, principal ID, and scope are not allowed to be updated: {why}. Use another {_ASSIGNMENT}, a GUID made "
        f"of scope, principal and role.",
    )


def _role_limits(inputs: Properties) -> list[str]:
    found = []
    if not inputs.get("roleName"):
        found.append("roleName: is missing: a role needs a name.")
    if not inputs.get("assignableScopes"):
        found.append("assignableScopes: is missing or empty: name where the role may be assigned, the subscription's id, say.")
    permissions = inputs.get("permissions") or []
    if not any(one.get("actions") or one.get("dataActions") for one in permissions):
        found.append("permissions: permit nothing: give one object with actions or dataActions.")
    for number, permission in enumerate(permissions):
        for field in _PERMISSIONS:
            found += [
                f"permissions[{number}].{field}: {one!r} is no action: use PROVIDER/TYPE/ACTION, Microsoft.App/containerApps/read, say."
                for one in permission.get(field) or []
                if not _ACTION.fullmatch(str(one))
            ]
    return found


def _check_role(twin: Twin, inputs: Properties) -> None:
    own = str(inputs["roleDefinitionId"]).lower()
    if own in BUILT_IN:
        raise Refusal("RoleDefinitionExists", f"{own} is the built-in role {BUILT_IN[own].name}: use another roleDefinitionId.", 409)
    others = [one for one in twin.world.find(ROLE_DEFINITION) if guid_of(one.id) != own]
    names = {str(one["roleName"]).lower() for one in others} | {one.name.lower() for one in BUILT_IN.values()}
    if str(inputs["roleName"]).lower() in names:
        raise Refusal(
            "RoleDefinitionWithSameNameExists", f"A custom role with the name {inputs['roleName']!r} exists already in this directory.", 409
        )
    for scope in inputs["assignableScopes"]:
        if not arm.same(scope, f"/subscriptions/{inputs['subscriptionId']}") and arm.find(twin.world, scope) is None:
            raise Refusal("LinkedInvalidPropertyId", f"assignableScopes: {scope!r} is not there: use the subscription's id, or a group's.")


def _delete_role(twin: Twin, resource: Resource) -> None:
    held = [one.id for one in twin.world.find(ROLE_ASSIGNMENT) if guid_of(one["roleDefinitionId"]) == guid_of(resource.id)]
    if held:
        raise Refusal(
            "RoleDefinitionHasAssignments", f"There are existing role assignments referencing role: delete {', '.join(held)} first."
        )


ROWS: tuple[Row, ...] = (
    azure(Row(token=IDENTITY, id=arm.id_of(IDENTITY), assigned=_identity)),
    azure(
        Row(
            token=ROLE_ASSIGNMENT,
            id=arm.id_of(ROLE_ASSIGNMENT),
            # pulumi-azure-native 3.29, gen/replacement.go; the scope and the name are in the id.
            replaces=frozenset({"principalId"}),
            filled=_named,
            assigned=_written,
            limits=_assignment_limits,
            check=_check_assignment,
            update=_update_assignment,
        )
    ),
    azure(
        Row(
            token=ROLE_DEFINITION,
            id=arm.id_of(ROLE_DEFINITION),
            assigned=_written,
            computed=lambda twin, inputs: {"roleType": "CustomRole"},
            limits=_role_limits,
            check=_check_role,
            update=lambda twin, old, new: {"updatedOn": iso(twin.clock.now())},
            delete=_delete_role,
        )
    ),
)
