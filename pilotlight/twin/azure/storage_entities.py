"""Limits of tables that Azurite does not know (Table service REST documentation, "Understanding the Table service data model" and
"Performing entity group transactions", read 2026-11)."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.twin.rows import Refusal

ENTITY_BYTES = 1024 * 1024
PROPERTIES = 252
PROPERTY_BYTES = 64 * 1024
TRANSACTION_OPERATIONS = 100
TRANSACTION_BYTES = 4 * 1024 * 1024
# Keys and the time are no properties of the program's.
_SYSTEM = ("PartitionKey", "RowKey", "Timestamp")
_ODATA = "@odata."
# Bytes of a value by its type in JSON, or by what `NAME@odata.type` says.
_BYTES = {"Edm.Boolean": 1, "Edm.DateTime": 8, "Edm.Double": 8, "Edm.Guid": 16, "Edm.Int32": 4, "Edm.Int64": 8}


def check_entity(body: bytes) -> None:
    """Refusal for an entity that is larger, or has more properties, than Azure takes. Anything else is Azurite's to judge."""
    try:
        entity = json.loads(body)
    except ValueError:
        return
    if not isinstance(entity, dict):
        return
    own = [name for name in entity if name not in _SYSTEM and _ODATA not in name and not name.startswith("odata.")]
    if len(own) > PROPERTIES:
        raise Refusal("TooManyProperties", f"The entity contains more properties than allowed ({len(own)}, at most {PROPERTIES}).")
    if (size := entity_bytes(entity, own)) > ENTITY_BYTES:
        raise Refusal("EntityTooLarge", f"The entity is larger than the maximum allowed size (1MB): it has {size} bytes.")


def entity_bytes(entity: dict[str, Any], own: list[str]) -> int:
    """The size of an entity, by the formula of the documentation of its service's capacity."""
    keys = sum(len(str(entity.get(name, ""))) * 2 for name in _SYSTEM[:2])
    return 4 + keys + sum(8 + len(name) * 2 + _value_bytes(entity[name], entity.get(f"{name}{_ODATA}type")) for name in own)


def _value_bytes(value: Any, declared: str | None) -> int:
    if declared == "Edm.Binary":
        return len(str(value)) * 3 // 4 + 4
    if declared in _BYTES:
        return _BYTES[declared]
    if isinstance(value, str):
        return len(value.encode("utf-16-le")) + 4
    return _BYTES["Edm.Boolean" if isinstance(value, bool) else "Edm.Double" if isinstance(value, float) else "Edm.Int32"]
