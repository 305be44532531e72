"""Judge 2 on AWS: inputs against the schemas that AWS publishes for CloudFormation, as cfn-lint ships them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.judge_published import Published
from pilotlight.twin.judge_sdk import Problem
from pilotlight.twin.judge_value import Node

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
    """All problems; unknown values and properties without a counterpart are passed over."""
    return _read(cfn, rename).judge(inputs, declared)


def resolve_path(cfn: str, path: str) -> Node | None:
    """The schema at a path from the root of a type, or None: what `rename` may name."""
    return _read(cfn, {}).at(path)


def _read(cfn: str, rename: Mapping[str, str]) -> Published:
    root = published(cfn)

    def solved(node: Node) -> Node:
        while "$ref" in node:
            target: Any = root
            for part in str(node["$ref"]).removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    return Published(root=root, solved=solved, rename=rename, skip=_SKIP, owner="AWS")
