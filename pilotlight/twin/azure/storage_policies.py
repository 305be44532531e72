"""Lifecycle rules of blobs: what Azure takes of them, and what they do (Azure Storage documentation, "Lifecycle management policies")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

from pilotlight.twin.forms import choice_problems
from pilotlight.twin.rows import Properties

# The same documentation, "policy definition" (read 2026-11).
_RULES = 100
_PREFIXES = 10
_RULE = re.compile(r"[A-Za-z0-9-]{1,256}")
TYPES = ("blockBlob", "appendBlob")
_TIERS = {"tierToHot": "Hot", "tierToCool": "Cool", "tierToCold": "Cold", "tierToArchive": "Archive"}
_DAY_S = 86_400
_AGES = {"daysAfterModificationGreaterThan": "Last-Modified", "daysAfterCreationGreaterThan": "Creation-Time"}


def policy_problems(policy: Properties) -> list[str]:
    rules = policy.get("rules") or []
    found = [] if 1 <= len(rules) <= _RULES else [f"policy.rules: there are {len(rules)}: use 1 to {_RULES}."]
    names = [rule.get("name") for rule in rules]
    found += [f"policy.rules[{index}].name: {name!r} is there twice." for index, name in enumerate(names) if name in names[:index]]
    for index, rule in enumerate(rules):
        found += [f"policy.rules[{index}].{text}" for text in _rule_problems(rule)]
    return found


def _rule_problems(rule: Properties) -> Iterator[str]:
    name, definition = rule.get("name"), rule.get("definition") or {}
    if isinstance(name, str) and not _RULE.fullmatch(name):
        yield f"name: {name!r} is not allowed: use 1 to 256 letters, digits and hyphens."
    filters, actions = definition.get("filters") or {}, definition.get("actions") or {}
    for place, kind in enumerate(filters.get("blobTypes") or []):
        yield from choice_problems(f"definition.filters.blobTypes[{place}]", kind, TYPES)
    if len(filters.get("prefixMatch") or []) > _PREFIXES:
        yield f"definition.filters.prefixMatch: there are {len(filters['prefixMatch'])}: use at most {_PREFIXES}."
    if filters.get("blobIndexMatch"):
        yield "definition.filters.blobIndexMatch: the local twin knows no index of tags: use prefixMatch."
    if not actions:
        yield "definition.actions: none is given: use baseBlob, snapshot or version."
    for action, when in (actions.get("baseBlob") or {}).items():
        if not isinstance(when, Mapping):
            continue
        if other := sorted(set(when) - set(_AGES)):
            yield f"definition.actions.baseBlob.{action}.{other[0]}: the local twin knows ages alone: use {' or '.join(_AGES)}."
        for age, days in when.items():
            if isinstance(days, int | float) and (days < 0 or days != int(days)):
                yield f"definition.actions.baseBlob.{action}.{age}: {days:g} is not allowed: use a whole number of days, 0 or more."


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A blob of a list: `ages` in days, by the names of `_AGES`."""

    name: str
    kind: str
    tier: str
    ages: Mapping[str, float]


def listed(content: bytes, now: float) -> tuple[list[Stored], str]:
    """The blobs of an answer to List Blobs, and where the next one begins (empty at the end)."""
    tree = ElementTree.fromstring(content)  # noqa: S314 (Azurite's answer)
    found = []
    for blob in tree.iter("Blob"):
        properties = {one.tag: one.text or "" for one in blob.find("Properties") or ()}
        ages = {age: (now - parsedate_to_datetime(properties[field]).timestamp()) / _DAY_S for age, field in _AGES.items()}
        kind = properties["BlobType"]
        found.append(
            Stored(name=blob.findtext("Name") or "", kind=kind[:1].lower() + kind[1:], tier=properties.get("AccessTier", ""), ages=ages)
        )
    return found, tree.findtext("NextMarker") or ""


def due(rules: list[Mapping[str, Any]], container: str, blob: Stored) -> str | None:
    """What the rules do to a blob now: `delete`, the tier that it goes to, or None. Of several the cheapest, which is to delete it."""
    wanted = {action for rule in rules if _meant(rule, container, blob) for action in _actions(rule, blob)}
    cheapest = next((action for action in ("delete", *reversed(_TIERS)) if action in wanted), None)
    tier = _TIERS.get(cheapest or "")
    return cheapest if tier is None else tier if tier != blob.tier else None


def _meant(rule: Mapping[str, Any], container: str, blob: Stored) -> bool:
    filters = rule["definition"].get("filters") or {}
    prefixes = filters.get("prefixMatch") or [""]
    path = f"{container}/{blob.name}"
    return rule.get("enabled", True) and blob.kind in (filters.get("blobTypes") or TYPES) and any(map(path.startswith, prefixes))


def _actions(rule: Mapping[str, Any], blob: Stored) -> Iterator[str]:
    for action, when in (rule["definition"]["actions"].get("baseBlob") or {}).items():
        if isinstance(when, Mapping) and when and all(blob.ages[age] > days for age, days in when.items()):
            yield action
