"""What Cosmos DB for Table takes of an entity, where that is less than Azure Table storage does.

Sources (read 2026-11): "Frequently asked questions about Azure Cosmos DB for Table" (row keys, reserved names, transactions), "Azure Cosmos
DB service quotas" (items, partition keys: 101 bytes where a table has no large ones, which nobody says of a new one, so none is taken).
"""

from __future__ import annotations

import json

from pilotlight.twin.azure.storage_entities import check_entity
from pilotlight.twin.rows import Refusal

ROW_KEY, PARTITION_KEY = 255, 101
RESERVED = frozenset({"id", "rid", "etag", "resourceid"})
TRANSACTION_BYTES = 2 * 1024 * 1024


def check(body: bytes) -> None:
    """Refusal (400) for an entity that is not taken. Anything else is Azurite's to judge."""
    check_entity(body)
    try:
        entity = json.loads(body)
    except ValueError:
        return
    if not isinstance(entity, dict):
        return
    for key, most in (("RowKey", ROW_KEY), ("PartitionKey", PARTITION_KEY)):
        if (size := len(str(entity.get(key, "")).encode())) > most:
            raise Refusal("KeyValueTooLarge", f"{key} has {size} bytes: Cosmos DB for Table takes {most}.")
    if reserved := [name for name in entity if name.lower() in RESERVED]:
        raise Refusal("PropertyNameInvalid", f"The property {reserved[0]} has a name that Cosmos DB keeps for itself.")
