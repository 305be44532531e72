"""Storage accounts, and what is in them: containers, queues, tables, lifecycle rules. Blobs are `rows_blobs.py`."""

from __future__ import annotations

import base64
from typing import Any

from pilotlight.twin.azure import arm, storage_keys
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.storage_policies import policy_problems
from pilotlight.twin.azure.times import iso
from pilotlight.twin.azure.types import BLOB, CONTAINER, MANAGEMENT_POLICY, QUEUE, STORAGE_ACCOUNT, TABLE
from pilotlight.twin.forms import choice_problems
from pilotlight.twin.rows import Invoke, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

SERVED = ("blob", "queue", "table")
_NOT_SERVED = ("dfs", "file", "web")
# What only some accounts have: customers' own keys, a second region, a domain, a change under way.
_ABSENT = frozenset(
    (
        *("accountMigrationInProgress", "blobRestoreStatus", "customDomain", "failoverInProgress", "geoReplicationStats"),
        *("isSkuConversionBlocked", "keyPolicy", "lastGeoFailoverTime", "sasPolicy", "secondaryEndpoints", "secondaryLocation"),
        "statusOfSecondary",
    )
)
# Data Lake and its protocols, which Azurite does not have: a program that counts on them would find something else here.
_LAKE = ("isHnsEnabled", "isSftpEnabled", "enableNfsV3")
_CONTAINER_ABSENT = frozenset(
    ("deleted", "deletedTime", "immutabilityPolicy", "leaseDuration", "legalHold", "remainingRetentionDays", "version")
)


def account_of(twin: Twin, inputs: Properties) -> Resource:
    """The account that a resource is in. Refusal where there is none."""
    found = arm.find(twin.world, arm.id_of(STORAGE_ACCOUNT)(inputs))
    if found is None:
        name, group = inputs["accountName"], inputs["resourceGroupName"]
        text = f"The Resource 'Microsoft.Storage/storageAccounts/{name}' under resource group '{group}' was not found."
        raise Refusal("ResourceNotFound", text, 404)
    return found


def _account_limits(inputs: Properties) -> list[str]:
    return [f"{name}: the local twin has no Data Lake: leave it out." for name in _LAKE if inputs.get(name)]


def _account(twin: Twin, inputs: Properties) -> dict[str, Any]:
    name, sku = inputs["accountName"], inputs["sku"]
    served = {kind: f"{twin.azure.url(twin, kind, name)}/" for kind in SERVED}
    return {
        "accessTier": inputs.get("accessTier") or "Hot",
        "encryption": inputs.get("encryption")
        or {"keySource": "Microsoft.Storage", "services": {kind: _ENCRYPTED for kind in ("blob", "file")}},
        "networkRuleSet": inputs.get("networkRuleSet") or _OPEN,
        "primaryEndpoints": {**served, **{kind: f"https://{name}.{kind}.core.windows.net/" for kind in _NOT_SERVED}},
        "primaryLocation": inputs["location"],
        "sku": {**sku, "tier": str(sku["name"]).partition("_")[0]},
        "statusOfPrimary": "available",
    }


_ENCRYPTED = {"enabled": True, "keyType": "Account"}
_OPEN = {"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": []}


def _account_made(twin: Twin, inputs: Properties) -> dict[str, Any]:
    now = iso(twin.clock.now())
    return {"creationTime": now, "keyCreationTime": dict.fromkeys(storage_keys.NAMES, now)}


def _forget_blobs(twin: Twin, account: str, container: str | None = None) -> None:
    """Blobs go with what they are in; their ids do not tell."""
    where = {"accountName": account} if container is None else {"accountName": account, "containerName": container}
    for one in twin.world.find(BLOB):
        if all(one.inputs[name] == value for name, value in where.items()):
            twin.world.delete(BLOB, one.id)


def _container_limits(inputs: Properties) -> list[str]:
    if inputs.get("publicAccess") in (None, "None"):
        return []
    return ["publicAccess: the local twin lets nobody read without a token: use None."]


def _container(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "etag": f'"0x{int(twin.clock.now() * 10_000_000):X}"',
        "lastModifiedTime": iso(twin.clock.now()),
        "publicAccess": inputs.get("publicAccess") or "None",
        "hasImmutabilityPolicy": False,
        "hasLegalHold": False,
        "leaseState": "Available",
        "leaseStatus": "Unlocked",
    }


def _list_keys(twin: Twin, args: Properties) -> dict[str, Any]:
    """Keys are told where they open nothing, too."""
    account = account_of(twin, args)
    found = [
        {"creationTime": account["keyCreationTime"][name], "keyName": name, "permissions": "FULL", "value": base64.b64encode(key).decode()}
        for name, key in zip(storage_keys.NAMES, storage_keys.keys(twin, account), strict=True)
    ]
    return {"keys": found}


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=STORAGE_ACCOUNT,
            id=arm.id_of(STORAGE_ACCOUNT),
            # pulumi-azure-native 3.29, forceNewTypes.
            replaces=frozenset({"isHnsEnabled"}),
            limits=_account_limits,
            assigned=_account_made,
            computed=_account,
            delete=lambda twin, resource: _forget_blobs(twin, resource["name"]),
        ),
        absent=_ABSENT,
    ),
    azure(
        Row(
            token=CONTAINER,
            id=arm.id_of(CONTAINER),
            limits=_container_limits,
            computed=_container,
            delete=lambda twin, resource: _forget_blobs(twin, resource.inputs["accountName"], resource["name"]),
        ),
        absent=_CONTAINER_ABSENT,
    ),
    azure(Row(token=QUEUE, id=arm.id_of(QUEUE), computed=lambda twin, inputs: {"approximateMessageCount": 0})),
    azure(Row(token=TABLE, id=arm.id_of(TABLE), computed=lambda twin, inputs: {"tableName": inputs["tableName"]})),
    azure(
        Row(
            token=MANAGEMENT_POLICY,
            id=arm.id_of(MANAGEMENT_POLICY),
            limits=lambda inputs: [
                *choice_problems("managementPolicyName", inputs.get("managementPolicyName"), ("default",)),
                *policy_problems(inputs.get("policy") or {}),
            ],
            computed=lambda twin, inputs: {"policy": inputs["policy"], "lastModifiedTime": iso(twin.clock.now())},
        )
    ),
)
INVOKES: tuple[Invoke, ...] = (
    Invoke(token="azure-native:storage:listStorageAccountKeys", answer=_list_keys, secrets=frozenset({"keys"})),  # noqa: S106 (a type)
)
