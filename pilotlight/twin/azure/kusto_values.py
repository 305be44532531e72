"""Expressions of Kusto's: columns and what is in them, constants, conversions, comparisons.

Source: Kusto Query Language reference (Microsoft Learn, read 2026-11), scalar data types, scalar functions, null values. A moment is held
as seconds since the epoch, a span as seconds; a column has a moment as its table writes it. Kusto converts some types by itself; here
that is asked for by name.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.azure.kusto_words import Words, semantic, syntax
from pilotlight.twin.azure.times import iso

Record = Mapping[str, Any]
# The columns of a table and their types, in their order.
Columns = Mapping[str, str]
STRING, MOMENT, SPAN, LONG, REAL, BOOL, DYNAMIC = "string", "datetime", "timespan", "long", "real", "bool", "dynamic"
NUMBERS = (LONG, REAL)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


@dataclass(frozen=True)
class Value:
    """What a record gives, None for null; `name` is that of the column it is, or comes from, where there is one."""

    type: str
    of: Callable[[Record], Any]
    name: str = ""

    def stored(self, record: Record) -> Any:
        """The same as a column has it."""
        value = self.of(record)
        return iso(value) if self.type == MOMENT and value is not None else value


class Expressions:
    """Reads expressions off a query; `now` in seconds since the epoch."""

    def __init__(self, words: Words, now: float) -> None:
        self._words, self._now = words, now

    def condition(self, columns: Columns) -> Callable[[Record], bool]:
        """Comparisons, all of which must hold (`and`); null is not true."""
        all_of = [self._comparison(columns)]
        while self._words.took("and"):
            all_of.append(self._comparison(columns))
        return lambda record: all(true(record) for true in all_of)

    def value(self, columns: Columns) -> Value:
        """A constant, a function's, or what a column has."""
        found = self._words.next()
        if found[:1] in "\"'":
            text = re.sub(r"\\(.)", r"\1", found[1:-1])
            return Value(STRING, lambda _: text)
        if found.startswith("datetime("):
            return _constant(MOMENT, _moment(found.removeprefix("datetime(").rstrip(")").strip("\"' ")))
        if span := _SPAN.fullmatch(found):
            return _constant(SPAN, float(span[1]) * _UNITS[span[2]])
        if found[:1].isdigit():
            return _constant(LONG, int(found)) if found.isdecimal() else _constant(REAL, float(found))
        if self._words.ahead() == "(":
            return self._called(found, columns)
        return self._column(found, columns)

    def _column(self, name: str, columns: Columns) -> Value:
        if name not in columns:
            raise semantic(f"Failed to resolve scalar expression named {name!r}: the table has {', '.join(columns)}")
        value = Value(columns[name], _read(name, columns[name]), name)
        while self._words.took("."):
            if value.type != DYNAMIC:
                raise semantic(f"{value.name} is a {value.type} and has nothing in it: use parse_json()")
            member = self._words.word("a name")
            value = Value(DYNAMIC, _member(value.of, member), f"{value.name}_{member}")
        return value

    def _called(self, name: str, columns: Columns) -> Value:
        self._words.take("(")
        given: list[Value] = []
        while not self._words.took(")"):
            if given:
                self._words.take(",")
            given.append(self.value(columns))
        if name == "now" and not given:
            return _constant(MOMENT, self._now)
        if name == "ago" and [one.type for one in given] == [SPAN]:
            [span] = given
            return _constant(MOMENT, self._now - span.of({}))
        if name == "bin" and len(given) == 2:
            return _binned(*given)
        if name == "column_ifexists" and len(given) == 2:
            name_of, other = given
            return _if_there(name_of, other, columns)
        if name not in _FUNCTIONS:
            raise syntax(f"the local twin knows the functions now, ago, bin, column_ifexists, {', '.join(_FUNCTIONS)}, not {name!r}")
        takes, type_, made = _FUNCTIONS[name]
        if len(given) != 1 or given[0].type not in takes:
            shown = ", ".join(one.type for one in given) or "nothing"
            raise semantic(f"{name}() takes one {' or '.join(takes)}, not {shown}")
        of = given[0].of
        return Value(type_, lambda record: made(of(record)))

    def _comparison(self, columns: Columns) -> Callable[[Record], Any]:
        left = self.value(columns)
        if self._words.took("in"):
            return self._one_of(left, columns)
        if left.type == BOOL and self._words.ahead() not in _COMPARED:
            return left.of
        sign = self._words.next()
        if sign not in _COMPARED:
            raise syntax(f"{sign!r} is not understood: the local twin knows in, {', '.join(_COMPARED)}")
        right = self.value(columns)
        _require_alike(sign, left, right)
        compared = _COMPARED[sign]
        return lambda record: compared(left.of(record), right.of(record))

    def _one_of(self, left: Value, columns: Columns) -> Callable[[Record], bool]:
        self._words.take("(")
        values = [self.value(columns)]
        while self._words.took(","):
            values.append(self.value(columns))
        self._words.take(")")
        for one in values:
            _require_alike("==", left, one)
        return lambda record: left.of(record) in [one.of(record) for one in values]


