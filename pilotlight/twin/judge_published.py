"""Inputs walked along a schema that a cloud publishes, whatever its dialect: what its constraints say of each value.

Pulumi's names differ from a schema's in case, in number and sometimes in place. What cannot be matched is not judged: judge 1 has
seen to names and kinds, so only the schema's constraints count here (enumerations, patterns, ranges, lengths, required properties).
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.judge_sdk import Problem
from pilotlight.twin.judge_value import Node, range_of, wrong
from pilotlight.twin.values import UNKNOWN, is_asset


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published schema and how it is read.

    root      the schema of the type
    solved    node -> the node that it refers to, itself where it refers to none
    rename    Pulumi path without indexes (`productionVariants.modelName`) -> path from the root; "" skips it
    skip      names that are judged nowhere, at any depth
    owner     who requires what the schema requires, in a message
    """

    root: Node
    solved: Callable[[Node], Node]
    rename: Mapping[str, str]
    skip: frozenset[str]
    owner: str

    def judge(self, inputs: Mapping[str, Any], declared: schema.SdkType) -> list[Problem]:
        """All problems; unknown values and properties without a counterpart are passed over."""
        return list(self._object(inputs, self.root, "", "", declared.inputs))

    def at(self, path: str) -> Node | None:
        """The schema at a path from the root, or None: what `rename` may name."""
        node = self.root
        for name in path.split("."):
            node = self.solved(node)
            while (below := _held(node)) is not None:
                node = self.solved(below)
            if name not in node.get("properties", {}):
                return None
            node = node["properties"][name]
        return self.solved(node)

    def _object(self, value: Mapping[str, Any], node: Node, path: str, plain: str, inputs: type | None) -> Iterator[Problem]:
        """Problems of an object whose schema is `node`; `plain` is the path without indexes, `inputs` its class in the SDK."""
        fields = schema.fields(inputs) if inputs else {}
        for key, item in value.items():
            at = f"{plain}.{key}" if plain else key
            below = self._counterpart(node, key, at)
            if below is not None and item is not None and item != UNKNOWN:
                yield from self._value(item, below, f"{path}.{key}" if path else key, at, fields.get(key))
        for key in fields:
            at = f"{plain}.{key}" if plain else key
            name = match(node, key) if at not in self.rename and key not in self.skip else None
            if key not in value and name in node.get("required", []):
                yield Problem(f"{path}.{key}" if path else key, f"is missing and {self.owner} requires it.")

    def _counterpart(self, node: Node, key: str, at: str) -> Node | None:
        if at in self.rename:
            return self.at(self.rename[at]) if self.rename[at] else None
        if key in self.skip:
            return None
        name = match(node, key)
        return self.solved(node["properties"][name]) if name else None

    def _value(self, value: Any, node: Node, path: str, plain: str, declared: Any) -> Iterator[Problem]:
        if is_asset(value):
            return
        if isinstance(value, list):
            yield from self._list(value, node, path, plain, declared)
        elif isinstance(value, Mapping):
            # A list that may hold one object only is that object in Pulumi.
            held = self.solved(node["items"]) if "items" in node else node
            classes = schema.input_classes(declared)
            if "properties" in held and classes:
                yield from self._object(value, held, path, plain, classes[0])
        elif value != UNKNOWN and (text := wrong(value, node)):
            yield Problem(path, text)

    def _list(self, value: list[Any], node: Node, path: str, plain: str, declared: Any) -> Iterator[Problem]:
        held = _held(node)
        if held is None:
            return
        if not node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)):
            yield Problem(path, f"has {len(value)} items: use {range_of(node, 'minItems', 'maxItems')}.")
        for index, item in enumerate(value):
            yield from self._value(item, self.solved(held), f"{path}[{index}]", plain, _item_type(declared))


def match(node: Node, key: str) -> str | None:
    """The schema's property of that name: case aside, then singular for plural (Pulumi counts lists in the plural)."""
    folded = {name.casefold(): name for name in node.get("properties", {})}
    bare = key.casefold()
    candidates = [bare, bare.removesuffix("s"), bare + "s", bare.removesuffix("ies") + "y", bare.removesuffix("y") + "ies"]
    return next((folded[name] for name in candidates if name in folded), None)


def _held(node: Node) -> Node | None:
    """The schema of what a list or a map holds: some maps of a cloud are lists in Pulumi, with the key among their fields."""
    held = node.get("items", node.get("additionalProperties"))
    return held if isinstance(held, Mapping) else None


def _item_type(declared: Any) -> Any:
    for option in schema.alternatives(declared):
        if typing.get_origin(option) in (Sequence, list):
            return typing.get_args(option)[0]
    return None
