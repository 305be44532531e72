"""Judge 1: inputs against the Python SDK's own types: names, nesting, kinds, closed enumerations, required properties."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.values import UNKNOWN, is_asset

_KINDS: Mapping[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Problem:
    """`path` as in `productionVariants[0].modelName`; `text` says what is wrong and what is allowed."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


@dataclass
class _Walk:
    """`worded`: the SDK's texts tell what may be chosen; `opened`: so do its open enumerations."""

    worded: bool
    opened: bool
    problems: list[Problem] = field(default_factory=list)

    def report(self, path: str, text: str) -> None:
        self.problems.append(Problem(path, text))


def judge(inputs: Mapping[str, Any], declared: schema.SdkType) -> list[Problem]:
    """All problems; unknown values are taken as right."""
    walk = _Walk(worded=declared.worded, opened=declared.opened)
    _object(inputs, declared.inputs, "", declared.outputs, walk)
    return walk.problems


def _object(value: Mapping[str, Any], inputs: type, path: str, outputs: frozenset[str], walk: _Walk) -> None:
    names = schema.fields(inputs)
    told = schema.documented_values(inputs) if walk.worded else {}
    for key, item in value.items():
        below = f"{path}.{key}" if path else key
        if key in names:
            _value(item, names[key], below, walk)
            _chosen(item, told.get(key, ()), below, walk)
        elif key in outputs:
            walk.report(below, "is an output, it cannot be set: remove it.")
        else:
            walk.report(below, f"is not known{_nearest(key, names)}")
    for key in sorted(schema.required(inputs) - set(value)):
        walk.report(f"{path}.{key}" if path else key, "is missing and required.")


def _nearest(key: str, names: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, names, 1)
    return f": did you mean {close[0]!r}?" if close else f": known are {', '.join(sorted(names))}."


def _value(value: Any, declared: Any, path: str, walk: _Walk) -> None:
    if value is None or value == UNKNOWN or is_asset(value):
        return
    classes = schema.input_classes(declared)
    if classes and (isinstance(value, Mapping) or not _has_scalar(declared)):
        _nested(value, classes, path, walk)
        return
    allowed = schema.enum_values(declared, opened=walk.opened)
    if allowed is not None:
        if value not in allowed:
            walk.report(path, f"{shown(value)} is not allowed: use one of {', '.join(map(str, allowed))}.")
        return
    for option in schema.alternatives(declared):
        origin, held = typing.get_origin(option), typing.get_args(option)
        if origin in (Sequence, list):
            _sequence(value, held[0], path, walk)
            return
        if origin in (Mapping, dict):
            _mapping(value, held[1], path, walk)
            return
    _scalar(value, declared, path, walk)


def _chosen(value: Any, allowed: tuple[str, ...], path: str, walk: _Walk) -> None:
    """Report a text, or one in a list, that is not among the documented ones."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _chosen(item, allowed, f"{path}[{index}]", walk)
    elif allowed and isinstance(value, str) and value != UNKNOWN and value not in allowed:
        walk.report(path, f"{shown(value)} is not allowed: use one of {', '.join(allowed)}.")


def _nested(value: Any, classes: list[type], path: str, walk: _Walk) -> None:
    if not isinstance(value, Mapping):
        walk.report(path, f"must be an object, got {kind(value)}.")
        return
    tries: list[list[Problem]] = []
    for option in classes:
        one = _Walk(worded=walk.worded, opened=walk.opened)
        _object(value, option, path, frozenset(), one)
        tries.append(one.problems)
    walk.problems += sorted(tries, key=len)[0]


def _sequence(value: Any, held: Any, path: str, walk: _Walk) -> None:
    if not isinstance(value, list):
        walk.report(path, f"must be a list, got {kind(value)}.")
        return
    for index, item in enumerate(value):
        _value(item, held, f"{path}[{index}]", walk)


def _mapping(value: Any, held: Any, path: str, walk: _Walk) -> None:
    if not isinstance(value, Mapping):
        walk.report(path, f"must be a map, got {kind(value)}.")
        return
    for key, item in value.items():
        _value(item, held, f'{path}["{key}"]', walk)


def _scalar(value: Any, declared: Any, path: str, walk: _Walk) -> None:
    options = [option for option in schema.alternatives(declared) if option in _KINDS]
    if options and not any(_fits(value, option) for option in options):
        walk.report(path, f"must be {' or '.join(_KINDS[option] for option in options)}, got {kind(value)}.")


def _has_scalar(declared: Any) -> bool:
    """Some objects may be given as their JSON text too, policy documents for one."""
    return any(option in _KINDS for option in schema.alternatives(declared))


def _fits(value: Any, option: type) -> bool:
    if option is bool:
        return isinstance(value, bool)
    if option is str:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return option is float or float(value).is_integer()


def kind(value: Any) -> str:
    """The kind of a value in words, without the value: it may be a secret."""
    for kinds, text in ((bool, "true or false"), (str, "text"), (int | float, "a number"), (list, "a list"), (Mapping, "an object")):
        if isinstance(value, kinds):
            return text
    return type(value).__name__


def shown(value: Any) -> str:
    """The value as a message shows it: short."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
