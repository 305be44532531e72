"""CloudWatch metrics: what services and log lines count, by the minute of the twin's clock."""

from __future__ import annotations

import json
import re
import threading
from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# CloudWatch keeps points of a minute for 15 days; the twin forgets after that.
KEEP_S = 15 * 24 * 3600
MINUTE_S = 60
# Values of a minute that percentiles are taken of; sums, counts and extremes count all of them.
_SAMPLES = 2000
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(frozen=True)
class Series:
    """One metric with its dimensions, sorted."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


@dataclass
class _Minute:
    total: float = 0.0
    count: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    sample: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1
        self.low, self.high = min(self.low, value), max(self.high, value)
        if len(self.sample) < _SAMPLES:
            insort(self.sample, value)


def series(namespace: str, name: str, dimensions: Mapping[str, str]) -> Series:
    return Series(namespace, name, tuple(sorted((key, str(value)) for key, value in dimensions.items())))


class Metrics:
    """Values by series and minute. Thread-safe, in memory: a restart of the twin forgets them. `now`: seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._held: dict[Series, dict[int, _Minute]] = {}

    def put(self, namespace: str, values: Mapping[str, float], *dimension_sets: Mapping[str, str], at: float | None = None) -> None:
        """Count each value once for each set of dimensions, now or at an instant."""
        minute = int((self._now() if at is None else at) // MINUTE_S)
        with self._lock:
            for dimensions in dimension_sets:
                for name, value in values.items():
                    minutes = self._held.setdefault(series(namespace, name, dimensions), {})
                    if minute not in minutes:
                        self._forget(minutes, minute)
                        minutes[minute] = _Minute()
                    minutes[minute].add(float(value))

    def known(self) -> list[Series]:
        with self._lock:
            return list(self._held)

    def statistic(self, wanted: Series, start: float, end: float, statistic: str) -> float | None:
        """The statistic of what came from `start` on and before `end`; None where nothing came. ValueError for an unknown one."""
        with self._lock:
            minutes = self._held.get(wanted, {})
            held = [minutes[minute] for minute in range(int(start // MINUTE_S), int(-(-end // MINUTE_S))) if minute in minutes]
            if not held:
                return None
            return _statistic(held, statistic)

    def heard(self, group: str, events: Iterable[tuple[float, str]]) -> None:
        """Take the metrics out of log lines in the embedded metric format (CloudWatch user guide, specification of that format).

        `events` are (seconds since the epoch, line). A line counts at its own time in the log: what it says of the time itself is the
        machine's, which the twin's clock may have left.
        """
        for moment, line in events:
            if '"CloudWatchMetrics"' in line:
                for namespace, values, dimensions in _embedded(line):
                    self.put(namespace, values, *dimensions, at=moment)

    def _forget(self, minutes: dict[int, _Minute], now: int) -> None:
        for minute in [minute for minute in minutes if minute < now - KEEP_S // MINUTE_S]:
            del minutes[minute]


def is_known(statistic: str) -> bool:
    return statistic in STATISTICS or _PERCENTILE.fullmatch(statistic) is not None


def _statistic(held: list[_Minute], statistic: str) -> float:
    total, count = sum(one.total for one in held), sum(one.count for one in held)
    plain = {
        "SampleCount": float(count),
        "Sum": total,
        "Average": total / count,
        "Minimum": min(one.low for one in held),
        "Maximum": max(one.high for one in held),
    }
    if statistic in plain:
        return plain[statistic]
    match = _PERCENTILE.fullmatch(statistic)
    if match is None:
        raise ValueError(f"statistic {statistic!r}: the local twin knows {', '.join(STATISTICS)} and percentiles as p99.")
    sample = sorted(value for one in held for value in one.sample)
    place = float(match[1]) / 100 * (len(sample) - 1)
    below = int(place)
    above = min(below + 1, len(sample) - 1)
    return sample[below] + (sample[above] - sample[below]) * (place - below)


def _embedded(line: str) -> list[tuple[str, dict[str, float], list[dict[str, str]]]]:
    """(namespace, values, sets of dimensions) of a line; what does not follow the format is left out, as CloudWatch does."""
    try:
        document = json.loads(line[line.index("{") :])
        directives = document["_aws"]["CloudWatchMetrics"]
        return [found for directive in directives for found in _directive(directive, document)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _directive(directive: Mapping[str, Any], document: Mapping[str, Any]) -> list[tuple[str, dict[str, float], list[dict[str, str]]]]:
    sets = [{name: str(document[name]) for name in names} for names in directive.get("Dimensions") or [[]]]
    found = []
    for metric in directive["Metrics"]:
        given = document.get(metric["Name"])
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.append((str(directive["Namespace"]), {str(metric["Name"]): float(value)}, sets))
    return found
