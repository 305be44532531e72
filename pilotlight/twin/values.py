"""Property values as the engine sends them: structs, unknowns, secrets, assets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import rpc

UNKNOWN: str = rpc.UNKNOWN
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (the wire format's mark of a secret, not one)
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
# Which fields the provider filled with a generated name; kept in the inputs, as the AWS provider does, and hidden by the engine.
DEFAULTS = "__defaults"


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Plain Python values. Numbers without a fraction become int: on the wire every number is a double."""
    plain = _plain(MessageToDict(struct))
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(_listed(values))
    return struct


def _listed(value: Any) -> Any:
    """Tuples and sets as lists: a struct knows no others."""
    if isinstance(value, Mapping):
        return {str(key): _listed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_listed(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def known(value: Any) -> Any:
    """The value without what is still unknown: such keys and items are left out."""
    if isinstance(value, Mapping):
        return {key: known(item) for key, item in value.items() if item != UNKNOWN}
    if isinstance(value, list):
        return [known(item) for item in value if item != UNKNOWN]
    return value


def unknown_paths(value: Any, path: str = "") -> set[str]:
    """Paths of what is still unknown, without indexes: `primaryContainer.image`, and `primaryContainer` where it holds nothing else."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        for key, item in value.items():
            found |= unknown_paths(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            found |= unknown_paths(item, path)
    return found | {path} if path and _wholly_unknown(value) else found


def _wholly_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(_wholly_unknown(item) for item in value.values())
    if isinstance(value, list):
        return bool(value) and all(_wholly_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def is_asset(value: Any) -> bool:
    """An asset or an archive."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) in (ASSET, ARCHIVE)


def with_secrets(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values with the named ones marked secret, so that the engine encrypts them in its state."""
    marked = frozenset(names)
    return {name: {SIGNATURE: SECRET, "value": value} if name in marked and value is not None else value for name, value in values.items()}


def without_secrets(value: Any) -> Any:
    """The values with marks of secrets taken off: some requests carry them although the provider declined them."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET:
            return without_secrets(value.get("value"))
        return {key: without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value
