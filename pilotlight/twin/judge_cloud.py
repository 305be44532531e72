"""Judge 2: inputs against the schemas that AWS publishes for CloudFormation, as cfn-lint ships them.

Pulumi's names differ from the schema's in case, in number and sometimes in place. What cannot be matched is not judged: judge 1 has
seen to names and kinds, so only the schema's constraints count here (enumerations, patterns, ranges, lengths, required properties).
"""

from __future__ import annotations

import importlib.util
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.judge_sdk import Problem
from pilotlight.twin.judge_value import Node, range_of, wrong
from pilotlight.twin.values import UNKNOWN, is_asset

_SKIP = frozenset({"tags", "tagsAll", "region"})


class SchemaMissing(Exception):
    """A row names a CloudFormation type that the installed schemas do not have."""


@cache
def _folder() -> Path:
    found = importlib.util.find_spec("cfnlint")
    if found is None or found.origin is None:
        raise SchemaMissing("cfn-lint is not installed: the twin reads AWS's published schemas from it. Run `make setup CLOUD=aws`.")
    return Path(found.origin).parent / "data" / "schemas"


@cache
def _index() -> Mapping[str, str]:
    index: Mapping[str, str] = json.loads((_folder() / "providers" / "us-east-1.json").read_text(encoding="utf-8"))
    return index


@cache
def published(cfn: str) -> Node:
    """The schema of a CloudFormation type. Raises SchemaMissing."""
    if cfn not in _index():
        raise SchemaMissing(f"{cfn} is not among the published schemas.")
    document: Node = json.loads((_folder() / "resources" / f"{_index()[cfn]}.json").read_text(encoding="utf-8"))
    return document


def judge(inputs: Mapping[str, Any], cfn: str, rename: Mapping[str, str], declared: schema.SdkType) -> list[Problem]:
    """All problems; unknown values and properties without a counterpart are passed over.

    `rename` maps a Pulumi path without indexes (`productionVariants.modelName`) to a path from the schema's root; "" skips it.
    """
    root = published(cfn)
    return list(_Judge(root, rename).object(inputs, root, "", "", declared.inputs))


def resolve_path(cfn: str, path: str) -> Node | None:
    """The schema at a path from the root of a type, or None: what `rename` may name."""
    root = published(cfn)
    return _Judge(root, {}).at(root, path)


class _Judge:
    def __init__(self, root: Node, rename: Mapping[str, str]) -> None:
        self._root = root
        self._rename = rename

    def object(self, value: Mapping[str, Any], node: Node, path: str, plain: str, inputs: type | None) -> Iterator[Problem]:
        """Problems of an object whose schema is `node`; `plain` is the path without indexes, `inputs` its class in the SDK."""
        fields = schema.fields(inputs) if inputs else {}
        for key, item in value.items():
            at = f"{plain}.{key}" if plain else key
            below = self._counterpart(node, key, at)
            if below is not None and item is not None and item != UNKNOWN:
                yield from self._value(item, below, f"{path}.{key}" if path else key, at, fields.get(key))
        for key in fields:
            at = f"{plain}.{key}" if plain else key
            name = _match(node, key) if at not in self._rename and key not in _SKIP else None
            if key not in value and name in node.get("required", []):
                yield Problem(f"{path}.{key}" if path else key, "is missing and AWS requires it.")

    def at(self, node: Node, path: str) -> Node | None:
        for name in path.split("."):
            node = self._solved(node)
            if node.get("type") == "array":
                node = self._solved(node.get("items", {}))
            if name not in node.get("properties", {}):
                return None
            node = node["properties"][name]
        return self._solved(node)

    def _counterpart(self, node: Node, key: str, at: str) -> Node | None:
        if at in self._rename:
            return self.at(self._root, self._rename[at]) if self._rename[at] else None
        if key in _SKIP:
            return None
        name = _match(node, key)
        return self._solved(node["properties"][name]) if name else None

    def _solved(self, node: Node) -> Node:
        while "$ref" in node:
            target: Any = self._root
            for part in str(node["$ref"]).removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def _value(self, value: Any, node: Node, path: str, plain: str, declared: Any) -> Iterator[Problem]:
        if is_asset(value):
            return
        if isinstance(value, list):
            yield from self._list(value, node, path, plain, declared)
        elif isinstance(value, Mapping):
            held = self._solved(node["items"]) if "items" in node else node
            classes = schema.input_classes(declared)
            if "properties" in held and classes:
                yield from self.object(value, held, path, plain, classes[0])
        elif value != UNKNOWN and (text := wrong(value, node)):
            yield Problem(path, text)

    def _list(self, value: list[Any], node: Node, path: str, plain: str, declared: Any) -> Iterator[Problem]:
        if "items" not in node:
            return
        if not node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)):
            yield Problem(path, f"has {len(value)} items: use {range_of(node, 'minItems', 'maxItems')}.")
        for index, item in enumerate(value):
            yield from self._value(item, self._solved(node["items"]), f"{path}[{index}]", plain, _item_type(declared))


def _match(node: Node, key: str) -> str | None:
    """The schema's property of that name: case aside, then singular for plural (Pulumi counts lists in the plural)."""
    folded = {name.casefold(): name for name in node.get("properties", {})}
    bare = key.casefold()
    candidates = [bare, bare.removesuffix("s"), bare + "s", bare.removesuffix("ies") + "y", bare.removesuffix("y") + "ies"]
    return next((folded[name] for name in candidates if name in folded), None)


def _item_type(declared: Any) -> Any:
    for option in schema.alternatives(declared):
        if typing.get_origin(option) in (Sequence, list):
            return typing.get_args(option)[0]
    return None
