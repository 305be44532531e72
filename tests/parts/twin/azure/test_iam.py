"""Who may do what: scopes and what is below them, any case, orphans, and a reason for every no."""

from __future__ import annotations

import pytest

from pilotlight.twin.azure import iam
from pilotlight.twin.azure.account import PRINCIPAL, SUBSCRIPTION
from pilotlight.twin.azure.iam import covers
from pilotlight.twin.azure.types import CONTAINER, ROLE_DEFINITION
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, Account
from tests.parts.twin.azure.people import assign, identity

CONTAINERS = f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/tried/blobServices/default/containers"
READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
CUSTOM = "6d1f4a52-6a0f-4c1b-9a69-0d1f2a3b4c5d"


@pytest.fixture
def caller(account: Account) -> Resource:
    account.group()
    # Of the storage account's: rows of it are not what is tried here.
    for name in ("models", "models-more"):
        account.world.put(Resource(token=CONTAINER, id=f"{CONTAINERS}/{name}", urn=""))
    return identity(account, "caller")


def reason(account: Account, caller: Resource, action: str, scope: str, *, data: bool = False) -> str | None:
    answer: str | None = account.twin.azure.iam.allowed(caller["principalId"], action, scope, data=data)
    return answer


def test_the_developer_may_do_everything_and_an_identity_nothing_at_first(account: Account, caller: Resource) -> None:
    assert account.twin.azure.iam.allowed(PRINCIPAL, READ, f"{CONTAINERS}/models/blobs/a", data=True) is None
    assert reason(account, caller, READ, f"{CONTAINERS}/models/blobs/a", data=True) == (
        f"The client '{caller['clientId']}' with object id '{caller['principalId']}' does not have authorization to perform data action "
        f"'{READ}' over scope '{CONTAINERS}/models/blobs/a': it has no role there."
    )


def test_a_role_is_for_what_is_below_its_scope_and_for_nothing_beside_it(account: Account, caller: Resource) -> None:
    held = assign(account, caller, "Storage Blob Data Reader", f"{CONTAINERS}/models")
    assert reason(account, caller, READ, f"{CONTAINERS}/models/blobs/a/b", data=True) is None
    assert reason(account, caller, READ, f"{CONTAINERS}/MODELS/blobs/a".upper(), data=True) is None
    said = reason(account, caller, READ.replace("read", "write"), f"{CONTAINERS}/models/blobs/a", data=True)
    assert said is not None
    assert said.endswith("its roles there are Storage Blob Data Reader.")
    assert reason(account, caller, READ, f"{CONTAINERS}/models/blobs/a") is not None, "an action of data is none of the control plane"
    assert reason(account, caller, READ, f"{CONTAINERS}/models-more/blobs/a", data=True) is not None
    account.delete(held)
    assert reason(account, caller, READ, f"{CONTAINERS}/models/blobs/a", data=True) is not None


@pytest.mark.parametrize("scope", [GROUP_ID, GROUP_ID.lower().strip("/"), f"/subscriptions/{SUBSCRIPTION}"])
def test_a_role_on_a_group_or_a_subscription_is_for_everything_in_it(account: Account, caller: Resource, scope: str) -> None:
    assign(account, caller, "AcrPull", scope)
    assert reason(account, caller, PULL, f"{GROUP_ID}/providers/Microsoft.ContainerRegistry/registries/one") is None
    assert reason(account, caller, PULL, f"{GROUP_ID.replace(SUBSCRIPTION, 'another')}/x") is not None


def test_roles_add_up(account: Account, caller: Resource) -> None:
    assign(account, caller, "AcrPull", GROUP_ID)
    assign(account, caller, "Storage Blob Data Reader", GROUP_ID)
    assert reason(account, caller, PULL, GROUP_ID) is None
    assert reason(account, caller, READ, GROUP_ID, data=True) is None


def test_a_role_of_a_program_permits_what_it_says_and_changes(account: Account, caller: Resource) -> None:
    role = account.make(
        ROLE_DEFINITION,
        "floor",
        {
            "scope": GROUP_ID,
            "roleDefinitionId": CUSTOM,
            "roleName": "Sets floors",
            "permissions": [{"actions": ["Microsoft.App/containerApps/*"], "notActions": ["Microsoft.App/containerApps/delete"]}],
            "assignableScopes": [GROUP_ID],
        },
    )
    assign(account, caller, role.id, GROUP_ID)
    assert reason(account, caller, "Microsoft.App/containerApps/write", GROUP_ID) is None
    assert reason(account, caller, "Microsoft.App/containerApps/delete", GROUP_ID) is not None
    account.change(role, {"permissions": [{"actions": ["Microsoft.App/containerApps/read"]}]})
    assert reason(account, caller, "Microsoft.App/containerApps/write", GROUP_ID) is not None


def test_an_identity_that_is_gone_may_nothing_and_its_successor_inherits_nothing(account: Account, caller: Resource) -> None:
    held = assign(account, caller, "AcrPull", GROUP_ID)
    account.delete(caller)
    assert account.world.get(held.token, held.id) is not None, "the assignment stays, as an orphan"
    said = reason(account, caller, PULL, GROUP_ID)
    assert said is not None
    assert said.startswith("There is no principal")
    successor = identity(account, "caller")
    assert (successor.id, successor["principalId"] == caller["principalId"]) == (caller.id, False)
    assert reason(account, successor, PULL, GROUP_ID) is not None


def test_an_identity_of_a_resource_is_somebody_too(account: Account, caller: Resource) -> None:
    account.set(caller, identity={"type": "SystemAssigned", "principalId": CUSTOM, "tenantId": "t"})
    said = account.twin.azure.iam.allowed(CUSTOM, PULL, GROUP_ID)
    assert said is not None
    assert "it has no role there" in said


def test_what_was_decided_is_remembered_until_the_world_changes(
    account: Account, caller: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iam, "_REMEMBERED", 3)
    decide, asked = iam._decide, []

    def counted(state: iam._State, principal_id: str, action: str, scope: str, data: bool) -> str | None:
        asked.append(scope)
        return decide(state, principal_id, action, scope, data)

    monkeypatch.setattr(iam, "_decide", counted)
    for scope in ("a", "a", "b", "c", "d", "a"):
        assert reason(account, caller, PULL, f"{GROUP_ID}/{scope}") is not None
    assert [scope[-1] for scope in asked] == ["a", "b", "c", "d", "a"]
    assign(account, caller, "AcrPull", GROUP_ID)
    assert reason(account, caller, PULL, f"{GROUP_ID}/a") is None


@pytest.mark.parametrize(
    ("scope", "id_", "covered"),
    [("/", "/a/b", True), ("/a", "/A", True), ("a/", "/a/b", True), ("/a", "/ab", False), ("/a/b", "/a", False)],
)
def test_what_a_scope_covers(scope: str, id_: str, covered: bool) -> None:
    assert covers(scope, id_) is covered
