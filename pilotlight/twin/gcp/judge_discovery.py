"""Judge 2 on Google Cloud: inputs against Google's discovery documents, which tell enumerations and a few patterns.

They mark nothing as required, and hold neither ranges nor most patterns: what is missing is judge 1's to find (the SDK's own
classes, nested ones too), and ranges stand in the rows.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.gcp import discovery
from pilotlight.twin.judge_published import Published
from pilotlight.twin.judge_sdk import Problem
from pilotlight.twin.judge_value import Node, wrong

# Parts of an address and wishes of the provider: the API's resources do not have them, or have another thing of that name.
_SKIP = frozenset(
    {
        "accountId",
        "api",
        "apiConfigId",
        "apiId",
        "billingAccount",
        "collection",
        "database",
        "deletionPolicy",
        "deletionProtection",
        "forceDestroy",
        "gatewayId",
        "location",
        "project",
        "region",
        "repositoryId",
    }
)


def judge(inputs: Mapping[str, Any], place: str, rename: Mapping[str, str], declared: schema.SdkType) -> list[Problem]:
    """All problems; unknown values and properties without a counterpart are passed over. `place` is `DOCUMENT:SCHEMA`."""
    return _read(place, rename).judge(inputs, declared)


def judge_json(value: Mapping[str, Any], place: str, path: str) -> list[Problem]:
    """Problems of a whole resource given as JSON: names that the API does not have, and wrong choices. `path` begins every path."""
    published = _read(place, {})
    return list(_json(value, published.root, published, path))


def _json(value: Any, node: Node, published: Published, path: str) -> Iterator[Problem]:
    node = published.solved(node)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _json(item, node.get("items", {}), published, f"{path}[{index}]")
    elif isinstance(value, Mapping) and "properties" in node:
        for key, item in value.items():
            if key in node["properties"]:
                yield from _json(item, node["properties"][key], published, f"{path}.{key}")
            else:
                close = difflib.get_close_matches(key, node["properties"], 1)
                yield Problem(f"{path}.{key}", f"is not known: did you mean {close[0]!r}?" if close else "is not known: remove it.")
    elif not isinstance(value, Mapping) and (text := wrong(value, node)):
        yield Problem(path, text)


def resolve_path(place: str, path: str) -> Node | None:
    """The schema at a path from the root of a type, or None: what `rename` may name."""
    return _read(place, {}).at(path)


def _read(place: str, rename: Mapping[str, str]) -> Published:
    held = discovery.schemas(place)

    def solved(node: Node) -> Node:
        while "$ref" in node:
            node = held[node["$ref"]]
        return node

    return Published(root=held[place.partition(":")[2]], solved=solved, rename=rename, skip=_SKIP, owner="Google")
