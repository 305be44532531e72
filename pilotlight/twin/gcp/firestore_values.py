"""Values of documents: paths to them, their order, and what they weigh."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from google.cloud.firestore_v1.field_path import parse_field_path
from google.cloud.firestore_v1.types import document as types

Document: Any = types.Document.pb()
Value: Any = types.Value.pb()
KIND = "value_type"


def get(fields: Any, path: str) -> Any | None:
    """The value at a field path, None where there is none."""
    *above, last = parse_field_path(path)
    for name in above:
        if name not in fields or fields[name].WhichOneof(KIND) != "map_value":
            return None
        fields = fields[name].map_value.fields
    return fields.get(last)


def put(fields: Any, path: str, value: Any | None) -> None:
    """Set what is at a field path, with maps on the way; None removes it."""
    *above, last = parse_field_path(path)
    for name in above:
        if name not in fields or fields[name].WhichOneof(KIND) != "map_value":
            if value is None:
                return
            fields[name].map_value.SetInParent()
        fields = fields[name].map_value.fields
    if value is None:
        fields.pop(last, None)
    else:
        fields[last].CopyFrom(value)


def projected(found: Any, paths: list[str]) -> Any:
    """The document with those of its fields alone."""
    kept = Document(name=found.name, create_time=found.create_time, update_time=found.update_time)
    for path in paths:
        value = get(found.fields, path)
        if value is not None:
            put(kept.fields, path, value)
    return kept


def number(value: Any | None) -> int | float | None:
    """What a number is, None for what is none."""
    kind = value.WhichOneof(KIND) if value is not None else None
    return getattr(value, kind) if kind in ("integer_value", "double_value") else None


def integer_or_double(result: int | float) -> Any:
    """As Firestore adds: integers stay such, and stop at 64 bits."""
    if isinstance(result, int):
        return Value(integer_value=max(-(2**63), min(2**63 - 1, result)))
    return Value(double_value=result)


def _numeric(value: float) -> tuple[Any, ...]:
    # NaN is below every other number, and equal to itself.
    return (0,) if math.isnan(value) else (1, value)


def _map_key(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name.encode(), key(fields[name])) for name in sorted(fields, key=str.encode))


# Firestore documentation, "Value type ordering" (read 2026-11).
_ORDER: Mapping[str, tuple[int, Callable[[Any], Any]]] = {
    "null_value": (0, lambda v: 0),
    "boolean_value": (1, bool),
    "integer_value": (2, _numeric),
    "double_value": (2, _numeric),
    "timestamp_value": (3, lambda v: (v.seconds, v.nanos)),
    "string_value": (4, str.encode),
    "bytes_value": (5, bytes),
    "reference_value": (6, lambda v: name_key(v)),
    "geo_point_value": (7, lambda v: (v.latitude, v.longitude)),
    "array_value": (8, lambda v: tuple(key(one) for one in v.values)),
    "map_value": (9, lambda v: _map_key(v.fields)),
}


def key(value: Any) -> tuple[int, Any]:
    """By which values of all kinds are compared; its first part tells the kind."""
    kind = value.WhichOneof(KIND)
    if kind is None:
        return _ORDER["null_value"][0], 0
    rank, of = _ORDER[kind]
    return rank, of(getattr(value, kind))


def name_key(name: str) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in name.split("/"))


def _text(text: str) -> int:
    return len(text.encode()) + 1


def _name_bytes(name: str) -> int:
    return sum(_text(part) for part in name.split("/")[5:]) + 16


def _fields_bytes(fields: Mapping[str, Any]) -> int:
    return sum(_text(name) + _value_bytes(value) for name, value in fields.items())


# Firestore documentation, "Storage size calculations" (read 2026-11).
_BYTES: Mapping[str, Callable[[Any], int]] = {
    "null_value": lambda v: 1,
    "boolean_value": lambda v: 1,
    "integer_value": lambda v: 8,
    "double_value": lambda v: 8,
    "timestamp_value": lambda v: 8,
    "string_value": _text,
    "bytes_value": len,
    "reference_value": _name_bytes,
    "geo_point_value": lambda v: 16,
    "array_value": lambda v: sum(map(_value_bytes, v.values)),
    "map_value": lambda v: _fields_bytes(v.fields),
}


def _value_bytes(value: Any) -> int:
    kind = value.WhichOneof(KIND)
    return _BYTES[kind](getattr(value, kind)) if kind else 1


def size(document: Any) -> int:
    """Bytes of a document, as Firestore counts them."""
    return _name_bytes(document.name) + _fields_bytes(document.fields) + 32
