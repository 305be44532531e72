"""Alerts on log lines that the twin judges: one query of one workspace, its rows counted, or one column of them held against a threshold.

Sources (read 2026-11): Azure Monitor REST API, "Scheduled Query Rules - Create Or Update" (kind LogAlert); Azure Monitor documentation,
"Create or edit a log search alert rule"; azurerm's documentation of monitor_scheduled_query_rules_alert_v2 for durations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.azure import kusto
from pilotlight.twin.azure.alert_rules import OPERATORS
from pilotlight.twin.azure.fired_alerts import Combination
from pilotlight.twin.azure.kusto_values import NUMBERS
from pilotlight.twin.azure.log_analytics import TABLES
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

_HOURS = {f"PT{hours}H": hours * 3600 for hours in range(1, 7)}
FREQUENCIES: Mapping[str, int] = {**{f"PT{minutes}M": minutes * 60 for minutes in (1, 5, 10, 15, 30, 45)}, **_HOURS, "P1D": 86_400}
WINDOWS: Mapping[str, int] = {**FREQUENCIES, "P2D": 2 * 86_400}
KIND, COUNT = "LogAlert", "Count"
_MADE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "Total": sum,
}
# What of a rule, and of its criterion, the twin has no way to judge.
_NOT_SERVED = ("muteActionsDuration", "overrideQueryTimeRange", "resolveConfiguration", "targetResourceTypes")
_NOT_SERVED_OF_ONE = ("alertSensitivity", "dimensions", "ignoreDataBefore", "metricName", "minRecurrenceCount", "resourceIdColumn")


@dataclass(frozen=True, kw_only=True)
class LogRule:
    """`scope` is the id of the workspace; `column` what is made of, None where rows are counted."""

    scope: str
    query: str
    made: str
    column: str | None
    compare: Callable[[float, float], bool]
    threshold: float
    every_s: int
    window_s: int

    def figures(self, rows: Sequence[Mapping[str, Any]]) -> dict[Combination, float]:
        """What is made of the query's rows; nothing where there is nothing to make it of."""
        if self.column is None:
            return {(): float(len(rows))}
        values = [float(row[self.column]) for row in rows if row[self.column] is not None]
        return {(): _MADE[self.made](values)} if values else {}

    def met(self, value: float) -> bool:
        return self.compare(value, self.threshold)

    def said(self, key: Combination, value: float) -> str:
        of = "rows" if self.column is None else self.column
        return f"{self.made} of {of} is {value:g}, its threshold {self.threshold:g}."


def read(rule: Resource) -> LogRule | None:
    """What a rule asks for; None for one that is off."""
    if not rule.get("enabled", True):
        return None
    [one] = rule["criteria"]["allOf"]
    made = str(one["timeAggregation"])
    return LogRule(
        scope=str(rule["scopes"][0]),
        query=str(one["query"]),
        made=made,
        column=None if made == COUNT else str(one["metricMeasureColumn"]),
        compare=OPERATORS[str(one["operator"])],
        threshold=float(one["threshold"]),
        every_s=FREQUENCIES[str(rule["evaluationFrequency"])],
        window_s=WINDOWS[str(rule["windowSize"])],
    )


def problems(inputs: Properties) -> Iterator[str]:
    """What Azure refuses of a rule, and what the twin does not judge; of what is not known yet nothing is said."""
    if inputs.get("kind") not in (None, KIND):
        yield f"kind: {inputs['kind']!r} is not served by the local twin: use {KIND}."
    yield from (f"{name}: is not served by the local twin: leave it out." for name in _NOT_SERVED if inputs.get(name))
    if inputs.get("autoMitigate") is not True:
        yield "autoMitigate: the local twin's alerts resolve by themselves: set it to true."
    every, over = inputs.get("evaluationFrequency"), inputs.get("windowSize")
    for name, given, allowed in (("evaluationFrequency", every, FREQUENCIES), ("windowSize", over, WINDOWS)):
        if given not in allowed:
            yield f"{name}: {given!r} is not allowed: use one of {', '.join(allowed)}."
    if every in FREQUENCIES and over in WINDOWS and WINDOWS[str(over)] < FREQUENCIES[str(every)]:
        yield f"windowSize: {over} is shorter than evaluationFrequency {every}: use one as long at least."
    if inputs.get("severity") not in range(5):
        yield f"severity: {inputs.get('severity')!r} is not allowed: use 0 (critical) to 4 (verbose)."
    scopes = inputs.get("scopes")
    if not isinstance(scopes, list) or len(scopes) != 1:
        yield "scopes: use one workspace."
    each = (inputs.get("criteria") or {}).get("allOf") or []
    if len(each) != 1:
        yield f"criteria.allOf: has {len(each)} conditions: use one."
    for one in each[:1]:
        yield from (f"criteria.allOf[0].{told}" for told in _condition_problems(one))


def _condition_problems(one: Properties) -> Iterator[str]:
    yield from (f"{name}: is not served by the local twin: leave it out." for name in _NOT_SERVED_OF_ONE if one.get(name))
    if one.get("criterionType") not in (None, "StaticThresholdCriterion"):
        yield f"criterionType: {one['criterionType']!r} is not served by the local twin: use StaticThresholdCriterion."
    periods = one.get("failingPeriods") or {}
    if any(periods.get(name, 1) != 1 for name in ("minFailingPeriodsToAlert", "numberOfEvaluationPeriods")):
        yield "failingPeriods: the local twin judges one period: use 1 of 1."
    if one.get("operator") not in OPERATORS:
        yield f"operator: {one.get('operator')!r} is not allowed: use one of {', '.join(OPERATORS)}."
    if not isinstance(one.get("threshold"), int | float):
        yield "threshold: is missing."
    made, column = one.get("timeAggregation"), one.get("metricMeasureColumn")
    if made != COUNT and made not in _MADE:
        yield f"timeAggregation: {made!r} is not allowed: use one of {', '.join((COUNT, *_MADE))}."
    try:
        columns = kusto.read(str(one.get("query") or ""), TABLES, 0).columns
    except Refusal as refusal:
        yield f"query: {refusal.message}"
        return
    if made == COUNT and column:
        yield "metricMeasureColumn: rows are counted: leave it out."
    elif made != COUNT and columns.get(str(column)) not in NUMBERS:
        numbers = [name for name, type_ in columns.items() if type_ in NUMBERS]
        yield f"metricMeasureColumn: {column!r} is no column of numbers that the query makes: it has {', '.join(numbers) or 'none'}."
