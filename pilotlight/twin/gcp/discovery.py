"""Google's own descriptions of its APIs, as google-api-python-client ships them: read when a type first needs one, and pruned.

A document is up to 5 MB of text, mostly descriptions; what stays in memory of it are the schemas that a type can reach.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pilotlight.twin.judge_value import Node

# What judging looks at. Descriptions are most of a document.
_KEPT = ("$ref", "type", "enum", "pattern", "properties", "items", "additionalProperties")


class DocumentMissing(Exception):
    """A row names a document or a schema that is not installed."""


@cache
def _folder() -> Path:
    found = importlib.util.find_spec("googleapiclient")
    if found is None or found.origin is None:
        raise DocumentMissing(
            "google-api-python-client is not installed: the twin reads Google's discovery documents from it. Run `make setup CLOUD=gcp`."
        )
    return Path(found.origin).parent / "discovery_cache" / "documents"


def _document(name: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DocumentMissing(f"{name} is not among the installed discovery documents.") from None
    return document


@cache
def schemas(place: str) -> Mapping[str, Node]:
    """The schemas that `DOCUMENT:SCHEMA` reaches (`run.v2:GoogleCloudRunV2Service`), by name. Raises DocumentMissing."""
    name, _, root = place.partition(":")
    all_of_it = _document(name)["schemas"]
    if root not in all_of_it:
        raise DocumentMissing(f"{name} has no schema {root}.")
    kept: dict[str, Node] = {}
    waiting = [root]
    while waiting:
        current = waiting.pop()
        if current not in kept:
            kept[current] = _pruned(all_of_it[current], waiting)
    return kept


def _pruned(node: Mapping[str, Any], references: list[str]) -> Node:
    """The node without what nobody asks for; the schemas that it names are added to `references`."""
    small: dict[str, Any] = {}
    for key in _KEPT:
        if key not in node:
            continue
        value = node[key]
        if key == "$ref":
            references.append(value)
        if key == "properties":
            value = {name: _pruned(below, references) for name, below in value.items()}
        elif key in ("items", "additionalProperties"):
            value = _pruned(value, references)
        small[key] = value
    return small


@cache
def locations(name: str) -> frozenset[str]:
    """The locations in which an API has an address of its own, by its document (`run.v2`)."""
    return frozenset(one["location"] for one in _document(name).get("endpoints", []) if one.get("location"))


@cache
def api_names() -> frozenset[str]:
    """`run` of `run.v2`, and all others that there is a document of."""
    return frozenset(path.name.split(".", 1)[0] for path in _folder().glob("*.json"))
