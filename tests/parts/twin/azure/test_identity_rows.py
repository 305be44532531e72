"""Identities, roles and assignments: what Azure gives them, and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pilotlight.twin.azure.account import PRINCIPAL, SUBSCRIPTION, TENANT
from pilotlight.twin.azure.types import IDENTITY, ROLE_ASSIGNMENT, ROLE_DEFINITION
from pilotlight.twin.lifecycle import UnknownType
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.people import assign, assignment, identity, role_id

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
CUSTOM = "6d1f4a52-6a0f-4c1b-9a69-0d1f2a3b4c5d"
ROLE: dict[str, Any] = {
    "scope": GROUP_ID,
    "roleDefinitionId": CUSTOM,
    "roleName": "Tried",
    "permissions": [{"actions": ["Microsoft.App/containerApps/read"]}],
    "assignableScopes": [GROUP_ID],
}


@pytest.fixture
def caller(account: Account) -> Resource:
    account.group()
    return identity(account, "caller")


def problems(account: Account, token: str, inputs: dict[str, Any]) -> list[str]:
    return account.check(token, "tried", inputs)[1]


def test_an_identity_has_ids_of_its_own(account: Account, caller: Resource) -> None:
    assert caller.id == f"{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/caller"
    assert all(GUID.fullmatch(caller[key]) for key in ("principalId", "clientId"))
    assert caller["principalId"] != caller["clientId"]
    assert (caller["tenantId"], caller["location"], caller["type"]) == (
        TENANT,
        "westeurope",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
    )
    tagged = account.change(caller, {"tags": {"a": "b"}})
    assert (tagged["principalId"], tagged["tags"]) == (caller["principalId"], {"a": "b"})


def test_an_identity_without_its_group_or_with_a_bad_name_is_refused(account: Account) -> None:
    assert account.refused(IDENTITY, {**IN_GROUP, "resourceName": "caller"}).startswith("ResourceGroupNotFound")
    assert problems(account, IDENTITY, {**IN_GROUP, "resourceName": "a b c"})[0].startswith("resourceName: 'a b c' is not allowed")


def test_federated_credentials_are_refused_by_name(account: Account, caller: Resource) -> None:
    token = "azure-native:managedidentity:FederatedIdentityCredential"
    with pytest.raises(UnknownType, match=re.escape(token)):
        account.make(token, "github", {**IN_GROUP, "resourceName": "caller", "issuer": "https://x", "subject": "y", "audiences": ["z"]})


def test_an_assignment_is_at_its_scope(account: Account, caller: Resource) -> None:
    held = assign(account, caller, "AcrPull", GROUP_ID)
    assert held.id == f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments/{held['name']}"
    assert (held["createdBy"], held["scope"], held["principalType"]) == (PRINCIPAL, GROUP_ID, "ServicePrincipal")
    described = account.change(held, {"description": "pulls"})
    assert (described["description"], described["createdOn"]) == ("pulls", held["createdOn"])


def test_without_a_name_an_assignment_gets_a_guid_and_keeps_it(account: Account, caller: Resource) -> None:
    given = assignment(caller, "AcrPull", GROUP_ID, {"roleAssignmentName": None})
    first, _ = account.check(ROLE_ASSIGNMENT, "pull", given)
    assert GUID.fullmatch(first["roleAssignmentName"])
    again, _ = account.check(ROLE_ASSIGNMENT, "pull", given, first)
    assert again["roleAssignmentName"] == first["roleAssignmentName"]
    assert account.check(ROLE_ASSIGNMENT, "other", given)[0]["roleAssignmentName"] != first["roleAssignmentName"]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"principalId": CUSTOM}, "PrincipalNotFound", f"does not exist in the directory {TENANT}"),
        ({"principalType": "User"}, "UnmatchedPrincipalType", "Set principal_type='ServicePrincipal'"),
        ({"principalType": None}, "UnmatchedPrincipalType", "Set principal_type='ServicePrincipal'"),
        (
            {"roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{CUSTOM}"},
            "RoleDefinitionDoesNotExist",
            "AcrPull (7f951dda-4ed3-4680-a7ca-43fe172d538d)",
        ),
        ({"scope": f"{GROUP_ID}-more"}, "ResourceNotFound", "was not found"),
        ({"scope": f"/subscriptions/{CUSTOM}"}, "LinkedInvalidPropertyId", "below the subscription"),
    ],
)
def test_what_azure_refuses_of_an_assignment(account: Account, caller: Resource, given: dict[str, Any], code: str, said: str) -> None:
    refused = account.refused(ROLE_ASSIGNMENT, assignment(caller, "AcrPull", GROUP_ID, given))
    assert (refused.split(": ")[0], said in refused) == (code, True), refused


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"roleAssignmentName": "pull"}, "roleAssignmentName: 'pull' is not allowed: use 36 to 36 characters of a GUID."),
        ({"principalId": "caller"}, "principalId: 'caller' is not allowed: use the object id of a principal"),
        ({"roleDefinitionId": CUSTOM}, f"roleDefinitionId: '{CUSTOM}' is not allowed: use a role definition's id"),
        ({"condition": "@Resource[x] StringEquals 'y'", "conditionVersion": "2.0"}, "condition: the local twin does not model conditions"),
        ({"delegatedManagedIdentityResourceId": "/x"}, "delegatedManagedIdentityResourceId: the local twin does not model assignments"),
    ],
)
def test_what_is_seen_before_anything_is_made(account: Account, caller: Resource, given: dict[str, Any], said: str) -> None:
    found = problems(account, ROLE_ASSIGNMENT, assignment(caller, "AcrPull", GROUP_ID, given))
    assert [one[: len(said)] for one in found] == [said]


def test_nobody_has_one_role_at_one_place_twice(account: Account, caller: Resource) -> None:
    held = assign(account, caller, "AcrPull", GROUP_ID)
    twice = assignment(caller, "AcrPull", GROUP_ID.upper(), {"roleAssignmentName": CUSTOM})
    refused = account.refused(ROLE_ASSIGNMENT, twice)
    assert (refused.split(": ")[0], held["name"].replace("-", "") in refused) == ("RoleAssignmentExists", True), refused
    account.delete(held)
    account.make(ROLE_ASSIGNMENT, "again", twice)


def test_one_name_is_one_assignment(account: Account, caller: Resource) -> None:
    held = assign(account, caller, "AcrPull", GROUP_ID)
    elsewhere = assignment(caller, "AcrPull", f"/subscriptions/{SUBSCRIPTION}", {"roleAssignmentName": held["name"]})
    assert account.refused(ROLE_ASSIGNMENT, elsewhere).startswith("RoleAssignmentUpdateNotPermitted")
    with pytest.raises(Refusal, match="RoleAssignmentUpdateNotPermitted"):
        account.change(held, {"roleDefinitionId": role_id("AcrPush")})


def test_another_principal_makes_another_assignment(account: Account, caller: Resource) -> None:
    held, other = assign(account, caller, "AcrPull", GROUP_ID), identity(account, "other")
    news = {**held.inputs, "principalId": other["principalId"]}
    found = account.life.diff(held.token, held.id, held.outputs, held.inputs, news, account.settings)
    assert (found.replaces, found.delete_first) == ({"principalId"}, True), "one name is one assignment"
    unnamed = {**held.inputs, "__defaults": ["roleAssignmentName"]}
    assert not account.life.diff(held.token, held.id, held.outputs, unnamed, {**unnamed, **news}, account.settings).delete_first


def test_the_developer_is_a_user(account: Account, caller: Resource) -> None:
    inputs = assignment(caller, "Storage Blob Data Contributor", GROUP_ID, {"principalId": PRINCIPAL})
    assert "has type 'User'" in account.refused(ROLE_ASSIGNMENT, inputs)
    account.make(ROLE_ASSIGNMENT, "mine", {**inputs, "principalType": "User"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"roleName": None}, "roleName: is missing"),
        ({"assignableScopes": []}, "assignableScopes: is missing or empty"),
        ({"permissions": []}, "permissions: permit nothing"),
        ({"permissions": [{"notActions": ["*"]}]}, "permissions: permit nothing"),
        ({"permissions": [{"actions": ["read everything"]}]}, "permissions[0].actions: 'read everything' is no action"),
        ({"roleDefinitionId": "tried"}, "roleDefinitionId: 'tried' is not allowed"),
    ],
)
def test_what_is_wrong_with_a_role(account: Account, given: dict[str, Any], said: str) -> None:
    found = problems(account, ROLE_DEFINITION, {**ROLE, **given})
    assert [one[: len(said)] for one in found] == [said]


def test_a_role_has_a_name_of_its_own_and_places_that_are_there(account: Account, caller: Resource) -> None:
    account.make(ROLE_DEFINITION, "tried", ROLE)
    other = {**ROLE, "roleDefinitionId": CUSTOM.replace("6", "7")}
    assert account.refused(ROLE_DEFINITION, other).startswith("RoleDefinitionWithSameNameExists")
    assert account.refused(ROLE_DEFINITION, {**other, "roleName": "reader"}).startswith("RoleDefinitionWithSameNameExists")
    away = {**other, "roleName": "Other", "assignableScopes": [f"{GROUP_ID}-more"]}
    assert account.refused(ROLE_DEFINITION, away).startswith("LinkedInvalidPropertyId")


def test_a_role_is_assigned_where_it_may_be_and_stays_while_it_is(account: Account, caller: Resource) -> None:
    role = account.make(ROLE_DEFINITION, "tried", ROLE)
    above = assignment(caller, role.id, f"/subscriptions/{SUBSCRIPTION}")
    assert "its assignableScopes are" in account.refused(ROLE_ASSIGNMENT, above)
    held = assign(account, caller, role.id, GROUP_ID)
    with pytest.raises(Refusal, match="RoleDefinitionHasAssignments"):
        account.delete(role)
    account.delete(held)
    account.delete(role)
    assert account.refused(ROLE_ASSIGNMENT, assignment(caller, role.id, GROUP_ID)).startswith("RoleDefinitionDoesNotExist")
