"""What Cloud Logging makes of a metric of log lines: the values of the entries that its filter lets through, by minute and labels.

Source: Logging API v2, LogMetric; Cloud Logging documentation, "Log-based metrics overview". A metric counts what comes once it is
there. Of a distribution the twin tells count, mean and squared deviation, and no histogram.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pilotlight.twin.gcp import log_filter

MINUTE_S = 60
_EXTRACT = re.compile(r"EXTRACT\((?P<field>[^(),]+)\)")
_REGEXP = re.compile(r'REGEXP_EXTRACT\((?P<field>[^(),]+),\s*"(?P<pattern>(?:[^"\\]|\\.)*)"\)')
Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Series:
    """The values of one set of labels, by the beginning of their minute in seconds since the epoch."""

    labels: Mapping[str, str]
    resource: Mapping[str, Any]
    values: Mapping[float, list[float]]


def extractor(text: str) -> Callable[[Entry], str | None] | None:
    """What takes a text out of an entry; None for an extractor that is none."""
    if found := _EXTRACT.fullmatch(text.strip()):
        read = log_filter.field(found["field"].strip())
        return lambda entry: None if read(entry) is None else str(read(entry))
    found = _REGEXP.fullmatch(text.strip())
    if found is None:
        return None
    try:
        pattern = re.compile(found["pattern"].replace('\\"', '"').replace("\\\\", "\\"))
    except re.error:
        return None
    if pattern.groups != 1:
        return None
    read_field = log_filter.field(found["field"].strip())

    def search(entry: Entry) -> str | None:
        match = pattern.search(str(read_field(entry) or ""))
        return match[1] if match else None

    return search


def series(metric: Mapping[str, Any], entries: Iterable[Entry]) -> list[Series]:
    """A metric's series; entries of which no value can be taken count nothing. Refusal for a filter that the twin can't read."""
    lets_through, value_of = log_filter.read(str(metric["filter"])), _value_of(metric)
    labelled = {name: extractor(str(text)) for name, text in (metric.get("labelExtractors") or {}).items()}
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for entry in entries:
        value = value_of(entry) if lets_through.matches(entry) else None
        if value is None:
            continue
        labels = {name: (take(entry) if take else None) or "" for name, take in labelled.items()}
        resource = entry["resource"]
        key = (*sorted(labels.items()), ("", resource["type"]), *sorted(resource["labels"].items()))
        one = found.setdefault(key, {"labels": labels, "resource": resource, "values": defaultdict(list)})
        moment = datetime.fromisoformat(str(entry["timestamp"])).timestamp()
        one["values"][moment // MINUTE_S * MINUTE_S].append(value)
    return [Series(**one) for one in found.values()]


def typed(metric: Mapping[str, Any], values: list[float]) -> dict[str, Any]:
    """A minute's values as Monitoring tells them (API v3, TypedValue)."""
    if (metric.get("metricDescriptor") or {}).get("valueType") != "DISTRIBUTION":
        return {"int64Value": str(len(values))}
    mean = statistics.fmean(values)
    deviation = sum((value - mean) ** 2 for value in values)
    return {"distributionValue": {"count": str(len(values)), "mean": mean, "sumOfSquaredDeviation": deviation}}


def _value_of(metric: Mapping[str, Any]) -> Callable[[Entry], float | None]:
    """What an entry counts: 1, or the value that a distribution takes out of it."""
    take = extractor(str(metric.get("valueExtractor") or ""))
    if take is None:
        return lambda entry: 1.0

    def number(entry: Entry) -> float | None:
        try:
            return float(take(entry) or "")
        except ValueError:
            return None

    return number
