"""One plain value against the constraints of a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import regex  # type: ignore[import-untyped]

from pilotlight.twin.judge_sdk import shown

Node = Mapping[str, Any]


def wrong(value: Any, node: Node) -> str | None:
    """What is wrong with a plain value, or None. A value of another kind than the schema's is not judged."""
    for branches in ("anyOf", "oneOf"):
        if branches in node and all(wrong(value, branch) for branch in node[branches]):
            return wrong(value, node[branches][0])
    allowed = node.get("enum")
    if allowed and isinstance(value, type(allowed[0])) and value not in allowed:
        return f"{shown(value)} is not allowed: use one of {', '.join(map(str, allowed))}."
    if isinstance(value, str):
        return _wrong_text(value, node)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = node.get("minimum", value), node.get("maximum", value)
        if not low <= value <= high:
            return f"{value} is out of range: use {range_of(node, 'minimum', 'maximum')}."
    return None


def _wrong_text(value: str, node: Node) -> str | None:
    if not node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value)):
        return f"{shown(value)} has {len(value)} characters: use {range_of(node, 'minLength', 'maxLength')}."
    pattern = node.get("pattern")
    if pattern and (compiled := _compiled(pattern)) is not None and not compiled.search(value):
        return f"{shown(value)} is not allowed: it must match {pattern}"
    return None


@cache
def _compiled(pattern: str) -> Any:
    """None for the few patterns whose dialect cannot be read here: what cannot be judged is not refused."""
    try:
        return regex.compile(pattern)
    except regex.error:
        return None


def range_of(node: Node, low: str, high: str) -> str:
    if low not in node:
        return f"at most {node[high]}"
    if high not in node:
        return f"at least {node[low]}"
    return f"{node[low]} to {node[high]}"
