"""Entities of Azure Table storage as JSON, and what they may be. Pure.

Source of types and limits: Azure Storage REST API, "Understanding the Table service data model" and "Payload format for Table service
operations".
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

Value = str | int | float | bool | bytes | None
MOST_PROPERTIES = 252
MOST_NAME = 255
# UTF-16 units: of a key 1 KiB, of a text 64 KiB; bytes of binary data; bytes of all of an entity.
MOST_KEY, MOST_TEXT, MOST_BINARY, MOST_ENTITY = 512, 32_768, 65_536, 1_048_576
# Of a key that `key` makes. Cosmos DB for Table has 255 bytes for a row's ("Frequently asked questions"), and 101 for a partition's where
# its table has no large ones ("Service quotas", per-item limits), which nobody says of one that is made.
_SHORT = 100
_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN = ("PartitionKey", "RowKey", "Timestamp")
# Of `key`: marks that stand for themselves, and how much of a name is read where it does not fit.
_PLAIN, _READ = " !()+,-.:;@_~", 34
# Characters of a part of a text: each may be two units.
_PART = MOST_TEXT // 2


class EntityError(ValueError):
    """An entity that the service would refuse. The message says what it has and what is allowed."""


@dataclass(frozen=True, slots=True)
class Entity:
    """`partition` and `row` are the keys, `etag` tells this content from every other one (empty for one that was never stored)."""

    partition: str
    row: str
    properties: Mapping[str, Value] = field(default_factory=dict)
    etag: str = ""


def encoded(entity: Entity) -> dict[str, Any]:
    """The entity's JSON; what is None is not in it. Raises EntityError."""
    properties = {name: value for name, value in entity.properties.items() if value is not None}
    _check(entity, properties)
    found: dict[str, Any] = {"PartitionKey": entity.partition, "RowKey": entity.row}
    for name, value in properties.items():
        kind, found[name] = _told(value)
        if kind:
            found[f"{name}@odata.type"] = f"Edm.{kind}"
    return found


def decoded(told: Mapping[str, Any], etag: str) -> Entity:
    """The entity that JSON with minimal metadata tells."""
    properties = {
        name: _value(value, str(told.get(f"{name}@odata.type", "")).removeprefix("Edm."))
        for name, value in told.items()
        if "odata." not in name and name not in _OWN
    }
    return Entity(told["PartitionKey"], told["RowKey"], properties, etag)


def key(text: str) -> str:
    """A key for any text, a blob's name, say: readable, another one for every other text, and never too long.

    Anything but letters, digits and some marks is `=` and two hexadecimal digits for each byte of UTF-8. Of a text that does not fit, the
    beginning and the SHA-256 of all of it stay, with `=~` between them.
    """
    found = quote(text, safe=_PLAIN).replace("%", "=")
    if len(found) <= _SHORT:
        return found
    return f"{found[:_READ]}=~{hashlib.sha256(text.encode()).hexdigest()}"


def in_parts(name: str, text: str) -> dict[str, Value]:
    """A text of any length as properties: `name`, `name_1`, … up to what an entity may hold."""
    parts = [text[start : start + _PART] for start in range(0, len(text), _PART)] or [""]
    return {f"{name}_{number}" if number else name: part for number, part in enumerate(parts)}


def of_parts(name: str, properties: Mapping[str, Value]) -> str | None:
    """The text that lies in these properties, None where there is none."""
    found, number = properties.get(name), 0
    if found is None:
        return None
    parts = [str(found)]
    while (part := properties.get(f"{name}_{(number := number + 1)}")) is not None:
        parts.append(str(part))
    return "".join(parts)


def _told(value: Value) -> tuple[str, Any]:
    """The type, where the value alone does not tell it, and the value."""
    if isinstance(value, bool | str):
        return "", value
    if isinstance(value, int):
        return ("", value) if -(2**31) <= value < 2**31 else ("Int64", str(value))
    if isinstance(value, float):
        return "Double", value
    assert isinstance(value, bytes)
    return "Binary", base64.b64encode(value).decode()


def _value(value: Any, kind: str) -> Value:
    if kind == "Int64":
        return int(value)
    if kind == "Double":
        return float(value)
    if kind == "Binary":
        return base64.b64decode(value)
    found: Value = value
    return found


def _check(entity: Entity, properties: Mapping[str, Value]) -> None:
    for what, text in (("partition key", entity.partition), ("row key", entity.row)):
        if _units(text) > MOST_KEY:
            raise EntityError(f"The {what} has {_units(text)} UTF-16 units: {MOST_KEY} are allowed.")
        if found := _FORBIDDEN.search(text):
            raise EntityError(f"The {what} has {found[0]!r}: `entities.key` makes a key of any text.")
    if len(properties) > MOST_PROPERTIES:
        raise EntityError(f"The entity has {len(properties)} properties: {MOST_PROPERTIES} are allowed.")
    for name, value in properties.items():
        _check_property(name, value)
    # What the service counts: 4 bytes, two for each unit of keys, names and texts, 8 for each property.
    size = 4 + 2 * _units(entity.partition + entity.row) + sum(8 + 2 * len(name) + _size(value) for name, value in properties.items())
    if size > MOST_ENTITY:
        raise EntityError(f"The entity has {size} bytes: {MOST_ENTITY} are allowed.")


def _check_property(name: str, value: Value) -> None:
    if not _NAME.fullmatch(name) or len(name) > MOST_NAME or name in _OWN:
        raise EntityError(f"A property is called {name!r}: use {MOST_NAME} letters, digits and _ at most, none of {', '.join(_OWN)}.")
    if isinstance(value, str) and _units(value) > MOST_TEXT:
        raise EntityError(f"The property {name} has {_units(value)} UTF-16 units: {MOST_TEXT} are allowed; `entities.in_parts` splits it.")
    if isinstance(value, bytes) and len(value) > MOST_BINARY:
        raise EntityError(f"The property {name} has {len(value)} bytes: {MOST_BINARY} are allowed.")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise EntityError(f"The property {name} is {value}: 64 bits are allowed.")


def _size(value: Value) -> int:
    """As the data model counts it: a text with its length, binary data with its own, a number by its type."""
    if isinstance(value, str):
        return 2 * _units(value) + 4
    if isinstance(value, bytes):
        return len(value) + 4
    if isinstance(value, bool):
        return 1
    return 4 if isinstance(value, int) and -(2**31) <= value < 2**31 else 8


def _units(text: str) -> int:
    """UTF-16 units: ASCII, which nearly all is, is counted without a copy."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
