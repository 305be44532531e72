"""Who may do what with tables of Cosmos DB: roles of an account's own, which Azure's role assignments know nothing of.

Source: Cosmos DB for Table documentation, "data plane security reference" (2025-09, read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from pilotlight.twin.azure import account, identities
from pilotlight.twin.azure.iam import covers
from pilotlight.twin.azure.roles import Permission, Role, custom, guid_of
from pilotlight.twin.azure.types import COSMOS_ASSIGNMENT, COSMOS_ROLE
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

_OF = "Microsoft.DocumentDB/databaseAccounts"
_TABLES, _CONTAINERS, _ENTITIES = (f"{_OF}/{each}" for each in ("tables", "tables/containers", "tables/containers/entities"))
# Every client reads what an account and its tables are like before anything else.
METADATA, TRANSACTION, QUERY = f"{_OF}/readMetadata", f"{_CONTAINERS}/executeStoredProcedure", f"{_CONTAINERS}/executeQuery"
ACTIONS = frozenset(
    (
        *(METADATA, TRANSACTION, QUERY, f"{_CONTAINERS}/readChangeFeed", f"{_CONTAINERS}/manageConflicts"),
        *(f"{_ENTITIES}/{each}" for each in ("create", "read", "replace", "upsert", "delete", "*")),
        *(f"{part}/{each}" for part in (_TABLES, _CONTAINERS) for each in ("write", "delete", "*")),
        *(f"{_OF}/throughputSettings/{each}" for each in ("read", "write", "*")),
    )
)
_READS = (METADATA, QUERY, f"{_CONTAINERS}/readChangeFeed", f"{_ENTITIES}/read")
_WRITES = (METADATA, f"{_TABLES}/*", f"{_CONTAINERS}/*", f"{_ENTITIES}/*")
# In every account, with one id in all of them.
BUILT_IN: Mapping[str, Role] = {
    f"{0:08}-0000-0000-0000-{number:012}": Role(name=f"Cosmos DB Built-in Data {name}", permissions=(Permission(data_actions=actions),))
    for number, name, actions in ((1, "Reader", _READS), (2, "Contributor", _WRITES))
}
_ENTITY = re.compile(r"(?P<table>[^()/]+)(?:\((?P<key>.*)\))?", re.DOTALL)
_NAMED_TABLE = re.compile(r"Tables\('(?P<name>[^']*)'\)")


def role_of(world: World, role_definition_id: str) -> Role | None:
    """A role of an account, built in or made by a program."""
    above, _, guid = role_definition_id.lower().rpartition("/tableroledefinitions/")
    if above and guid in BUILT_IN:
        return BUILT_IN[guid]
    made = next((one for one in world.find(COSMOS_ROLE) if one.id.lower() == role_definition_id.lower()), None)
    return None if made is None else custom(made.get("roleName", guid), made.get("permissions", []), made.get("assignableScopes", []))


def wanted(method: str, path: str, headers: Mapping[str, str]) -> tuple[str, list[str]]:
    """The table that a request is about (empty for all), and the data actions that it takes; `path` is what follows the account."""
    resource = unquote(path.partition("?")[0])
    if resource in ("", "Tables"):
        return "", [METADATA, *([f"{_TABLES}/write"] if method == "POST" else [])]
    if named := _NAMED_TABLE.fullmatch(resource):
        return named["name"], [METADATA, *([f"{_TABLES}/delete"] if method == "DELETE" else [])]
    found = _ENTITY.fullmatch(resource)
    if found is None:
        raise Refusal("InvalidInput", "One of the input values is invalid.")
    return found["table"], [METADATA, _on_entities(method, bool(found["key"]), headers)]


def _on_entities(method: str, keyed: bool, headers: Mapping[str, str]) -> str:
    verb = headers.get("x-http-method", method).upper()
    if method == "PATCH":
        # azure-data-tables, CosmosPatchTransformPolicy; its recorded transaction with one was refused so.
        raise Refusal("InvalidInput", "One of the input values is invalid: a merge is a POST with X-HTTP-Method: MERGE.")
    if verb == "GET":
        return f"{_ENTITIES}/read" if keyed else QUERY
    if verb in ("PUT", "MERGE"):
        return f"{_ENTITIES}/{'replace' if 'if-match' in headers else 'upsert'}"
    if verb in ("POST", "DELETE"):
        return f"{_ENTITIES}/{'create' if verb == 'POST' else 'delete'}"
    raise Refusal("UnsupportedHttpVerb", f"The resource doesn't support the specified HTTP verb {method}.", 405)


def refusal(world: World, caller: str, of: Resource, table: str, actions: list[str]) -> str | None:
    """None where a principal may do all of it in an account, else why not. The developer may do everything."""
    if caller == account.PRINCIPAL:
        return None
    if caller not in identities.principals(world):
        return f"There is no principal {caller} any more."
    scope = f"{of.id}/tables/{table}" if table else of.id
    held = [role for assigned, role in _granted(world, caller, of) if covers(assigned, scope)]
    for action in actions:
        if not any(role.permits(action, data=True) for role in held):
            names = ", ".join(sorted({role.name for role in held})) or "none"
            return (
                f"Principal [{caller}] does not have required RBAC permissions to perform action [{action}] on [{scope}]: it has {names}."
            )
    return None


def _granted(world: World, caller: str, of: Resource) -> Iterator[tuple[str, Role]]:
    for one in world.find(COSMOS_ASSIGNMENT):
        if one["principalId"].lower() == caller.lower() and one.id.lower().startswith(f"{of.id.lower()}/"):
            role = role_of(world, one["roleDefinitionId"])
            if role is not None:
                yield one["scope"], role


def is_role_of(role_definition_id: str, account_id: str) -> bool:
    """Whether the id is one of that account's roles."""
    wanted_id = f"{account_id}/tableRoleDefinitions/{guid_of(role_definition_id)}"
    return wanted_id.lower() == role_definition_id.lower()