def _if_there(name: Value, other: Value, columns: Columns) -> Value:
    """The column of that name, where the table has it, else the other value (column_ifexists)."""
    if name.type != STRING:
        raise semantic(f"column_ifexists() takes a column's name and another value, not {name.type} and {other.type}")
    column = str(name.of({}))
    return Value(columns[column], _read(column, columns[column])) if column in columns else other


def _require_alike(sign: str, left: Value, right: Value) -> None:
    pair = {left.type, right.type}
    if (len(pair) > 1 and not pair <= {*NUMBERS}) or DYNAMIC in pair or (sign in _OF_TEXT and pair != {STRING}):
        raise semantic(f"{left.type} {sign} {right.type} is not compared: use tostring(), todouble() or tolong()")


def _constant(type_: str, value: Any) -> Value:
    return Value(type_, lambda _: value)


def _read(name: str, type_: str) -> Callable[[Record], Any]:
    if type_ != MOMENT:
        return lambda record: record[name]
    return lambda record: None if record[name] is None else _moment(record[name])


def _member(of: Callable[[Record], Any], name: str) -> Callable[[Record], Any]:
    def found(record: Record) -> Any:
        held = of(record)
        return held.get(name) if isinstance(held, dict) else None

    return found


def _binned(value: Value, step: Value) -> Value:
    """Rounded down to a multiple of the step."""
    if (value.type, step.type) != (MOMENT, SPAN) and {value.type, step.type} - {*NUMBERS}:
        raise semantic(f"bin() takes a datetime and a timespan, or two numbers, not {value.type} and {step.type}")
    made = value.type if value.type == MOMENT or step.type == LONG else REAL

    def found(record: Record) -> Any:
        held, by = value.of(record), step.of(record)
        return None if held is None else math.floor(held / by) * by

    return Value(made, found, value.name)


def _moment(given: str) -> float:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise syntax(f"a time was expected, not {given!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _parsed(text: str) -> Any:
    """What is no JSON is the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def as_text(value: Any) -> str:
    """What tostring() makes of it."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, separators=(",", ":"))


def _real(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _whole(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None


_ANY = (STRING, LONG, REAL, BOOL, DYNAMIC)
_MAYBE_NULL = (DYNAMIC, LONG, REAL, MOMENT)
# By name: the types taken, the type made, and how.
_FUNCTIONS: Mapping[str, tuple[tuple[str, ...], str, Callable[[Any], Any]]] = {
    "parse_json": ((STRING,), DYNAMIC, _parsed),
    "tostring": (_ANY, STRING, as_text),
    "todouble": (_ANY, REAL, _real),
    "tolong": (_ANY, LONG, _whole),
    "isnotnull": (_MAYBE_NULL, BOOL, lambda value: value is not None),
    "isnull": (_MAYBE_NULL, BOOL, lambda value: value is None),
}


def _ordered(compared: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    return lambda left, right: None if left is None or right is None else compared(left, right)


def _has(held: str, given: str) -> bool:
    return re.search(rf"(?<![a-zA-Z0-9]){re.escape(given)}(?![a-zA-Z0-9])", held, re.IGNORECASE) is not None


_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    # Two nulls are not known to be one.
    "==": lambda left, right: None if left is None and right is None else left == right,
    "!=": lambda left, right: None if left is None and right is None else left != right,
    "=~": lambda held, given: held.lower() == given.lower(),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    "contains": lambda held, given: given.lower() in held.lower(),
    "startswith": lambda held, given: held.lower().startswith(given.lower()),
    "has": _has,
}
_OF_TEXT = ("=~", "contains", "startswith", "has")
