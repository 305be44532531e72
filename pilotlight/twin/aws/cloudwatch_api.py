"""The CloudWatch API: alarms and their states, metrics, dashboards. Clients speak rpc-v2-cbor (boto3 does) or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.metrics import Series, is_known, series
from pilotlight.twin.cbor import BadCbor, decode, encode
from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.alarms import Alarms

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
_PATH = re.compile(r"/service/GraniteServiceVersion20100801/operation/(?P<name>\w+)")
# CloudWatch API reference, DescribeAlarms: at most 100 an answer.
PAGE_ITEMS = 100
Parameters = Mapping[str, Any]
_FIELDS = (
    "AlarmActions", "AlarmDescription", "ComparisonOperator", "DatapointsToAlarm", "EvaluationPeriods", "ExtendedStatistic",
    "InsufficientDataActions", "MetricName", "Namespace", "Period", "Statistic", "Threshold", "TreatMissingData", "Unit",
)  # fmt: skip


def _asked(request: AwsRequest) -> tuple[str, dict[str, Any]]:
    match = _PATH.fullmatch(request.path)
    if match is None:
        if "x-amz-target" not in request.headers:
            raise Refusal("NotImplemented", "The twin's CloudWatch speaks rpc-v2-cbor and JSON, not the query protocol.", 501)
        return operation(request.headers, request.body)
    try:
        parameters = decode(request.body) if request.body else {}
    except BadCbor as error:
        raise Refusal("SerializationException", str(error)) from None
    if not isinstance(parameters, dict):
        raise Refusal("SerializationException", "The request's body is no mapping.")
    return match["name"], parameters


def _operations(service: Alarms) -> dict[str, Callable[[Parameters], dict[str, Any]]]:
    return {
        "DescribeAlarms": lambda wanted: _alarms(service, wanted),
        "ListMetrics": lambda wanted: _listed(service, wanted),
        "GetMetricStatistics": lambda wanted: _statistics(service, wanted),
        "GetMetricData": lambda wanted: _data(service, wanted),
        "PutMetricData": lambda wanted: _put(service, wanted),
        "ListDashboards": lambda wanted: {"DashboardEntries": [_entry(one) for one in service.twin.world.find(DASHBOARD)]},
        "GetDashboard": lambda wanted: _dashboard(service, str(wanted.get("DashboardName"))),
    }


def actions(service: Alarms, request: AwsRequest) -> list[tuple[str, str]]:
    name, wanted = _asked(request)
    known = [*_operations(service), "SetAlarmState"]
    if name not in known:
        raise Refusal("UnknownOperationException", f"The twin does not serve cloudwatch:{name}; it serves {', '.join(known)}.")
    account = service.twin.account
    if name in ("DescribeAlarms", "SetAlarmState"):
        return [(f"cloudwatch:{name}", f"arn:aws:cloudwatch:{request.region}:{account}:alarm:{wanted.get('AlarmName', '*')}")]
    if name == "GetDashboard":
        return [("cloudwatch:GetDashboard", f"arn:aws:cloudwatch::{account}:dashboard/{wanted.get('DashboardName', '')}")]
    return [(f"cloudwatch:{name}", "*")]


async def handle(service: Alarms, request: AwsRequest) -> AwsResponse:
    name, wanted = _asked(request)
    if name == "SetAlarmState":
        content: dict[str, Any] = await _set(service, wanted)
    else:
        content = _operations(service)[name](wanted)
    if _PATH.fullmatch(request.path):
        return AwsResponse(headers={"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, body=encode(content))
    return AwsResponse(headers={"content-type": "application/x-amz-json-1.0"}, body=json.dumps(content, default=_epoch).encode())


def _epoch(value: Any) -> float:
    assert isinstance(value, datetime)
    return value.timestamp()


def _time(value: Any) -> float:
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value)


def _alarms(service: Alarms, wanted: Parameters) -> dict[str, Any]:
    names, prefix, value = wanted.get("AlarmNames"), wanted.get("AlarmNamePrefix"), wanted.get("StateValue")
    found = [
        alarm
        for alarm in sorted(service.twin.world.find(ALARM), key=lambda one: str(one["name"]))
        if (not names or alarm["name"] in names)
        and str(alarm["name"]).startswith(str(prefix or ""))
        and value in (None, service.state(alarm).value)
    ]
    token = str(wanted.get("NextToken") or "0")
    start, size = int(token) if token.isdigit() else 0, min(int(wanted.get("MaxRecords") or PAGE_ITEMS), PAGE_ITEMS)
    rest = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return {"MetricAlarms": [_described(service, alarm) for alarm in found[start : start + size]], "CompositeAlarms": [], **rest}


def _described(service: Alarms, alarm: Resource) -> dict[str, Any]:
    state = service.state(alarm)
    changed = datetime.fromtimestamp(state.since, UTC)
    return {
        **{name: alarm[_camel(name)] for name in _FIELDS if alarm.get(_camel(name)) is not None},
        "AlarmName": alarm["name"],
        "AlarmArn": alarm["arn"],
        "ActionsEnabled": bool(alarm.get("actionsEnabled", True)),
        "OKActions": alarm.get("okActions") or [],
        "Dimensions": [{"Name": name, "Value": value} for name, value in (alarm.get("dimensions") or {}).items()],
        "StateValue": state.value,
        "StateReason": state.reason,
        "StateUpdatedTimestamp": changed,
        "StateTransitionedTimestamp": changed,
    }


async def _set(service: Alarms, wanted: Parameters) -> dict[str, Any]:
    alarm = service.twin.world.one(ALARM, name=wanted.get("AlarmName"))
    if alarm is None:
        raise Refusal("ResourceNotFound", f"The alarm {wanted.get('AlarmName')} does not exist.", 404)
    await service.become(alarm, str(wanted.get("StateValue")), str(wanted.get("StateReason") or ""))
    return {}


def _listed(service: Alarms, wanted: Parameters) -> dict[str, Any]:
    filters = {(one["Name"], one.get("Value")) for one in wanted.get("Dimensions") or []}
    found = [
        one
        for one in service.twin.metrics.known()
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


def _points(service: Alarms, wanted: Series, statistic: str, window: tuple[float, float], period: int) -> list[tuple[datetime, float]]:
    if not is_known(statistic):
        raise Refusal("InvalidParameterValue", f"The twin knows no statistic {statistic!r}: use the plain ones or a percentile as p99.")
    if period < 60 or period % 60 or (window[1] - window[0]) / period > 1440:
        raise Refusal("InvalidParameterCombination", f"Period {period}: use a multiple of 60 seconds, for at most 1,440 points.")
    start, found = window[0] // period * period, []
    while start < window[1]:
        value = service.twin.metrics.statistic(wanted, start, start + period, statistic)
        if value is not None:
            found.append((datetime.fromtimestamp(start, UTC), value))
        start += period
    return found


def _statistics(service: Alarms, wanted: Parameters) -> dict[str, Any]:
    window, period = (_time(wanted["StartTime"]), _time(wanted["EndTime"])), int(wanted["Period"])
    points: dict[datetime, dict[str, Any]] = {}
    for statistic in wanted.get("Statistics") or []:
        for moment, value in _points(service, _series(wanted), statistic, window, period):
            points.setdefault(moment, {"Timestamp": moment, "Unit": "None"})[statistic] = value
    for statistic in wanted.get("ExtendedStatistics") or []:
        for moment, value in _points(service, _series(wanted), statistic, window, period):
            held = points.setdefault(moment, {"Timestamp": moment, "Unit": "None"})
            held.setdefault("ExtendedStatistics", {})[statistic] = value
    return {"Label": wanted.get("MetricName"), "Datapoints": list(points.values())}


def _data(service: Alarms, wanted: Parameters) -> dict[str, Any]:
    window = (_time(wanted["StartTime"]), _time(wanted["EndTime"]))
    results = []
    for query in wanted.get("MetricDataQueries") or []:
        stat = query.get("MetricStat")
        if not stat:
            raise Refusal("ValidationError", "The twin answers queries with a MetricStat, not expressions.")
        found = _points(service, _series(stat["Metric"]), str(stat["Stat"]), window, int(stat["Period"]))
        found = found if wanted.get("ScanBy") == "TimestampAscending" else found[::-1]
        label = query.get("Label") or stat["Metric"].get("MetricName")
        points = {"Timestamps": [moment for moment, _ in found], "Values": [value for _, value in found]}
        results.append({"Id": query["Id"], "Label": label, "StatusCode": "Complete", **points})
    return {"MetricDataResults": results}


def _put(service: Alarms, wanted: Parameters) -> dict[str, Any]:
    for datum in wanted.get("MetricData") or []:
        one = _series({**datum, "Namespace": wanted.get("Namespace")})
        at = _time(datum["Timestamp"]) if datum.get("Timestamp") is not None else None
        if datum.get("StatisticValues") or datum.get("Counts"):
            raise Refusal("InvalidParameterValue", "The twin takes Value and Values, not StatisticValues or Counts.")
        for value in datum.get("Values") or [datum.get("Value")]:
            service.twin.metrics.put(one.namespace, {one.name: float(value)}, dict(one.dimensions), at=at)
    return {}


def _entry(dashboard: Resource) -> dict[str, Any]:
    return {
        "DashboardName": dashboard["dashboardName"],
        "DashboardArn": dashboard["dashboardArn"],
        "Size": len(dashboard["dashboardBody"].encode()),
    }


def _dashboard(service: Alarms, name: str) -> dict[str, Any]:
    found = service.twin.world.one(DASHBOARD, dashboardName=name)
    if found is None:
        raise Refusal("ResourceNotFound", f"Dashboard {name} does not exist", 404)
    return {"DashboardArn": found["dashboardArn"], "DashboardBody": found["dashboardBody"], "DashboardName": name}


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
