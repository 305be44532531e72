"""Metric alerts that the twin judges: one criterion over what its own services count, held against a fixed threshold.

Sources (read 2026-11): Azure Monitor REST API, "Metric Alerts - Create Or Update" (2018-03-01); Azure Monitor documentation, "Types of
Azure Monitor alerts", "Troubleshoot metric alerts".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.fired_alerts import Combination
from pilotlight.twin.azure.monitor_counts import COUNTED
from pilotlight.twin.metrics import Metrics, Series
from pilotlight.twin.rows import Properties
from pilotlight.twin.world import Resource

# An ISO 8601 duration of an alert, in seconds.
DURATIONS: Mapping[str, int] = {
    **{f"PT{minutes}M": minutes * 60 for minutes in (1, 5, 15, 30)},
    **{f"PT{hours}H": hours * 3600 for hours in (1, 6, 12)},
    "P1D": 86_400,
}
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}
_ANY = "*"


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Which values of a dimension count: those, or with `but` all others."""

    name: str
    values: frozenset[str]
    but: bool

    def takes(self, value: str) -> bool:
        return (_ANY in self.values or value in self.values) is not self.but


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`scope` is the id of what is watched, in lower case."""

    scope: str
    metric: str
    dimensions: tuple[Dimension, ...]
    made: str
    compare: Callable[[float, float], bool]
    threshold: float
    every_s: int
    window_s: int

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether figures with these dimensions count."""
        return all(one.takes(labels.get(one.name, "")) for one in self.dimensions)

    def figures(self, metrics: Metrics, end: float) -> dict[Combination, float]:
        """What is made of the window that ends then, by combination; without those of which nothing came."""
        series: dict[Combination, list[Series]] = {}
        for one in metrics.known():
            labels = dict(one.dimensions)
            if (one.namespace, one.name) == (self.scope, self.metric) and self.takes(labels):
                series.setdefault(tuple((each.name, labels.get(each.name, "")) for each in self.dimensions), []).append(one)
        made = {key: self._made(metrics, held, end) for key, held in series.items()}
        return {key: value for key, value in made.items() if value is not None}

    def met(self, value: float) -> bool:
        return self.compare(value, self.threshold)

    def said(self, key: Combination, value: float) -> str:
        of = f" ({', '.join(f'{name} {held}' for name, held in key)})" if key else ""
        return f"{self.made} of {self.metric}{of} is {value:g}, its threshold {self.threshold:g}."

    def _made(self, metrics: Metrics, series: Sequence[Series], end: float) -> float | None:
        def of_each(statistic: str) -> list[float]:
            found = (metrics.statistic(one, end - self.window_s, end, statistic) for one in series)
            return [value for value in found if value is not None]

        if not (sums := of_each("Sum")):
            return None
        if self.made == "Total":
            return sum(sums)
        return max(of_each("Maximum")) if self.made == "Maximum" else sum(sums) / sum(of_each("SampleCount"))


def read(alert: Resource) -> Rule | None:
    """What a metric alert asks for; None for one that is off, and for one that the twin does not judge."""
    if not alert.get("enabled", True) or next(unjudged(alert.outputs), None) is not None:
        return None
    [one] = alert["criteria"]["allOf"]
    return Rule(
        scope=str(alert["scopes"][0]).lower(),
        metric=str(one["metricName"]),
        dimensions=tuple(
            Dimension(name=str(each["name"]), values=frozenset(each["values"]), but=each["operator"] == "Exclude")
            for each in one.get("dimensions") or []
        ),
        made=str(one["timeAggregation"]),
        compare=OPERATORS[str(one["operator"])],
        threshold=float(one["threshold"]),
        every_s=DURATIONS[str(alert["evaluationFrequency"])],
        window_s=DURATIONS[str(alert["windowSize"])],
    )


def unjudged(inputs: Properties) -> Iterator[str]:
    """What of an alert's inputs the twin does not judge, each a sentence; of what is not known yet nothing is said."""
    if inputs.get("autoMitigate") is False:
        yield "autoMitigate: false is not served by the local twin: leave it out, its alerts resolve by themselves."
    each = inputs["criteria"].get("allOf") or [] if isinstance(inputs.get("criteria"), Mapping) else []
    if len(each) > 1:
        yield f"criteria.allOf: {len(each)} criteria of one alert are not served by the local twin: use an alert for each."
    for position, one in enumerate(each):
        if isinstance(one, Mapping):
            watched = str((inputs.get("scopes") or [""])[0])
            yield from (f"criteria.allOf[{position}].{text}" for text in _uncounted(one, watched))


def _uncounted(criterion: Properties, watched: str) -> Iterator[str]:
    kind, name = criterion.get("metricNamespace") or (watched and arm.type_of(watched)), criterion.get("metricName")
    if not isinstance(name, str) or not isinstance(kind, str) or not kind:
        return
    counted = COUNTED.get((kind.lower(), name))
    if counted is None:
        held = ", ".join(sorted(f"{metric} of {of}" for of, metric in COUNTED))
        yield f"metricName: {name} of {kind} is not counted by the local twin: it counts {held}."
        return
    made = criterion.get("timeAggregation")
    if isinstance(made, str) and made not in counted.made:
        yield f"timeAggregation: {made} of {name} is not made by the local twin: use {', '.join(sorted(counted.made))}."
    declared = {one.get("name"): one for one in criterion.get("dimensions") or [] if isinstance(one, Mapping)}
    for label in declared:
        if isinstance(label, str) and label not in counted.dimensions:
            held = ", ".join(sorted(counted.dimensions)) or "none"
            yield f"dimensions: {name} has no figures by {label} on the local twin: use {held}."
    for label, value in counted.only.items():
        if not _is_only(declared.get(label), value):
            yield f"dimensions: the local twin counts {name} with {label} {value} alone: include that, and nothing else."


def _is_only(declared: Properties | None, value: str) -> bool:
    return declared is not None and declared.get("operator") == "Include" and declared.get("values") == [value]
