"""Accounts of Cosmos DB for Table, their tables and their roles, as a provider makes them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from pilotlight.twin.azure import cosmos_entities, cosmos_rights
from pilotlight.twin.azure.types import COSMOS_ACCOUNT, COSMOS_ASSIGNMENT, COSMOS_ROLE, COSMOS_TABLE, GROUP
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, PORT, Account
from tests.parts.twin.azure.people import identity

PLACE = {"locationName": "westeurope", "failoverPriority": 0, "isZoneRedundant": False}
GIVEN: dict[str, Any] = {
    **IN_GROUP,
    "accountName": "mine",
    "databaseAccountOfferType": "Standard",
    "capabilities": [{"name": "EnableServerless"}, {"name": "EnableTable"}],
    "locations": [PLACE],
}
INSIDE = {**IN_GROUP, "accountName": "mine"}
READ = "Microsoft.DocumentDB/databaseAccounts/tables/containers/entities/read"
ROLE_ID, ASSIGNMENT_ID = (str(uuid.UUID(int=number)) for number in (7, 8))


@pytest.fixture
def there(account: Account) -> Resource:
    account.group()
    return account.make(COSMOS_ACCOUNT, "mine", GIVEN)


def role_of(there: Resource, **more: Any) -> dict[str, Any]:
    told = {"roleDefinitionId": ROLE_ID, "roleName": "reads", "assignableScopes": [there.id], "permissions": [{"dataActions": [READ]}]}
    return {**INSIDE, **told, **more}


def test_an_account_tells_where_it_is_and_what_azure_fills_in(account: Account, there: Resource) -> None:
    assert there.id == f"{GROUP_ID}/providers/Microsoft.DocumentDB/databaseAccounts/mine"
    # Azure's own client takes this host for Cosmos DB.
    assert there["documentEndpoint"] == f"https://localhost:{PORT}/cosmos/mine/"
    assert there["consistencyPolicy"]["defaultConsistencyLevel"] == "Session"
    assert there["writeLocations"][0]["locationName"] == "westeurope"
    table = account.make(COSMOS_TABLE, "t", {**INSIDE, "tableName": "results", "resource": {"id": "results"}})
    assert table.id == f"{there.id}/tables/results"


def test_a_name_is_the_only_one_in_the_world(account: Account, there: Resource) -> None:
    account.make(GROUP, "other", {"resourceGroupName": "other"})
    with pytest.raises(Refusal, match="AlreadyInUse"):
        account.make(COSMOS_ACCOUNT, "other", {**GIVEN, "resourceGroupName": "other"})


@pytest.mark.parametrize(
    ("token", "inputs", "said"),
    [
        (COSMOS_ACCOUNT, {**GIVEN, "accountName": "Mine"}, "accountName: 'Mine'"),
        (COSMOS_ACCOUNT, {**GIVEN, "capabilities": [{"name": "EnableTable"}]}, "capabilities: ['EnableTable']"),
        (COSMOS_ACCOUNT, {**GIVEN, "locations": [PLACE, {**PLACE, "locationName": "northeurope"}]}, "locations: a serverless account"),
        (COSMOS_ACCOUNT, {**GIVEN, "kind": "MongoDB"}, "kind"),
        (COSMOS_ACCOUNT, {**GIVEN, "enableMultipleWriteLocations": True}, "enableMultipleWriteLocations"),
        (COSMOS_ACCOUNT, {**GIVEN, "tags": {f"t{n}": "x" for n in range(16)}}, "tags: there are 16: use at most 15"),
        (COSMOS_TABLE, {**INSIDE, "tableName": "a-b", "resource": {"id": "a-b"}}, "tableName: 'a-b'"),
        (COSMOS_TABLE, {**INSIDE, "tableName": "rows", "resource": {"id": "others"}}, "resource.id: 'others'"),
        (COSMOS_TABLE, {**INSIDE, "tableName": "rows", "resource": {"id": "rows"}, "options": {"throughput": 400}}, "options"),
        (COSMOS_ROLE, {**INSIDE, "roleDefinitionId": "mine", "roleName": "x"}, "roleDefinitionId: 'mine'"),
        (COSMOS_ROLE, {**INSIDE, "roleDefinitionId": ROLE_ID, "roleName": "x"}, "permissions: permit nothing"),
        (
            COSMOS_ROLE,
            {**INSIDE, "roleDefinitionId": ROLE_ID, "roleName": "x", "permissions": [{"dataActions": ["*"]}]},
            "permissions[0].dataActions: '*'",
        ),
        (
            COSMOS_ROLE,
            {**INSIDE, "roleDefinitionId": ROLE_ID, "roleName": "x", "permissions": [{"dataActions": [READ], "notDataActions": [READ]}]},
            "notDataActions",
        ),
    ],
)
def test_inputs_that_azure_or_the_twin_would_not_take(account: Account, token: str, inputs: dict[str, Any], said: str) -> None:
    assert any(said in text for text in account.check(token, "x", inputs)[1])


def test_a_role_is_of_its_account_and_is_given_to_somebody_there_is(account: Account, there: Resource) -> None:
    with pytest.raises(Refusal, match=r"assignableScopes: .* does not lie in the account"):
        account.make(COSMOS_ROLE, "wide", role_of(there, assignableScopes=[GROUP_ID]))
    role, who = account.make(COSMOS_ROLE, "reads", role_of(there)), identity(account, "reader")
    with pytest.raises(Refusal, match="exists already"):
        account.make(COSMOS_ROLE, "again", role_of(there, roleDefinitionId=str(uuid.UUID(int=9))))
    given = {**INSIDE, "roleAssignmentId": ASSIGNMENT_ID, "roleDefinitionId": role.id, "scope": there.id, "principalId": who["principalId"]}
    for broken, said in (
        ({"principalId": str(uuid.uuid4())}, "was not found in the directory"),
        ({"scope": GROUP_ID}, "does not lie in the account"),
        ({"roleDefinitionId": f"{there.id}2/tableRoleDefinitions/{ROLE_ID}"}, "none of the account"),
    ):
        with pytest.raises(Refusal, match=said):
            account.make(COSMOS_ASSIGNMENT, "broken", {**given, **broken})
    made = account.make(COSMOS_ASSIGNMENT, "given", given)
    with pytest.raises(Refusal, match="has that role there already"):
        account.make(COSMOS_ASSIGNMENT, "twice", {**given, "roleAssignmentId": str(uuid.UUID(int=10))})
    principal = str(who["principalId"])
    assert cosmos_rights.refusal(account.world, principal, there, "rows", [READ]) is None
    assert "does not have required RBAC permissions" in str(cosmos_rights.refusal(account.world, principal, there, "rows", [READ, "x"]))
    with pytest.raises(Refusal, match="The role is assigned"):
        account.delete(role)
    account.delete(made)
    assert cosmos_rights.refusal(account.world, principal, there, "rows", [READ])


def test_a_role_of_ones_own_has_not_drifted_though_azure_calls_its_kind_type_too(account: Account, there: Resource) -> None:
    made = account.make(COSMOS_ROLE, "role", role_of(there, type="CustomRole"))
    found = account.life.read(COSMOS_ROLE, made.id, made.urn, made.inputs)
    assert found is not None
    assert (found[0]["type"], found[1]) == ("Microsoft.DocumentDB/databaseAccounts/tableRoleDefinitions", made.inputs)


def test_the_built_in_roles_are_in_every_account(account: Account, there: Resource) -> None:
    who = identity(account, "reader")
    reader = f"{there.id}/tableRoleDefinitions/00000000-0000-0000-0000-000000000001"
    given = {**INSIDE, "roleAssignmentId": ASSIGNMENT_ID, "roleDefinitionId": reader, "scope": there.id}
    account.make(COSMOS_ASSIGNMENT, "given", {**given, "principalId": who["principalId"]})
    principal = str(who["principalId"])
    assert cosmos_rights.refusal(account.world, principal, there, "", [cosmos_rights.METADATA, READ, cosmos_rights.QUERY]) is None
    assert cosmos_rights.refusal(account.world, principal, there, "rows", [cosmos_rights.TRANSACTION])


@pytest.mark.parametrize(
    ("method", "path", "headers", "action"),
    [
        ("GET", "rows(PartitionKey='p',RowKey='r')", {}, "entities/read"),
        ("GET", "rows()", {}, "containers/executeQuery"),
        ("POST", "rows", {}, "entities/create"),
        ("PUT", "rows(PartitionKey='p',RowKey='r')", {"if-match": "*"}, "entities/replace"),
        ("PUT", "rows(PartitionKey='p',RowKey='r')", {}, "entities/upsert"),
        ("POST", "rows(PartitionKey='p',RowKey='r')", {"x-http-method": "MERGE", "if-match": "*"}, "entities/replace"),
        ("POST", "rows(PartitionKey='p',RowKey='r')", {"x-http-method": "MERGE"}, "entities/upsert"),
        ("DELETE", "rows(PartitionKey='p',RowKey='r')", {"if-match": "*"}, "entities/delete"),
        ("POST", "Tables", {}, "tables/write"),
        ("DELETE", "Tables('rows')", {}, "tables/delete"),
    ],
)
def test_each_request_takes_its_action(method: str, path: str, headers: dict[str, str], action: str) -> None:
    assert cosmos_rights.wanted(method, path, headers)[1][-1].endswith(f"/{action}")


def test_a_patch_is_none_of_its_verbs() -> None:
    with pytest.raises(Refusal, match="X-HTTP-Method"):
        cosmos_rights.wanted("PATCH", "rows(PartitionKey='p',RowKey='r')", {})


def test_entities_are_those_of_azure_storage_and_less() -> None:
    cosmos_entities.check(b'{"PartitionKey": "p", "RowKey": "r", "objectEtag": "x"}')
    for body in (b'{"RowKey": "%s"}' % (b"r" * 256), b'{"PartitionKey": "%s"}' % (b"p" * 102), b'{"ETag": "x"}'):
        with pytest.raises(Refusal):
            cosmos_entities.check(body)
