"""Conditions of alert policies that the twin judges: one metric's series, made one figure a minute or more, against a threshold.

Source: Monitoring API v3, AlertPolicy.Condition.MetricThreshold and Aggregation (revision 20260129); Cloud Monitoring documentation,
"Behavior of metric-based alerting policies".
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.gcp.metric_judge import between, terms
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.metrics import MINUTE_S, Metrics, Series

# Aligner -> what it makes of a series' values in a period, as `Metrics.statistic` calls it.
_STATISTICS = {
    "ALIGN_DELTA": "Sum",
    "ALIGN_SUM": "Sum",
    "ALIGN_MEAN": "Average",
    "ALIGN_MIN": "Minimum",
    "ALIGN_MAX": "Maximum",
    **{f"ALIGN_PERCENTILE_{number}": f"p{number}" for number in ("99", "95", "50", "05")},
}
_REDUCERS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "REDUCE_SUM": sum,
    "REDUCE_MEAN": statistics.fmean,
    "REDUCE_MIN": min,
    "REDUCE_MAX": max,
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "COMPARISON_GT": lambda value, threshold: value > threshold,
    "COMPARISON_LT": lambda value, threshold: value < threshold,
}
_TYPES = ("metric.type", "resource.type")
_FUNCTIONS = "monitoring.regex."
# Of a threshold, what changes it beyond a single metric's figures.
_MORE = ("denominatorFilter", "forecastOptions")
BREACHES, HOLDS = "ACTIVE", "INACTIVE"


class NotJudged(Exception):
    """What of a condition the twin does not judge."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """`where` are (selector, whether it must be equal, value); `missing` is what a period without values means: ACTIVE (it breaches),
    INACTIVE (it does not), or nothing."""

    metric: str
    resource: str
    where: tuple[tuple[str, bool, str], ...]
    statistic: str
    reduce: Callable[[Sequence[float]], float]
    compare: Callable[[float, float], bool]
    threshold: float
    period_s: int
    periods: int
    missing: str

    def takes(self, series: Series) -> bool:
        """Whether its filter lets a series through."""
        labels = dict(series.dimensions)
        same = (series.namespace, series.name) == (self.resource, self.metric)
        return same and all((labels.get(selector, "") == value) is equal for selector, equal, value in self.where)

    def value(self, metrics: Metrics, end: float) -> float | None:
        """The figure of the period that ends then; None where nothing came."""
        series = [one for one in metrics.known() if self.takes(one)]
        found = [metrics.statistic(one, end - self.period_s, end, self.statistic) for one in series]
        known = [one for one in found if one is not None]
        return self.reduce(known) if known else None

    def breaches(self, value: float | None) -> bool | None:
        """Whether a period with that figure breaches the threshold; None where nobody can tell."""
        if value is None:
            return {BREACHES: True, HOLDS: False}.get(self.missing)
        return self.compare(value, self.threshold)

    def met(self, metrics: Metrics, now: float) -> tuple[bool | None, bool, float | None]:
        """Of the last complete period whether it breaches, whether all of the duration do, and its figure."""
        end = now // self.period_s * self.period_s
        value = self.value(metrics, end)
        last = self.breaches(value)
        before = (self.breaches(self.value(metrics, end - back * self.period_s)) for back in range(1, self.periods))
        return last, last is True and all(before), value


def read(declared: Mapping[str, Any]) -> Condition:
    """A policy's condition. NotJudged for one that the twin does not."""
    held = declared.get("conditionThreshold")
    if not isinstance(held, Mapping):
        raise NotJudged("the local twin judges thresholds (conditionThreshold)")
    if more := [name for name in _MORE if held.get(name)]:
        raise NotJudged(f"{more[0]} is not known to the local twin")
    if (held.get("trigger") or {}).get("percent") or int((held.get("trigger") or {}).get("count") or 1) != 1:
        raise NotJudged("trigger: the local twin judges a count of 1")
    metric, resource, where = _filtered(str(held.get("filter") or ""))
    period_s, statistic, reduce = _aggregated(held.get("aggregations") or [])
    return Condition(
        metric=metric,
        resource=resource,
        where=where,
        statistic=statistic,
        reduce=reduce,
        compare=_COMPARISONS[str(held.get("comparison"))],
        threshold=float(held.get("thresholdValue") or 0.0),
        period_s=period_s,
        periods=max(1, int((seconds(held.get("duration")) or 0) // period_s)),
        missing=str(held.get("evaluationMissingData") or "").removeprefix("EVALUATION_MISSING_DATA_"),
    )


def _filtered(text: str) -> tuple[str, str, tuple[tuple[str, bool, str], ...]]:
    """Metric, resource, and what its labels must be."""
    found = terms(text)
    if other := set(between(text)) - {"AND"}:
        raise NotJudged(f"filter: {min(other)} is not known to the local twin: use terms with AND between them")
    types = {path: value for path, operator, value in found if path in _TYPES and operator == "="}
    if set(types) != set(_TYPES):
        raise NotJudged("filter: the local twin judges one metric.type and one resource.type")
    rest = [one for one in found if one[0] not in _TYPES]
    if wrong := [f"{operator} {value}" for _, operator, value in rest if operator not in ("=", "!=") or value.startswith(_FUNCTIONS)]:
        raise NotJudged(f"filter: {wrong[0]} is not known to the local twin: use = or != and a text")
    where = tuple((path.replace(".label.", ".labels."), operator == "=", value) for path, operator, value in rest)
    return types["metric.type"], types["resource.type"], where


def _aggregated(steps: Sequence[Mapping[str, Any]]) -> tuple[int, str, Callable[[Sequence[float]], float]]:
    """Seconds of a period, what is made of each series in it, and of all of them."""
    if len(steps) != 1:
        raise NotJudged(f"aggregations: there are {len(steps)}, and the local twin judges one")
    [step] = steps
    aligner, reducer = str(step.get("perSeriesAligner")), str(step.get("crossSeriesReducer"))
    if step.get("groupByFields") or aligner not in _STATISTICS or reducer not in _REDUCERS:
        known = f"{', '.join(_STATISTICS)} and {', '.join(_REDUCERS)}, without groupByFields"
        raise NotJudged(f"aggregations: {aligner} with {reducer} is not known to the local twin: it judges {known}")
    return int(seconds(step.get("alignmentPeriod")) or MINUTE_S), _STATISTICS[aligner], _REDUCERS[reducer]
