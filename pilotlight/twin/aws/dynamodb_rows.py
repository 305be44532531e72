"""DynamoDB: tables. They and their items are real, in the emulator; TTL deletes by the machine's clock, recovery is recorded only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

TABLE = "aws:dynamodb/table:Table"
ON_DEMAND = "PAY_PER_REQUEST"
# What the local twin does not run, and why it may not be passed over in silence.
_NOT_RUN = {
    "streamEnabled": "streams of tables",
    "replicas": "global tables",
    "globalTableWitness": "global tables",
    "importTable": "imports from S3",
    "restoreSourceName": "restores",
    "restoreSourceTableArn": "restores",
    "restoreBackupArn": "restores",
}


def _limits(inputs: Properties) -> list[str]:
    declared = [item.get("name") for item in inputs.get("attributes", []) if isinstance(item, Mapping)]
    keys = [inputs.get("hashKey"), inputs.get("rangeKey")]
    for index in [*inputs.get("globalSecondaryIndexes", []), *inputs.get("localSecondaryIndexes", [])]:
        keys += [index.get("hashKey"), index.get("rangeKey"), *(key.get("attributeName") for key in index.get("keySchemas") or [])]
    used = {key for key in keys if key}
    problems = [f"attributes: {name!r} is a key, so it must be among the attributes." for name in sorted(used - set(declared))]
    if unused := sorted(name for name in declared if name and name not in used):
        problems.append(f"attributes: all attributes must be indexed. Unused attributes: {unused}.")
    capacity = [name for name in ("readCapacity", "writeCapacity") if inputs.get(name)]
    if inputs.get("billingMode") == ON_DEMAND and capacity:
        problems.append(f"{', '.join(capacity)}: not allowed with billingMode {ON_DEMAND}.")
    if inputs.get("billingMode", "PROVISIONED") == "PROVISIONED" and len(capacity) < 2:
        problems.append("readCapacity, writeCapacity: both must be set and above 0 with billingMode PROVISIONED.")
    ttl = inputs.get("ttl") or {}
    if ttl.get("enabled") and not ttl.get("attributeName"):
        problems.append("ttl.attributeName: is missing and an enabled TTL needs it.")
    if inputs.get("localSecondaryIndexes") and not inputs.get("rangeKey"):
        problems.append("rangeKey: is missing and localSecondaryIndexes need it.")
    return [*problems, *(f"{name}: the local twin does not run {what}." for name, what in _NOT_RUN.items() if inputs.get(name))]


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:dynamodb:{inputs['region']}:{twin.account}:table/{inputs['name']}",
        "streamArn": "",
        "streamLabel": "",
        "streamViewType": "",
        "billingMode": inputs.get("billingMode", "PROVISIONED"),
        "readCapacity": inputs.get("readCapacity", 0),
        "writeCapacity": inputs.get("writeCapacity", 0),
        "deletionProtectionEnabled": inputs.get("deletionProtectionEnabled", False),
        "globalSecondaryIndexes": inputs.get("globalSecondaryIndexes", []),
        "pointInTimeRecovery": {"enabled": False, **(inputs.get("pointInTimeRecovery") or {})},
        "serverSideEncryption": {"enabled": False, "kmsKeyArn": "", **(inputs.get("serverSideEncryption") or {})},
        "tableClass": inputs.get("tableClass", "STANDARD"),
        "ttl": {"enabled": False, "attributeName": "", **(inputs.get("ttl") or {})},
    }


def _keys(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    keys = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return keys + ([{"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else [])


def _index(table: Resource, index: Mapping[str, Any]) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index["projectionType"]}
    if index.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = list(index["nonKeyAttributes"])
    schemas = [{"AttributeName": key["attributeName"], "KeyType": key["keyType"]} for key in index.get("keySchemas") or []]
    keys = schemas or _keys(index.get("hashKey") or table["hashKey"], index.get("rangeKey"))
    made = {"IndexName": index["name"], "KeySchema": keys, "Projection": projection}
    if "hashKey" in index and table["billingMode"] != ON_DEMAND:
        made["ProvisionedThroughput"] = _throughput(index)
    return made


def _throughput(properties: Any) -> dict[str, int]:
    return {"ReadCapacityUnits": int(properties.get("readCapacity") or 0), "WriteCapacityUnits": int(properties.get("writeCapacity") or 0)}


def _definitions(table: Resource) -> list[dict[str, str]]:
    return [{"AttributeName": item["name"], "AttributeType": item["type"]} for item in table["attributes"]]


def _create(twin: Twin, table: Resource) -> None:
    parameters: dict[str, Any] = {
        "TableName": table["name"],
        "KeySchema": _keys(table["hashKey"], table.get("rangeKey")),
        "AttributeDefinitions": _definitions(table),
        "BillingMode": table["billingMode"],
        "DeletionProtectionEnabled": table["deletionProtectionEnabled"],
        "TableClass": table["tableClass"],
    }
    if table["billingMode"] != ON_DEMAND:
        parameters["ProvisionedThroughput"] = _throughput(table)
    for name, indexes in (("Global", table.get("globalSecondaryIndexes")), ("Local", table.get("localSecondaryIndexes"))):
        if indexes:
            parameters[f"{name}SecondaryIndexes"] = [_index(table, index) for index in indexes]
    twin.tables.create(**parameters)
    if table["ttl"]["enabled"]:
        twin.tables.set_ttl(table["name"], table["ttl"]["attributeName"], enabled=True)
    if table["pointInTimeRecovery"]["enabled"]:
        twin.tables.set_recovery(table["name"], enabled=True)


def _update(twin: Twin, old: Resource, new: Resource) -> None:
    name, changes = str(new["name"]), {}
    if old["deletionProtectionEnabled"] != new["deletionProtectionEnabled"]:
        changes["DeletionProtectionEnabled"] = new["deletionProtectionEnabled"]
    if old["tableClass"] != new["tableClass"]:
        changes["TableClass"] = new["tableClass"]
    if old["billingMode"] != new["billingMode"] or _throughput(old) != _throughput(new):
        changes["BillingMode"] = new["billingMode"]
        if new["billingMode"] != ON_DEMAND:
            changes["ProvisionedThroughput"] = _throughput(new)
    if changes:
        twin.tables.update(name, **changes)
    before, after = ({index["name"]: index for index in side["globalSecondaryIndexes"]} for side in (old, new))
    for gone in [key for key in before if before[key] != after.get(key)]:
        twin.tables.update(name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": gone}}])
    for key in [key for key in after if before.get(key) != after[key]]:
        create = {"Create": _index(new, after[key])}
        twin.tables.update(name, AttributeDefinitions=_definitions(new), GlobalSecondaryIndexUpdates=[create])
    if old["ttl"] != new["ttl"]:
        # Turning it off names the attribute that was in use.
        attribute = new["ttl"]["attributeName"] or old["ttl"]["attributeName"]
        twin.tables.set_ttl(name, attribute, enabled=bool(new["ttl"]["enabled"]))
    if old["pointInTimeRecovery"]["enabled"] != new["pointInTimeRecovery"]["enabled"]:
        twin.tables.set_recovery(name, enabled=bool(new["pointInTimeRecovery"]["enabled"]))


def _delete(twin: Twin, table: Resource) -> None:
    live = twin.tables.describe(table["name"])
    if live is not None and live.get("DeletionProtectionEnabled"):
        text = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
        raise Refusal("ValidationException", text)
    twin.tables.delete(table["name"])


def _read(twin: Twin, table: Resource) -> dict[str, Any] | None:
    live = twin.tables.describe(table["name"])
    if live is None:
        return None
    ttl = live["TimeToLive"]
    enabled = ttl["TimeToLiveStatus"] == "ENABLED"
    return {
        **table.outputs,
        "billingMode": (live.get("BillingModeSummary") or {}).get("BillingMode", table["billingMode"]),
        "deletionProtectionEnabled": bool(live.get("DeletionProtectionEnabled")),
        "pointInTimeRecovery": {**table["pointInTimeRecovery"], "enabled": live["Recovery"]},
        "ttl": {"enabled": enabled, "attributeName": ttl.get("AttributeName", "") if enabled else table["ttl"]["attributeName"]},
    }


ROWS: tuple[Row, ...] = (
    Row(
        token=TABLE,
        id=lambda p: str(p["name"]),
        name=Name(field="name", max_length=255, pattern=r"[a-zA-Z0-9_.-]{3,255}"),
        replaces=frozenset({"name", "hashKey", "rangeKey", "localSecondaryIndexes", "region"}),
        computed=_computed,
        cfn="AWS::DynamoDB::Table",
        rename={
            "name": "TableName",
            "attributes": "AttributeDefinitions",
            "attributes.name": "AttributeDefinitions.AttributeName",
            "attributes.type": "AttributeDefinitions.AttributeType",
            "hashKey": "",
            "rangeKey": "",
            "ttl": "",
            "pointInTimeRecovery": "",
            "globalSecondaryIndexes": "",
            "localSecondaryIndexes": "",
            "onDemandThroughput": "",
            "warmThroughput": "",
        },
        limits=_limits,
        create=_create,
        update=_update,
        delete=_delete,
        read=_read,
    ),
)
INVOKES: tuple[Invoke, ...] = ()
