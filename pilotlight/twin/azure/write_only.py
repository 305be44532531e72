"""Inputs that Azure takes and never tells again: they are in no output, and no drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Where one is: property names, `[]` for every item of a list.
Path = tuple[str, ...]
ITEMS = "[]"


def left_out(outputs: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The top-level outputs that hold one, without it."""
    found: dict[str, Any] = {}
    for name, *below in paths:
        if name in outputs:
            found[name] = _without(found.get(name, outputs[name]), below)
    return found


def restored(live: Mapping[str, Any], recorded: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The live outputs with what was given when they were made, so that they can be compared with inputs."""
    found = dict(live)
    for name, *below in paths:
        if name in found and name in recorded:
            found[name] = _with(found[name], recorded[name], below)
    return found


def _without(value: Any, path: Sequence[str]) -> Any:
    if not path:
        return value
    name, *below = path
    if name == ITEMS:
        return [_without(item, below) for item in value] if isinstance(value, list) else value
    if not isinstance(value, Mapping) or name not in value:
        return value
    if not below:
        return {key: item for key, item in value.items() if key != name}
    return {**value, name: _without(value[name], below)}


def _with(value: Any, recorded: Any, path: Sequence[str]) -> Any:
    name, *below = path
    if name == ITEMS:
        if isinstance(value, list) and isinstance(recorded, list) and len(value) == len(recorded):
            return [_with(one, other, below) for one, other in zip(value, recorded, strict=True)]
        return value
    if not isinstance(value, Mapping) or not isinstance(recorded, Mapping) or name not in recorded:
        return value
    if not below:
        return {**value, name: recorded[name]}
    return {**value, name: _with(value[name], recorded[name], below)} if name in value else value
