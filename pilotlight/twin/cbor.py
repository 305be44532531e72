"""CBOR (RFC 8949), as much of it as the protocol rpc-v2-cbor of AWS's SDKs uses: CloudWatch speaks it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_BREAK = object()
_SIZES = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_EPOCH_TAG = 1


class BadCbor(ValueError):
    """The bytes are not the CBOR that is understood here."""


def encode(value: Any) -> bytes:
    """Texts, bytes, numbers, booleans, None, lists, mappings; aware datetimes as seconds since the epoch with their tag."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, datetime):
        return _head(6, _EPOCH_TAG) + encode(value.timestamp())
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, Mapping):
        return _head(5, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    return _head(4, len(value)) + b"".join(encode(item) for item in value)


def decode(data: bytes) -> Any:
    """One value; tagged times become seconds since the epoch. BadCbor for anything that is not whole, or has something behind it."""
    try:
        value, end = _value(data, 0)
    except (IndexError, struct.error, UnicodeDecodeError, RecursionError, TypeError):
        raise BadCbor("The body is no CBOR.") from None
    if end != len(data) or value is _BREAK:
        raise BadCbor("The body is no single CBOR value.")
    return value


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    info, form = next((info, form) for info, form in _SIZES.items() if number < 1 << 8 * struct.calcsize(form))
    return bytes([major << 5 | info]) + struct.pack(form, number)


def _number(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    if info not in _SIZES:
        raise BadCbor(f"The body has a CBOR item of an unknown form, {info}.")
    size = struct.calcsize(_SIZES[info])
    return int(struct.unpack(_SIZES[info], data[at : at + size])[0]), at + size


def _value(data: bytes, at: int) -> tuple[Any, int]:
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return _simple(data, at, info)
    if info == 31:
        return _indefinite(data, at, major)
    number, at = _number(data, at, info)
    if major in (0, 1):
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        if at + number > len(data):
            raise BadCbor("The body ends in the middle of a CBOR value.")
        held = data[at : at + number]
        return (held if major == 2 else held.decode()), at + number
    if major == 6:
        return _value(data, at)
    items = []
    for _ in range(number * (2 if major == 5 else 1)):
        item, at = _value(data, at)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at


def _indefinite(data: bytes, at: int, major: int) -> tuple[Any, int]:
    """Items up to the break: a list, a mapping, or the pieces of a text."""
    items = []
    while True:
        item, at = _value(data, at)
        if item is _BREAK:
            break
        items.append(item)
    if major == 4:
        return items, at
    if major == 5:
        return dict(zip(items[::2], items[1::2], strict=True)), at
    return (b"" if major == 2 else "").join(items), at


def _simple(data: bytes, at: int, info: int) -> tuple[Any, int]:
    if info in _FLOATS:
        size = struct.calcsize(_FLOATS[info])
        return struct.unpack(_FLOATS[info], data[at : at + size])[0], at + size
    known = {20: False, 21: True, 22: None, 23: None, 31: _BREAK}
    if info not in known:
        raise BadCbor(f"The body has a CBOR item of an unknown form, {info}.")
    return known[info], at
