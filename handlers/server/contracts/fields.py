"""The fields of a JSON object that a client sent."""

import json
from collections.abc import Collection, Mapping
from heapq import nsmallest
from typing import Any

from handlers.functions.problems import InputRefused
from handlers.functions.values import check_text
from handlers.functions.wording import clipped, kind, shown

# More of them are cut from a message anyway.
_NAMED = 50


def fields_of(value: object, where: str, *, required: Collection[str], allowed: Collection[str] = ()) -> dict[str, Any]:
    """The object that `where` names, with all of `required` and nothing but these and `allowed`. Raises InputRefused."""
    if not isinstance(value, dict):
        raise InputRefused(f"{where} is {kind(value)}: send an object with {_listed(required)}.")
    if unknown := value.keys() - {*required, *allowed}:
        # Of a million the first ones are enough, and to sort them all takes a tenth of a second of everybody's.
        raise InputRefused(f"{where} has {clipped(', '.join(nsmallest(_NAMED, unknown)))}: allowed are {_listed([*required, *allowed])}.")
    if missing := sorted(set(required) - value.keys()):
        raise InputRefused(f"{where} has no {_listed(missing)}.")
    return value


def object_in(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of the fields, empty where it is absent or null. Raises InputRefused."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise InputRefused(f"'{name}' is {kind(value)}: send an object or leave it out.")
    return value or {}


def text_in(fields: Mapping[str, Any], name: str) -> str | None:
    """A text of the fields that can be sent back, None where it is absent or null. Raises InputRefused."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InputRefused(f"'{name}' is {kind(value)}: send a text or leave it out.")
    if value is not None:
        check_text(value, name)
    return value


def one_of(fields: Mapping[str, Any], name: str, allowed: Collection[Any]) -> Any:
    """The value of a field that has few, None where it is absent or null. Raises InputRefused."""
    value = fields.get(name)
    # A list or an object equals none of them, and 1 is not true.
    if value is not None and not any(value == each and type(value) is type(each) for each in allowed):
        known = ", ".join(json.dumps(each) for each in allowed) or "null"
        raise InputRefused(f"'{name}' is {shown(value)}: this server knows {known}.")
    return value


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
