"""The part of the CloudWatch API that is about metrics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.metrics import Metrics, Series, is_known, series
from pilotlight.twin.rows import Refusal

Parameters = Mapping[str, Any]


def _time(value: Any) -> float:
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value)


def listed(metrics: Metrics, wanted: Parameters) -> dict[str, Any]:
    filters = {(one["Name"], one.get("Value")) for one in wanted.get("Dimensions") or []}
    found = [
        one
        for one in metrics.known()
        if wanted.get("Namespace") in (None, one.namespace)
        and wanted.get("MetricName") in (None, one.name)
        and all((name, value) in one.dimensions or (value is None and name in dict(one.dimensions)) for name, value in filters)
    ]
    return {"Metrics": [{"Namespace": one.namespace, "MetricName": one.name, "Dimensions": _dimensions(one)} for one in found]}


def _dimensions(one: Series) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in one.dimensions]


def _series(metric: Parameters) -> Series:
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}
    return series(str(metric.get("Namespace")), str(metric.get("MetricName")), dimensions)


def _points(metrics: Metrics, wanted: Series, statistic: str, window: tuple[float, float], period: int) -> list[tuple[datetime, float]]:
    if not is_known(statistic):
        raise Refusal("InvalidParameterValue", f"The twin knows no statistic {statistic!r}: use the plain ones or a percentile as p99.")
    if period < 60 or period % 60 or (window[1] - window[0]) / period > 1440:
        raise Refusal("InvalidParameterCombination", f"Period {period}: use a multiple of 60 seconds, for at most 1,440 points.")
    start, found = window[0] // period * period, []
    while start < window[1]:
        value = metrics.statistic(wanted, start, start + period, statistic)
        if value is not None:
            found.append((datetime.fromtimestamp(start, UTC), value))
        start += period
    return found


def statistics(metrics: Metrics, wanted: Parameters) -> dict[str, Any]:
    window, period = (_time(wanted["StartTime"]), _time(wanted["EndTime"])), int(wanted["Period"])
    points: dict[datetime, dict[str, Any]] = {}
    for statistic in wanted.get("Statistics") or []:
        for moment, value in _points(metrics, _series(wanted), statistic, window, period):
            points.setdefault(moment, {"Timestamp": moment, "Unit": "None"})[statistic] = value
    for statistic in wanted.get("ExtendedStatistics") or []:
        for moment, value in _points(metrics, _series(wanted), statistic, window, period):
            held = points.setdefault(moment, {"Timestamp": moment, "Unit": "None"})
            held.setdefault("ExtendedStatistics", {})[statistic] = value
    return {"Label": wanted.get("MetricName"), "Datapoints": list(points.values())}


def data(metrics: Metrics, wanted: Parameters) -> dict[str, Any]:
    window = (_time(wanted["StartTime"]), _time(wanted["EndTime"]))
    results = []
    for query in wanted.get("MetricDataQueries") or []:
        stat = query.get("MetricStat")
        if not stat:
            raise Refusal("ValidationError", "The twin answers queries with a MetricStat, not expressions.")
        found = _points(metrics, _series(stat["Metric"]), str(stat["Stat"]), window, int(stat["Period"]))
        found = found if wanted.get("ScanBy") == "TimestampAscending" else found[::-1]
        label = query.get("Label") or stat["Metric"].get("MetricName")
        points = {"Timestamps": [moment for moment, _ in found], "Values": [value for _, value in found]}
        results.append({"Id": query["Id"], "Label": label, "StatusCode": "Complete", **points})
    return {"MetricDataResults": results}


def put(metrics: Metrics, wanted: Parameters) -> dict[str, Any]:
    for datum in wanted.get("MetricData") or []:
        one = _series({**datum, "Namespace": wanted.get("Namespace")})
        at = _time(datum["Timestamp"]) if datum.get("Timestamp") is not None else None
        if datum.get("StatisticValues") or datum.get("Counts"):
            raise Refusal("InvalidParameterValue", "The twin takes Value and Values, not StatisticValues or Counts.")
        for value in datum.get("Values") or [datum.get("Value")]:
            metrics.put(one.namespace, {one.name: float(value)}, dict(one.dimensions), at=at)
    return {}
