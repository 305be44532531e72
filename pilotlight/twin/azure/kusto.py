"""The part of the Kusto Query Language that log lines are looked for and counted with.

A table, `where`, `extend`, `project`, `summarize`, `order by`, `take`. Source: Kusto Query Language reference (Microsoft Learn, read
2026-11). Everything else is refused by name. `has` looks for whole terms, `contains` for any part, both in any case; `==` is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.azure import kusto_summaries
from pilotlight.twin.azure.kusto_values import DYNAMIC, Columns, Expressions, Record, Value, as_text
from pilotlight.twin.azure.kusto_words import Words, semantic, syntax

Rows = list[Record]
# What a query answers at most where it does not say less (Azure Monitor service limits, Log Analytics queries: maximum records returned).
MOST_ROWS = 500_000


@dataclass(frozen=True)
class Query:
    """`columns` are those of the answer, with their types, in their order."""

    table: str
    columns: Columns
    steps: tuple[Callable[[Rows], Rows], ...]

    def run(self, records: Iterable[Record]) -> Rows:
        """The rows of the answer; the records are those of the table, oldest first."""
        found = list(records)
        for step in self.steps:
            found = step(found)
        return found[:MOST_ROWS]

    def told(self, row: Record) -> list[Any]:
        """A row as an answer in JSON has it."""
        return [as_text(row[name]) if type_ == DYNAMIC else row[name] for name, type_ in self.columns.items()]


def read(text: str, tables: Mapping[str, Columns], now: float) -> Query:
    """A query of one of the tables; `now` in seconds since the epoch. Refusal (400) for what is not understood."""
    words = Words(text)
    table = words.word("a table")
    if table not in tables:
        raise semantic(f"'where' operator: Failed to resolve table or column expression named '{table}': there is {', '.join(tables)}")
    parts = _Parts(words, now, tables[table])
    while not words.ended:
        words.take("|")
        operator = words.word("an operator")
        if operator not in _OPERATORS:
            raise syntax(f"the local twin knows {', '.join(_OPERATORS)}, not {operator!r}")
        _OPERATORS[operator](parts)
    return Query(table, parts.columns, tuple(parts.steps))


class _Parts:
    """The steps of a query that are read, and the columns that there are after them."""

    def __init__(self, words: Words, now: float, columns: Columns) -> None:
        self.columns = columns
        self.steps: list[Callable[[Rows], Rows]] = []
        self._words, self._expressions = words, Expressions(words, now)

    def where(self) -> None:
        true = self._expressions.condition(self.columns)
        self.steps.append(lambda rows: [row for row in rows if true(row)])

    def extend(self) -> None:
        made = self._named()
        self.columns = {**self.columns, **{name: one.type for name, one in made.items()}}
        self.steps.append(lambda rows: [{**row, **{name: one.stored(row) for name, one in made.items()}} for row in rows])

    def project(self) -> None:
        made = self._named()
        self.columns = {name: one.type for name, one in made.items()}
        self.steps.append(lambda rows: [{name: one.stored(row) for name, one in made.items()} for row in rows])

    def summarize(self) -> None:
        summary = kusto_summaries.read(self._words, self._expressions, self.columns)
        self.columns = summary.columns
        self.steps.append(summary.run)

    def order(self) -> None:
        """By one column; Kusto's default is from the greatest down, nulls last."""
        self._words.take("by")
        column = self._words.word("a column")
        if column not in self.columns:
            raise semantic(f"Failed to resolve scalar expression named {column!r}: the table has {', '.join(self.columns)}")
        down = self._words.took("asc", "desc") != "asc"
        self.steps.append(lambda rows: sorted(rows, key=lambda row: (row[column] is not None, row[column] or 0), reverse=down))

    def take(self) -> None:
        most = self._words.number()
        self.steps.append(lambda rows: rows[:most])

    def _named(self) -> dict[str, Value]:
        """Columns, each a name with what it is, or a column that there is."""
        found: dict[str, Value] = {}
        while not found or self._words.took(","):
            name, value = self._words.named(), self._expressions.value(self.columns)
            if not (name or value.name):
                raise syntax("the local twin wants a name for each column: n = …")
            found[name or value.name] = value
        return found


_OPERATORS: Mapping[str, Callable[[_Parts], None]] = {
    "where": _Parts.where,
    "extend": _Parts.extend,
    "project": _Parts.project,
    "summarize": _Parts.summarize,
    "order": _Parts.order,
    "sort": _Parts.order,
    "take": _Parts.take,
    "limit": _Parts.take,
}
