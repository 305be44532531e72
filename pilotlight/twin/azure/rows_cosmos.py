"""Cosmos DB for Table: serverless accounts of one region, their tables, their roles and who has them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.azure import arm, cosmos_rights, identities, tls
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.iam import covers
from pilotlight.twin.azure.times import iso
from pilotlight.twin.azure.types import COSMOS_ACCOUNT, COSMOS_ASSIGNMENT, COSMOS_ROLE, COSMOS_TABLE
from pilotlight.twin.forms import choice_problems
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

SERVICE = "cosmos"
# What the twin has of an account: the interface for tables, billed by the request.
_CAPABILITIES = ("EnableServerless", "EnableTable")
_LEVELS = ("BoundedStaleness", "ConsistentPrefix", "Eventual", "Session", "Strong")
# `tags` of the account's parameters (Cosmos DB REST API).
_TAGS = 15
# Names of keys of a customer's own.
_ABSENT = frozenset({"keyVaultKeyUriVersion"})
# Those of Azurite, which has them.
_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_KEYS = ("primaryMasterKey", "primaryReadonlyMasterKey", "secondaryMasterKey", "secondaryReadonlyMasterKey")


def _account_limits(inputs: Properties) -> list[str]:
    given = sorted(str(one.get("name")) for one in inputs.get("capabilities") or [])
    found = [] if tuple(given) == _CAPABILITIES else [f"capabilities: {given}: the local twin has {' with '.join(_CAPABILITIES)} alone."]
    found += choice_problems("kind", inputs.get("kind") or "GlobalDocumentDB", ("GlobalDocumentDB",))
    if len(inputs.get("locations") or []) != 1:
        found.append("locations: a serverless account has one: use the location of the account.")
    if inputs.get("enableMultipleWriteLocations"):
        found.append("enableMultipleWriteLocations: a serverless account has one region: leave it out.")
    level = (inputs.get("consistencyPolicy") or {}).get("defaultConsistencyLevel")
    found += choice_problems("consistencyPolicy.defaultConsistencyLevel", level, _LEVELS) if level is not None else []
    if len(inputs.get("tags") or {}) > _TAGS:
        found.append(f"tags: there are {len(inputs['tags'])}: use at most {_TAGS}.")
    return found


def _account_made(twin: Twin, inputs: Properties) -> dict[str, Any]:
    made = {"generationTime": iso(twin.clock.now())}
    return {"instanceId": str(uuid.uuid4()), "keysMetadata": dict.fromkeys(_KEYS, made)}


def _account(twin: Twin, inputs: Properties) -> dict[str, Any]:
    name = inputs["accountName"]
    endpoint = twin.azure.url(twin, SERVICE, name).replace("127.0.0.1", tls.NAME, 1) + "/"
    places = [
        {**one, "id": f"{name}-{one['locationName']}", "documentEndpoint": endpoint, "provisioningState": "Succeeded"}
        for one in inputs["locations"]
    ]
    policies = [{key: one[key] for key in ("id", "locationName", "failoverPriority") if key in one} for one in places]
    level = {"defaultConsistencyLevel": "Session", **(inputs.get("consistencyPolicy") or {})}
    return {
        "documentEndpoint": endpoint,
        "locations": places,
        "readLocations": places,
        "writeLocations": places,
        "failoverPolicies": policies,
        "consistencyPolicy": level,
    }


def _table_limits(inputs: Properties) -> list[str]:
    name, found = inputs.get("tableName"), []
    if isinstance(name, str) and not _TABLE.fullmatch(name):
        found.append(f"tableName: {name!r}: the local twin keeps tables in Azurite: use 3 to 63 letters and digits, a letter first.")
    if inputs.get("options"):
        found.append("options: a serverless account has no throughput to set: leave it out.")
    if (inputs.get("resource") or {}).get("id") != name:
        found.append(f"resource.id: {(inputs.get('resource') or {}).get('id')!r}: use the table's name, {name!r}.")
    return found


def _role_limits(inputs: Properties) -> list[str]:
    found = []
    if not inputs.get("roleName"):
        found.append("roleName: is missing: a role needs a name.")
    if not inputs.get("assignableScopes"):
        found.append("assignableScopes: is missing or empty: use the account's id.")
    permissions = inputs.get("permissions") or []
    if not any(one.get("dataActions") for one in permissions):
        found.append("permissions: permit nothing: give one object with dataActions.")
    for number, one in enumerate(permissions):
        if one.get("notDataActions"):
            found.append(f"permissions[{number}].notDataActions: roles of Cosmos DB for Table have none: leave it out.")
        found += [
            f"permissions[{number}].dataActions: {action!r}: use any of {', '.join(sorted(cosmos_rights.ACTIONS))}."
            for action in one.get("dataActions") or []
            if action not in cosmos_rights.ACTIONS
        ]
    return found


def _account_id(inputs: Properties) -> str:
    return arm.id_of(COSMOS_ACCOUNT)(inputs)


def _check_role(twin: Twin, inputs: Properties) -> None:
    own, above = arm.id_of(COSMOS_ROLE)(inputs), _account_id(inputs)
    for scope in inputs["assignableScopes"]:
        if not covers(above, scope):
            raise Refusal("BadRequest", f"assignableScopes: {scope!r} does not lie in the account: use {above}.")
    if own.rpartition("/")[2].lower() in cosmos_rights.BUILT_IN:
        raise Refusal("Conflict", f"{own} is a built-in role: use another roleDefinitionId.", 409)
    names = {one["roleName"] for one in twin.world.find(COSMOS_ROLE) if not arm.same(one.id, own) and covers(above, one.id)}
    if inputs["roleName"] in names | {role.name for role in cosmos_rights.BUILT_IN.values()}:
        raise Refusal("Conflict", f"A role with the name {inputs['roleName']!r} exists already in this account.", 409)


def _check_assignment(twin: Twin, inputs: Properties) -> None:
    above, id_, scope = _account_id(inputs), str(inputs["roleDefinitionId"]), str(inputs["scope"])
    role = cosmos_rights.role_of(twin.world, id_)
    if role is None or not cosmos_rights.is_role_of(id_, above):
        raise Refusal("BadRequest", f"The role definition {id_} is none of the account: use {above}/tableRoleDefinitions/GUID.")
    if not covers(above, scope):
        raise Refusal("BadRequest", f"scope: {scope!r} does not lie in the account: use {above}.")
    if role.scopes != ("/",) and not any(covers(one, scope) for one in role.scopes):
        raise Refusal(
            "BadRequest", f"The role {role.name} can't be assigned at {scope}: its assignableScopes are {', '.join(role.scopes)}."
        )
    if str(inputs["principalId"]) not in identities.principals(twin.world):
        raise Refusal("BadRequest", f"The principal {inputs['principalId']} was not found in the directory of the account.")
    own = arm.id_of(COSMOS_ASSIGNMENT)(inputs)
    if any(not arm.same(one.id, own) and _same(one.outputs, inputs) for one in twin.world.find(COSMOS_ASSIGNMENT)):
        raise Refusal("Conflict", "The principal has that role there already, by another assignment.", 409)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(str(one[key]).lower() == str(other[key]).lower() for key in ("principalId", "roleDefinitionId", "scope"))


def _delete_role(twin: Twin, resource: Resource) -> None:
    held = [one.id for one in twin.world.find(COSMOS_ASSIGNMENT) if arm.same(one["roleDefinitionId"], resource.id)]
    if held:
        raise Refusal("Conflict", f"The role is assigned: delete {', '.join(held)} first.", 409)


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=COSMOS_ACCOUNT,
            id=arm.id_of(COSMOS_ACCOUNT),
            # No update changes them (Cosmos DB REST API; "Convert a serverless account").
            replaces=frozenset({"capabilities", "kind"}),
            limits=_account_limits,
            assigned=_account_made,
            computed=_account,
        ),
        absent=_ABSENT,
    ),
    azure(
        Row(
            token=COSMOS_TABLE,
            id=arm.id_of(COSMOS_TABLE),
            limits=_table_limits,
            computed=lambda twin, inputs: {"resource": dict(inputs["resource"])},
        )
    ),
    azure(Row(token=COSMOS_ROLE, id=arm.id_of(COSMOS_ROLE), limits=_role_limits, check=_check_role, delete=_delete_role)),
    azure(Row(token=COSMOS_ASSIGNMENT, id=arm.id_of(COSMOS_ASSIGNMENT), check=_check_assignment)),
)
