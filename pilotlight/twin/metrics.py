"""Metrics, of CloudWatch and of Cloud Monitoring: what services and log lines count, by the minute of the twin's clock."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

# CloudWatch keeps points of a minute for 15 days; the twin forgets after that.
KEEP_MINUTES = 15 * 24 * 60
MINUTE_S = 60
# How long values may wait for a commit that writes many.
FLUSH_S = 1.0
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE IF NOT EXISTS points (
  series INTEGER, minute INTEGER, value REAL, count INTEGER, PRIMARY KEY (series, minute, value)) WITHOUT ROWID;
"""
_COUNT = "INSERT INTO points VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(frozen=True)
class Series:
    """One metric with its dimensions, sorted; on Google Cloud those are the selectors of its labels, `resource.labels.service_name`."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def series(namespace: str, name: str, dimensions: Mapping[str, str]) -> Series:
    return Series(namespace, name, tuple(sorted((key, str(value)) for key, value in dimensions.items())))


class Metrics:
    """Values by series and minute, in SQLite. Thread-safe. `now`: seconds since the epoch; `path` is where they survive a restart.

    They are written once a second while values come, and with `flush`: a twin that is killed forgets what came after that.
    """

    def __init__(self, now: Callable[[], float], path: Path | None = None) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._new: Counter[tuple[Series, int, float]] = Counter()
        self._flushed = time.monotonic()
        self._closed = False
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
        # As the queues have it (sqs_store.py): a commit survives the end of this process, whatever ends it.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._ids = {_series(name): int(id_) for id_, name in self._db.execute("SELECT id, name FROM series ORDER BY id")}

    def close(self) -> None:
        """Write what is left; what comes later is lost."""
        self.flush()
        with self._lock:
            self._closed = True
            self._db.close()

    def put(self, namespace: str, values: Mapping[str, float], *dimension_sets: Mapping[str, str], at: float | None = None) -> None:
        """Count each value once for each set of dimensions, now or at an instant.

        What is no number counts for nothing (CloudWatch API reference, MetricDatum: NaN and infinity are not supported).
        """
        minute = int((self._now() if at is None else at) // MINUTE_S)
        with self._lock:
            for dimensions in dimension_sets:
                for name, value in values.items():
                    if math.isfinite(value):
                        self._new[series(namespace, name, dimensions), minute, float(value)] += 1
        if time.monotonic() - self._flushed >= FLUSH_S:
            self.flush()

    def known(self) -> list[Series]:
        self.flush()
        with self._lock:
            return list(self._ids)

    def statistic(self, wanted: Series, start: float, end: float, statistic: str) -> float | None:
        """The statistic of what came from `start` on and before `end`; None where nothing came. ValueError for an unknown one."""
        self.flush()
        minutes = int(start // MINUTE_S), int(-(-end // MINUTE_S))
        with self._lock:
            found = self._db.execute(
                "SELECT value, SUM(count) FROM points WHERE series = ? AND minute >= ? AND minute < ? GROUP BY value ORDER BY value",
                (self._ids.get(wanted), *minutes),
            ).fetchall()
        return _statistic(found, statistic) if found else None

    def flush(self) -> None:
        """Write what is not written yet, and forget what is too old."""
        with self._lock:
            new, self._new, self._flushed = self._new, Counter(), time.monotonic()
            if self._closed or not new:
                return
            oldest = int(self._now() // MINUTE_S) - KEEP_MINUTES
            with self._db:
                rows = [(self._id(one), minute, value, count) for (one, minute, value), count in new.items()]
                self._db.executemany(_COUNT, rows)
                self._db.executemany("DELETE FROM points WHERE series = ? AND minute < ?", {(row[0], oldest) for row in rows})

    def _id(self, one: Series) -> int:
        if one not in self._ids:
            self._ids[one] = len(self._ids) + 1
            name = json.dumps([one.namespace, one.name, dict(one.dimensions)])
            self._db.execute("INSERT INTO series VALUES (?, ?)", (self._ids[one], name))
        return self._ids[one]

    def heard(self, group: str, events: Iterable[tuple[float, str]]) -> None:
        """Take the metrics out of log lines in the embedded metric format (CloudWatch user guide, specification of that format).

        `events` are (seconds since the epoch, line). A line counts at its own time in the log: what it says of the time itself is the
        machine's, which the twin's clock may have left.
        """
        for moment, line in events:
            if '"CloudWatchMetrics"' in line:
                for namespace, values, dimensions in _embedded(line):
                    self.put(namespace, values, *dimensions, at=moment)


def is_known(statistic: str) -> bool:
    return statistic in STATISTICS or _PERCENTILE.fullmatch(statistic) is not None


def _series(name: str) -> Series:
    namespace, metric, dimensions = json.loads(name)
    return series(namespace, metric, dimensions)


def _statistic(found: Sequence[tuple[float, int]], statistic: str) -> float:
    """Of (value, how often), the smallest value first."""
    total, count = sum(value * times for value, times in found), sum(times for _, times in found)
    plain = {"SampleCount": float(count), "Sum": total, "Average": total / count, "Minimum": found[0][0], "Maximum": found[-1][0]}
    if statistic in plain:
        return plain[statistic]
    match = _PERCENTILE.fullmatch(statistic)
    if match is None:
        raise ValueError(f"statistic {statistic!r}: the local twin knows {', '.join(STATISTICS)} and percentiles as p99.")
    ranks = list(accumulate(times for _, times in found))
    place = float(match[1]) / 100 * (count - 1)
    # A rank between two values lies between the two.
    below, above = (found[bisect_right(ranks, rank)][0] for rank in (int(place), min(int(place) + 1, count - 1)))
    return below + (above - below) * (place - int(place))


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
