"""Filters of event subscriptions: what Event Grid refuses of them, and which events they let through.

Source: Event Grid documentation, "Understand event filtering for Event Grid subscriptions" (read 2026-11). Texts are compared without
case. A key whose value is missing, or of another kind than the filter's, is as good as not there.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components import limits_azure as limits
from components.limits import Range
from pilotlight.twin.azure.eventgrid_events import BLOB_CREATED
from pilotlight.twin.rows import Properties

_KINDS = "BlobCreated BlobDeleted BlobRenamed BlobTierChanged BlobInventoryPolicyCompleted LifecyclePolicyCompleted AsyncOperationInitiated"
_LAKE = "DirectoryCreated DirectoryDeleted DirectoryRenamed"
# Event types of a storage account ("Azure Blob Storage as an Event Grid source").
EVENT_TYPES = tuple(f"Microsoft.Storage.{kind}" for kind in f"{_KINDS} {_LAKE}".split())
_KEY = re.compile(r"id|topic|subject|eventtype|dataversion|data(?:\.[^.]+)+", re.IGNORECASE)

_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "NumberGreaterThan": operator.gt,
    "NumberGreaterThanOrEquals": operator.ge,
    "NumberLessThan": operator.lt,
    "NumberLessThanOrEquals": operator.le,
    "BoolEquals": operator.eq,
}
# Those that have a counterpart with Not: whether a value is among, or is like, one of the filter's.
_ANY_OF: Mapping[str, Callable[[Any, Any], bool]] = {
    "NumberIn": operator.eq,
    "NumberInRange": lambda value, wanted: bool(wanted[0] <= value <= wanted[1]),
    "StringIn": operator.eq,
    "StringBeginsWith": str.startswith,
    "StringEndsWith": str.endswith,
    "StringContains": operator.contains,
}
_UNSET = frozenset({"IsNullOrUndefined", "IsNotNull"})
# Operators that let an event without the key through.
_TRUE_WITHOUT_KEY = frozenset({"NumberNotIn", "StringNotIn", "IsNullOrUndefined"})


def problems(given: Properties) -> Iterator[str]:
    """What is wrong with a subscription's `filter`."""
    yield from _type_problems(given.get("includedEventTypes"))
    filters = given.get("advancedFilters") or []
    at = "filter.advancedFilters"
    if said := limits.EVENT_GRID_FILTERS.problem(len(filters)):
        yield f"{at}: has {len(filters)} filters: {said}."
    counted = sum(len(one.get("values") or ()) or ("value" in one) for one in filters if isinstance(one, Mapping))
    if said := limits.EVENT_GRID_FILTER_VALUES.problem(counted):
        yield f"{at}: has {counted} values in all its filters: {said}."
    for position, one in enumerate(filters):
        if isinstance(one, Mapping):
            yield from _filter_problems(f"{at}[{position}]", one)


def wants(given: Properties, event: Mapping[str, Any]) -> bool:
    """Whether a subscription with this `filter` gets the event."""
    kinds = [str(kind).lower() for kind in given.get("includedEventTypes") or ()]
    if kinds and str(event["eventType"]).lower() not in kinds:
        return False
    kept = bool(given.get("isSubjectCaseSensitive"))
    subject, begins, ends = (
        text if kept else text.lower()
        for text in (str(event["subject"]), given.get("subjectBeginsWith") or "", given.get("subjectEndsWith") or "")
    )
    if not (subject.startswith(begins) and subject.endswith(ends)):
        return False
    return all(_matches(one, event) for one in given.get("advancedFilters") or ())


def _type_problems(kinds: Any) -> Iterator[str]:
    if kinds is None:
        text = f"is missing: without it every event type comes, and the local twin makes one: use ['{BLOB_CREATED}']."
        yield f"filter.includedEventTypes: {text}"
        return
    known = {kind.lower(): kind for kind in EVENT_TYPES}
    for position, kind in enumerate(kinds):
        at = f"filter.includedEventTypes[{position}]"
        if not isinstance(kind, str) or kind.lower() == BLOB_CREATED.lower():
            continue
        if kind.lower() in known:
            yield f"{at}: the local twin makes no {known[kind.lower()]}: use {BLOB_CREATED}."
        else:
            near = difflib.get_close_matches(kind, EVENT_TYPES, 1)
            yield f"{at}: {kind!r} is no event type of Microsoft.Storage.StorageAccounts: use {near[0] if near else BLOB_CREATED}."


def _filter_problems(at: str, one: Properties) -> Iterator[str]:
    key, kind = one.get("key"), str(one.get("operatorType"))
    if not isinstance(key, str):
        yield f"{at}.key: is missing: name what is compared, as 'data.api' or 'subject'."
    elif not _KEY.fullmatch(key):
        yield f"{at}.key: {key!r} is not allowed: use id, topic, subject, eventType, dataVersion or data.NAME."
    if kind in _COMPARED and one.get("value") is None:
        yield f"{at}.value: is missing: {kind} compares with one."
    elif _positive(kind) in _ANY_OF and not one.get("values"):
        yield f"{at}.values: is missing: {kind} compares with one or more."
    longest: Range = limits.EVENT_GRID_FILTER_CHARACTERS
    for position, value in enumerate(one.get("values") or ()):
        if isinstance(value, str) and (said := longest.problem(len(value))):
            yield f"{at}.values[{position}]: has {len(value)} characters: {said}."
        if isinstance(value, list) and (len(value) != 2 or value[0] > value[1]):
            yield f"{at}.values[{position}]: {value} is no range: use [low, high]."


def _matches(one: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    kind, value = str(one["operatorType"]), _value(event, str(one["key"]))
    if kind in _UNSET:
        return (value is None) == (kind == "IsNullOrUndefined")
    value = _of_kind(kind, value)
    if value is None:
        return kind in _TRUE_WITHOUT_KEY
    if kind in _COMPARED:
        return _COMPARED[kind](value, one["value"])
    compare = _ANY_OF[_positive(kind)]
    found = any(compare(value, wanted.lower() if isinstance(wanted, str) else wanted) for wanted in one["values"])
    return found == (_positive(kind) == kind)


def _positive(kind: str) -> str:
    """The operator without its Not: `StringNotEndsWith` turns `StringEndsWith` around."""
    return re.sub(r"^(String|Number)Not", r"\1", kind)


def _value(event: Any, key: str) -> Any:
    """What the event has at a key with dots; names are the same in any case."""
    for part in key.split("."):
        named = {name.lower(): value for name, value in event.items()} if isinstance(event, Mapping) else {}
        event = named.get(part.lower())
    return event


def _of_kind(kind: str, value: Any) -> Any:
    """The value as an operator compares it; None where it is of another kind."""
    if kind.startswith("String"):
        return value.lower() if isinstance(value, str) else None
    if kind.startswith("Bool"):
        return value if isinstance(value, bool) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
