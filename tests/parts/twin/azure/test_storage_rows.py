"""Storage accounts and what is in them, as a provider makes them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pilotlight.twin.azure import invokes, storage_keys
from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.azure.types import BLOB, CONTAINER, GROUP, MANAGEMENT_POLICY, QUEUE, STORAGE_ACCOUNT, TABLE
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, PORT, Account

GIVEN = {**IN_GROUP, "accountName": "mine", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
INSIDE = {**IN_GROUP, "accountName": "mine"}


@pytest.fixture
def there(account: Account) -> Resource:
    account.group()
    return account.make(STORAGE_ACCOUNT, "mine", GIVEN)


def test_an_account_tells_where_it_is_and_what_azure_fills_in(there: Resource) -> None:
    assert there.id == f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/mine"
    ends = there["primaryEndpoints"]
    assert ends["blob"] == f"https://127.0.0.1:{PORT}/blob/mine/"
    assert ends["dfs"] == "https://mine.dfs.core.windows.net/"
    assert there["sku"] == {"name": "Standard_LRS", "tier": "Standard"}
    assert (there["accessTier"], there["primaryLocation"]) == ("Hot", "westeurope")
    assert there["networkRuleSet"]["defaultAction"] == "Allow"


def test_what_is_in_it_has_azures_ids(account: Account, there: Resource) -> None:
    made = [
        account.make(CONTAINER, "c", {**INSIDE, "containerName": "models"}),
        account.make(QUEUE, "q", {**INSIDE, "queueName": "work"}),
        account.make(TABLE, "t", {**INSIDE, "tableName": "results"}),
        account.make(BLOB, "b", {**INSIDE, "containerName": "models", "blobName": "a/ü"}),
    ]
    assert [one.id.removeprefix(there.id) for one in made] == [
        "/blobServices/default/containers/models",
        "/queueServices/default/queues/work",
        "/tableServices/default/tables/results",
        "https://mine.blob.core.windows.net/models/a/ü",
    ]
    assert (made[3]["url"], made[3]["type"]) == (f"https://127.0.0.1:{PORT}/blob/mine/models/a/%C3%BC", "Block")


def test_a_name_is_the_only_one_in_the_world(account: Account, there: Resource) -> None:
    account.make(GROUP, "other", {"resourceGroupName": "other"})
    with pytest.raises(Refusal, match="AlreadyInUse"):
        account.make(STORAGE_ACCOUNT, "other", {**GIVEN, "resourceGroupName": "other"})


@pytest.mark.parametrize(
    ("token", "inputs", "said"),
    [
        (STORAGE_ACCOUNT, {**GIVEN, "accountName": "My-Account"}, "accountName: 'My-Account'"),
        (STORAGE_ACCOUNT, {**GIVEN, "isHnsEnabled": True}, "isHnsEnabled"),
        (CONTAINER, {**INSIDE, "containerName": "in"}, "containerName: 'in'"),
        (CONTAINER, {**INSIDE, "containerName": "models", "publicAccess": "Blob"}, "publicAccess"),
        (QUEUE, {**INSIDE, "queueName": "a--b"}, "queueName: 'a--b'"),
        (TABLE, {**INSIDE, "tableName": "a-b"}, "tableName: 'a-b'"),
        (BLOB, {**INSIDE, "containerName": "models", "blobName": "x" * 1025}, "blobName: has 1025"),
        (BLOB, {**INSIDE, "containerName": "models", "blobName": "a/"}, "blobName: 'a/'"),
        (BLOB, {**INSIDE, "containerName": "models", "blobName": "a", "type": "Append"}, "block blobs only"),
        (MANAGEMENT_POLICY, {**INSIDE, "managementPolicyName": "mine", "policy": {"rules": []}}, "managementPolicyName: 'mine'"),
    ],
)
def test_inputs_that_azure_or_the_twin_would_not_take(account: Account, token: str, inputs: dict[str, Any], said: str) -> None:
    assert any(said in text for text in account.check(token, "x", inputs)[1])


def test_blobs_need_a_container_and_an_account_with_keys(account: Account, there: Resource) -> None:
    inside = {**INSIDE, "containerName": "models", "blobName": "a"}
    with pytest.raises(Refusal, match="ContainerNotFound"):
        account.make(BLOB, "b", inside)
    account.make(CONTAINER, "c", {**INSIDE, "containerName": "models"})
    account.make(STORAGE_ACCOUNT, "closed", {**GIVEN, "accountName": "closed", "allowSharedKeyAccess": False})
    account.make(CONTAINER, "d", {**INSIDE, "accountName": "closed", "containerName": "models"})
    with pytest.raises(Refusal, match="KeyBasedAuthenticationNotPermitted"):
        account.make(BLOB, "b", {**inside, "accountName": "closed"})
    with pytest.raises(Refusal, match="ResourceNotFound"):
        account.make(BLOB, "b", {**inside, "accountName": "missing"})


def test_blobs_go_with_their_container_and_containers_with_their_account(account: Account, there: Resource) -> None:
    account.make(CONTAINER, "c", {**INSIDE, "containerName": "models"})
    account.make(CONTAINER, "d", {**INSIDE, "containerName": "others"})
    for place in ("models", "others"):
        account.make(BLOB, place, {**INSIDE, "containerName": place, "blobName": "a"})
    models = account.world.one(CONTAINER, name="models")
    assert models is not None
    account.delete(models)
    assert [one.inputs["containerName"] for one in account.world.find(BLOB)] == ["others"]
    account.delete(there)
    assert [one for kind in (CONTAINER, BLOB) for one in account.world.find(kind)] == []


def test_an_accounts_keys_are_told(account: Account, there: Resource) -> None:
    asked = {**IN_GROUP, "accountName": "mine", "subscriptionId": SUBSCRIPTION}
    told = invokes()["azure-native:storage:listStorageAccountKeys"].answer(account.twin, asked)
    assert [one["keyName"] for one in told["keys"]] == ["key1", "key2"]
    assert [base64.b64decode(one["value"]) for one in told["keys"]] == storage_keys.keys(account.twin, there)
    with pytest.raises(Refusal, match="not found"):
        invokes()["azure-native:storage:listStorageAccountKeys"].answer(account.twin, {**asked, "accountName": "missing"})
