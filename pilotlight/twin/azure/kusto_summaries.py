"""What Kusto's `summarize` makes of groups of records.

Source: Kusto Query Language reference (Microsoft Learn, read 2026-11), `summarize` and aggregation functions. Percentiles are the nearest
rank's, exactly; Kusto estimates them where there are many records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.azure.kusto_values import DYNAMIC, LONG, MOMENT, NUMBERS, REAL, Columns, Expressions, Record, Value
from pilotlight.twin.azure.kusto_words import Words, semantic, syntax

_ORDERED = (*NUMBERS, MOMENT)


@dataclass(frozen=True)
class Aggregate:
    """A column that comes from a group's records."""

    type: str
    of: Callable[[Sequence[Record]], Any]


@dataclass(frozen=True)
class Summary:
    """Without keys there is one row, also of no records; with keys one for each of their values that came."""

    made: Mapping[str, Aggregate]
    keys: Mapping[str, Value]

    @property
    def columns(self) -> dict[str, str]:
        return {**{name: one.type for name, one in self.keys.items()}, **{name: one.type for name, one in self.made.items()}}

    def run(self, records: Sequence[Record]) -> list[Record]:
        groups: dict[tuple[Any, ...], list[Record]] = {} if self.keys else {(): []}
        for record in records:
            groups.setdefault(tuple(key.stored(record) for key in self.keys.values()), []).append(record)
        return [
            {**dict(zip(self.keys, values, strict=True)), **{name: one.of(group) for name, one in self.made.items()}}
            for values, group in groups.items()
        ]


def read(words: Words, expressions: Expressions, columns: Columns) -> Summary:
    """The part of a query behind `summarize`."""
    made: dict[str, Aggregate] = {}
    while True:
        name = words.named()
        if name is None:
            raise syntax(f"the local twin wants a name for {words.ahead()!r}: n = {words.ahead()}(…)")
        made[name] = _aggregate(words, expressions, columns)
        if not words.took(","):
            break
    keys: dict[str, Value] = {}
    while words.took("by" if not keys else ","):
        name, key = words.named(), expressions.value(columns)
        if key.type == DYNAMIC:
            raise semantic("Summarize group key is of a 'dynamic' type: use an explicit cast, tostring() say")
        if not (name or key.name):
            raise syntax("the local twin wants a name for what groups: stage = …")
        keys[name or key.name] = key
    return Summary(made, keys)


def _aggregate(words: Words, expressions: Expressions, columns: Columns) -> Aggregate:
    name = words.word("an aggregation")
    words.take("(")
    if name == "count":
        words.take(")")
        return Aggregate(LONG, len)
    if name == "countif":
        true = expressions.condition(columns)
        words.take(")")
        return Aggregate(LONG, lambda group: sum(bool(true(record)) for record in group))
    if name != "percentile" and name not in _OF_VALUES:
        known = ", ".join(("count", "countif", "percentile", *_OF_VALUES))
        raise syntax(f"the local twin knows the aggregations {known}, not {name!r}")
    value = expressions.value(columns)
    _require(name, value, _ORDERED if name in ("max", "min") else NUMBERS)
    made = _OF_VALUES.get(name) or _percentile(words)
    words.take(")")
    type_ = value.type if name in ("sum", "max", "min") else REAL
    return Aggregate(type_, lambda group: made([held for held in map(value.stored, group) if held is not None]))


def _percentile(words: Words) -> Callable[[list[Any]], Any]:
    words.take(",")
    share = words.number()
    if not 0 <= share <= 100:
        raise semantic(f"percentile(): {share} is out of range: use 0 to 100")
    return lambda values: sorted(values)[max(0, math.ceil(len(values) * share / 100) - 1)] if values else None


def _require(name: str, value: Value, types: Sequence[str]) -> None:
    if value.type not in types:
        raise semantic(f"{name}() takes one {' or '.join(types)}, not {value.type}: use todouble() or tolong()")


_OF_VALUES: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": lambda values: sum(values),
    "max": lambda values: max(values, default=None),
    "min": lambda values: min(values, default=None),
    "avg": lambda values: sum(values) / len(values) if values else None,
}
