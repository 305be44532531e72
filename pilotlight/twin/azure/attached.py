"""The input `identity` of resources that act as somebody: its own identity, and those of the program that it may use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.types import IDENTITY
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

_SYSTEM, _USER = "SystemAssigned", "UserAssigned"


def kinds(identity: Any) -> frozenset[str]:
    """The kinds that `type` names, as in `SystemAssigned, UserAssigned`; `None` names none."""
    named = str(identity.get("type") or "") if isinstance(identity, Mapping) else ""
    return frozenset(part.strip() for part in named.split(",")) - {"", "None"}


def problems(identity: Any) -> list[str]:
    """What is wrong with an `identity`. A type that is no kind at all is the SDK's to find."""
    if not isinstance(identity, Mapping):
        return []
    ids, named = identity.get("userAssignedIdentities"), kinds(identity)
    if ids and _USER not in named:
        return [f"identity.type: {identity.get('type')!r} is not allowed with userAssignedIdentities: use {_USER}, or '{_SYSTEM},{_USER}'."]
    if _USER in named and ids is not None and not ids:
        return [f"identity.userAssignedIdentities: is empty: name an identity's id, or use the type {_SYSTEM}."]
    return []


def check(twin: Twin, inputs: Properties) -> None:
    """Raises Refusal for an identity that is not there."""
    for id_ in _ids(inputs.get("identity")):
        if _found(twin, id_) is None:
            raise Refusal(
                "FailedIdentityOperation",
                f"Identity operation failed: the identity {id_!r} is not there. Make it first (its output `id`), or mend the id.",
            )


def outputs(twin: Twin, inputs: Properties, old: Resource | None = None) -> dict[str, Any]:
    """`identity` as Azure answers it: ids as a map, and the principal of the resource's own, which stays as long as it has one."""
    identity = inputs.get("identity")
    if not isinstance(identity, Mapping):
        return {}
    found: dict[str, Any] = dict(identity)
    ids = _ids(identity)
    if ids:
        held = [(id_, _found(twin, id_)) for id_ in ids]
        found["userAssignedIdentities"] = {id_: {key: one[key] for key in ("clientId", "principalId")} for id_, one in held if one}
    if _SYSTEM in kinds(identity):
        before = (old.get("identity") or {}) if old is not None else {}
        found["principalId"] = before.get("principalId") or str(uuid.uuid4())
        found["tenantId"] = inputs["tenantId"]
    return {"identity": found}


def as_inputs(made: Resource, live: Properties) -> Properties:
    """The outputs with `identity` as the program wrote it: ids as a list, for most types."""
    identity, given = live.get("identity"), (made.inputs.get("identity") or {}).get("userAssignedIdentities")
    if not isinstance(identity, Mapping) or not isinstance(identity.get("userAssignedIdentities"), Mapping) or isinstance(given, Mapping):
        return live
    return {**live, "identity": {**identity, "userAssignedIdentities": list(identity["userAssignedIdentities"])}}


def _ids(identity: Any) -> list[str]:
    return [str(id_) for id_ in identity.get("userAssignedIdentities") or ()] if isinstance(identity, Mapping) else []


def _found(twin: Twin, id_: str) -> Resource | None:
    return next((one for one in twin.world.find(IDENTITY) if arm.same(one.id, id_)), None)
