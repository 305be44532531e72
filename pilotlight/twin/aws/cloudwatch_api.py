"""The CloudWatch API: alarms and their states, metrics, dashboards. Clients speak rpc-v2-cbor (boto3 does) or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import cloudwatch_metrics as metric_api
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
        "ListMetrics": lambda wanted: metric_api.listed(service.twin.metrics, wanted),
        "GetMetricStatistics": lambda wanted: metric_api.statistics(service.twin.metrics, wanted),
        "GetMetricData": lambda wanted: metric_api.data(service.twin.metrics, wanted),
        "PutMetricData": lambda wanted: metric_api.put(service.twin.metrics, wanted),
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
