"""Storage accounts of one twin and the real clients of their services, for tests."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from pilotlight.twin.azure.types import (
    CONTAINER,
    COSMOS_ACCOUNT,
    COSMOS_ASSIGNMENT,
    COSMOS_ROLE,
    COSMOS_TABLE,
    QUEUE,
    STORAGE_ACCOUNT,
    TABLE,
)
from pilotlight.twin.world import Resource
from tests.twin.azure.harness import IN_GROUP, AzureHarness

_NUMBERS = itertools.count()
CLIENTS = {"blob": BlobServiceClient, "queue": QueueServiceClient, "table": TableServiceClient}


class Credential:
    """What azure-identity gives an app: tokens of one identity, of the developer for None."""

    def __init__(self, harness: AzureHarness, who: Resource | None) -> None:
        self._harness, self._who = harness, who

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        resource = scopes[0].removesuffix("/.default")
        return AccessToken(self._harness.token(self._who, resource), int(time.time()) + 3600)


def account(harness: AzureHarness, **more: Any) -> Resource:
    """A new account, as a program would make it."""
    name = f"tried{next(_NUMBERS)}x"
    given = {"kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "allowSharedKeyAccess": False, "minimumTlsVersion": "TLS1_2"}
    return harness.make(STORAGE_ACCOUNT, name, **IN_GROUP, accountName=name, **{**given, **more})


def client(harness: AzureHarness, stored: Resource, service: str, who: Resource | None = None, **more: Any) -> Any:
    """The service's own client, with tokens of an identity unless `credential` is given; it does not try again."""
    credential = more.pop("credential", Credential(harness, who))
    address = stored["primaryEndpoints"][service]
    return CLIENTS[service](address, credential=credential, connection_verify=harness.ca_file, retry_total=0, **more)


def container(harness: AzureHarness, stored: Resource, name: str) -> Any:
    harness.make(CONTAINER, name, **IN_GROUP, accountName=stored["name"], containerName=name)
    return client(harness, stored, "blob").get_container_client(name)


def queue(harness: AzureHarness, stored: Resource, name: str) -> Any:
    harness.make(QUEUE, name, **IN_GROUP, accountName=stored["name"], queueName=name)
    return client(harness, stored, "queue").get_queue_client(name)


def table(harness: AzureHarness, stored: Resource, name: str) -> Any:
    harness.make(TABLE, name, **IN_GROUP, accountName=stored["name"], tableName=name)
    return client(harness, stored, "table").get_table_client(name)


def cosmos_account(harness: AzureHarness, **more: Any) -> Resource:
    """A new account of Cosmos DB for Table, as a program would make it."""
    name = f"tried{next(_NUMBERS)}x"
    given = {
        "databaseAccountOfferType": "Standard",
        "kind": "GlobalDocumentDB",
        "capabilities": [{"name": "EnableServerless"}, {"name": "EnableTable"}],
        "consistencyPolicy": {"defaultConsistencyLevel": "Strong"},
        "locations": [{"locationName": "westeurope", "failoverPriority": 0, "isZoneRedundant": False}],
        "disableLocalAuth": True,
    }
    return harness.make(COSMOS_ACCOUNT, name, **IN_GROUP, accountName=name, **{**given, **more})


def cosmos_client(harness: AzureHarness, there: Resource, who: Resource | None = None, **more: Any) -> Any:
    """Azure's own client of an account's tables, told nothing but the address that the account tells."""
    credential = more.pop("credential", Credential(harness, who))
    options = {"connection_verify": harness.ca_file, "retry_total": 0, **more}
    return TableServiceClient(there["documentEndpoint"].rstrip("/"), credential=credential, **options)


def cosmos_table(harness: AzureHarness, there: Resource, name: str) -> Any:
    harness.make(COSMOS_TABLE, f"{there['name']}-{name}", **IN_GROUP, accountName=there["name"], tableName=name, resource={"id": name})
    return cosmos_client(harness, there).get_table_client(name)


def cosmos_grant(harness: AzureHarness, there: Resource, who: Resource, actions: Sequence[str]) -> tuple[Resource, Resource]:
    """A role of the account's own, for one identity."""
    inside, key = {**IN_GROUP, "accountName": there["name"]}, f"{there['name']}-{next(_NUMBERS)}"
    role = harness.make(
        COSMOS_ROLE,
        f"{key}-role",
        **inside,
        roleDefinitionId=str(uuid.uuid4()),
        roleName=key,
        assignableScopes=[there.id],
        permissions=[{"dataActions": list(actions)}],
    )
    given = {"roleAssignmentId": str(uuid.uuid4()), "roleDefinitionId": role.id, "principalId": who["principalId"], "scope": there.id}
    return role, harness.make(COSMOS_ASSIGNMENT, key, **inside, **given)


def code_of(call: Callable[[], Any]) -> tuple[int, str]:
    """The status and the code of Azure's that a call fails with."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    code = getattr(caught.value, "error_code", None)
    return caught.value.status_code or 0, str(getattr(code, "value", code))
