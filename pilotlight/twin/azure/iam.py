"""Who may do what on Azure: the role assignments that programs declared, the roles behind them, and a reason for every no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight.twin.azure import account, identities
from pilotlight.twin.azure.identities import Principal
from pilotlight.twin.azure.roles import BUILT_IN, Role, custom, guid_of
from pilotlight.twin.azure.types import ROLE_ASSIGNMENT, ROLE_DEFINITION
from pilotlight.twin.world import World

# Decisions that are remembered; every blob has a name of its own.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Grant:
    """A role on a scope, and so on everything below it."""

    role: Role
    scope: str


@dataclass(frozen=True)
class _State:
    """What one state of the world holds, and what was decided in it."""

    version: int
    principals: Mapping[str, Principal]
    grants: Mapping[str, list[Grant]]
    decided: dict[tuple[str, str, str, bool], str | None]


class Iam:
    """Decisions over the role assignments of the world, which are gathered once for each of its states."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._state = _State(-1, {}, {}, {})

    def allowed(self, principal_id: str, action: str, scope: str, *, data: bool = False) -> str | None:
        """None where a principal may do it on the resource of that id, else why not.

        `action` is of the control plane, with `data` of the data plane. The id of what Resource Manager does not know goes on from that
        of what holds it: `…/containers/models/blobs/NAME`. The developer may do everything.
        """
        if principal_id == account.PRINCIPAL:
            return None
        state = self._current()
        key = (principal_id, action.lower(), scope.lower(), data)
        if key not in state.decided:
            if len(state.decided) >= _REMEMBERED:
                state.decided.clear()
            state.decided[key] = _decide(state, principal_id, action, scope, data)
        return state.decided[key]

    def roles(self, principal_id: str, scope: str) -> list[Role]:
        """The roles that a principal has on the resource of that id, there or above it."""
        grants = self._current().grants.get(principal_id.lower(), ())
        return [grant.role for grant in grants if covers(grant.scope, scope)]

    def role(self, role_definition_id: str) -> Role | None:
        """The role of that id, built in or made by a program."""
        return role_of(self._world, role_definition_id)

    def _current(self) -> _State:
        version = self._world.version
        if self._state.version != version:
            grants: dict[str, list[Grant]] = {}
            for one in self._world.find(ROLE_ASSIGNMENT):
                role = role_of(self._world, one["roleDefinitionId"])
                if role is not None:
                    grants.setdefault(one["principalId"].lower(), []).append(Grant(role, one["scope"]))
            self._state = _State(version, identities.principals(self._world), grants, {})
        return self._state


def role_of(world: World, role_definition_id: str) -> Role | None:
    guid = guid_of(role_definition_id)
    if guid in BUILT_IN:
        return BUILT_IN[guid]
    declared = next((one for one in world.find(ROLE_DEFINITION) if guid_of(one.id) == guid), None)
    if declared is None:
        return None
    return custom(declared.get("roleName", guid), declared.get("permissions", []), declared.get("assignableScopes", []))


def covers(scope: str, id_: str) -> bool:
    """Whether an id is a scope, or lies below it. Ids are the same in any case."""
    above, below = scope.lower().strip("/"), id_.lower().strip("/")
    return not above or above == below or below.startswith(f"{above}/")


def _decide(state: _State, principal_id: str, action: str, scope: str, data: bool) -> str | None:
    principal = state.principals.get(principal_id)
    if principal is None:
        return f"There is no principal with object id {principal_id!r} any more, or there never was."
    there = [grant.role for grant in state.grants.get(principal_id.lower(), ()) if covers(grant.scope, scope)]
    if any(role.permits(action, data=data) for role in there):
        return None
    held = ", ".join(sorted({role.name for role in there}))
    return (
        f"The client {principal.client_id!r} with object id {principal_id!r} does not have authorization to perform "
        f"{'data action' if data else 'action'} {action!r} over scope {scope!r}: "
        f"{f'its roles there are {held}' if held else 'it has no role there'}."
    )
