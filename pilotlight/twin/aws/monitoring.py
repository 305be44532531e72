"""What the engine must know of CloudWatch's and SNS's resource types; what they do is in `logs.py`, `alarms.py` and `sns.py`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pilotlight.twin.aws import metric_judge
from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ALARM_STATE = "pilotlight:cloudwatch/alarmState:AlarmState"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
# CloudWatch API reference, "Dashboard body structure and syntax".
_WIDGETS = ("metric", "text", "log", "alarm", "explorer", "custom")
_GRID = 24
_MAX_WIDGETS = 500


def _log_group(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:logs:{inputs['region']}:{twin.account}:log-group:{inputs['name']}",
        "logGroupClass": inputs.get("logGroupClass", "STANDARD"),
        "retentionInDays": inputs.get("retentionInDays", 0),
        "deletionProtectionEnabled": inputs.get("deletionProtectionEnabled", False),
    }


def _create_log_group(twin: Twin, resource: Resource) -> None:
    twin.logs.create_group(resource["name"])


def _delete_log_group(twin: Twin, resource: Resource) -> None:
    if resource.get("deletionProtectionEnabled"):
        raise Refusal("ValidationException", f"The log group {resource['name']} has deletion protection: turn it off first.")
    if not resource.get("skipDestroy"):
        twin.logs.delete_group(resource["name"])


def _alarm(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:cloudwatch:{inputs['region']}:{twin.account}:alarm:{inputs['name']}",
        "evaluateLowSampleCountPercentiles": inputs.get("evaluateLowSampleCountPercentiles", ""),
    }


def _alarm_limits(inputs: Properties) -> list[str]:
    """What PutMetricAlarm refuses across its fields (CloudWatch API reference, read 2026-11)."""
    problems = []
    named = [field for field in ("metricName", "metricQueries") if field in inputs]
    if named == ["metricName"] and ("statistic" in inputs) == ("extendedStatistic" in inputs):
        problems.append("statistic: exactly one of statistic and extendedStatistic must be set.")
    points, periods = inputs.get("datapointsToAlarm"), inputs.get("evaluationPeriods")
    if points is not None and periods is not None and points > periods:
        problems.append(f"datapointsToAlarm: {points} is more than evaluationPeriods, {periods}.")
    period = inputs.get("period")
    if period is not None and period not in (10, 20, 30) and period % 60:
        problems.append(f"period: {period} is not allowed: use 10, 20, 30 or a multiple of 60 seconds.")
    return [*problems, *metric_judge.problems(inputs, whole=False)]


def _check_alarm(twin: Twin, inputs: Properties) -> None:
    for problem in metric_judge.problems(inputs):
        raise Refusal("ValidationError", problem)


def _dashboard_limits(inputs: Properties) -> list[str]:
    """What PutDashboard refuses of a body."""
    try:
        body = json.loads(inputs["dashboardBody"]) if "dashboardBody" in inputs else {}
    except ValueError as error:
        return [f"dashboardBody: is no JSON: {error}."]
    widgets = body.get("widgets", []) if isinstance(body, dict) else None
    if not isinstance(widgets, list) or len(widgets) > _MAX_WIDGETS:
        return [f"dashboardBody: must be an object with at most {_MAX_WIDGETS} widgets."]
    return [f"dashboardBody: widgets[{place}]: {text}" for place, widget in enumerate(widgets) for text in _widget_problems(widget)]


def _widget_problems(widget: Any) -> list[str]:
    if not isinstance(widget, dict) or widget.get("type") not in _WIDGETS or not isinstance(widget.get("properties"), dict):
        return [f"must be an object with a type ({', '.join(_WIDGETS)}) and properties."]
    found = [
        f"{name} {widget[name]!r}: use a whole number from {low} to {high}."
        for name, low, high in (("x", 0, _GRID - 1), ("y", 0, 10**6), ("width", 1, _GRID), ("height", 1, 1000))
        if name in widget and not (isinstance(widget[name], int) and low <= widget[name] <= high)
    ]
    properties = widget["properties"]
    if widget["type"] in ("metric", "log") and not properties.get("region"):
        found.append("properties.region is missing.")
    if widget["type"] == "metric" and not (properties.get("metrics") or properties.get("annotations")):
        found.append("properties needs metrics, or annotations with an alarm.")
    if not all(isinstance(metric, list) and metric for metric in properties.get("metrics") or []):
        return [*found, "properties.metrics must be a list of lists."]
    return [*found, *(f"properties.{problem}" for problem in metric_judge.widget_problems(properties))]


def _topic(twin: Twin, inputs: Properties) -> dict[str, Any]:
    arn = f"arn:aws:sns:{inputs['region']}:{twin.account}:{inputs['name']}"
    return {"arn": arn, "owner": twin.account, "beginningArchiveTime": ""}


def _existing_topic(twin: Twin, arn: str) -> None:
    if twin.world.one(TOPIC, arn=arn) is None:
        raise Refusal("NotFoundException", f"Topic does not exist: {arn}", 404)


def _topic_policy_limits(inputs: Properties) -> list[str]:
    try:
        parse(inputs["policy"]) if "policy" in inputs else ()
    except PolicyError as error:
        return [f"policy: Invalid parameter: Policy Error: {error}."]
    return []


def _subscription(twin: Twin, inputs: Properties) -> dict[str, Any]:
    key = hashlib.sha256(f"{inputs['protocol']} {inputs['endpoint']}".encode()).hexdigest()
    # People confirm by a link in a message; the twin sends none, so such a subscription stays pending.
    pending = inputs["protocol"] in ("email", "email-json", "http", "https")
    return {
        "arn": f"{inputs['topic']}:{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:32]}",
        "ownerId": twin.account,
        "pendingConfirmation": pending,
        "confirmationWasAuthenticated": not pending,
        "filterPolicyScope": inputs.get("filterPolicyScope", ""),
    }


def _subscription_limits(inputs: Properties) -> list[str]:
    found = ["filterPolicy: the local twin delivers every message."] if inputs.get("filterPolicy") else []
    if inputs.get("protocol") not in (None, "lambda", "sqs", "email", "email-json"):
        found.append(f"protocol: {inputs['protocol']!r}: the local twin delivers to lambda, sqs and email.")
    return found


ROWS: tuple[Row, ...] = (
    Row(
        token=LOG_GROUP,
        id=lambda p: str(p["name"]),
        name=Name(field="name", max_length=512),
        replaces=frozenset({"name", "namePrefix", "region", "logGroupClass"}),
        computed=_log_group,
        cfn="AWS::Logs::LogGroup",
        rename={"name": "LogGroupName", "retentionInDays": "RetentionInDays"},
        create=_create_log_group,
        delete=_delete_log_group,
    ),
    Row(
        token=ALARM,
        id=lambda p: str(p["name"]),
        name=Name(field="name", max_length=255),
        replaces=frozenset({"name", "region"}),
        computed=_alarm,
        cfn="AWS::CloudWatch::Alarm",
        rename={"name": "AlarmName", "dimensions": "", "okActions": "OKActions", "metricQueries": ""},
        limits=_alarm_limits,
        check=_check_alarm,
        delete=lambda twin, alarm: twin.world.delete(ALARM_STATE, alarm.id),
        upsert=True,
    ),
    Row(
        token=DASHBOARD,
        id=lambda p: str(p["dashboardName"]),
        replaces=frozenset({"dashboardName", "region"}),
        computed=lambda twin, inputs: {"dashboardArn": f"arn:aws:cloudwatch::{twin.account}:dashboard/{inputs['dashboardName']}"},
        cfn="AWS::CloudWatch::Dashboard",
        limits=_dashboard_limits,
        upsert=True,
    ),
    Row(
        token=TOPIC,
        id=lambda p: str(p["arn"]),
        name=Name(field="name", max_length=256, pattern=r"[\w-]+(?:\.fifo)?"),
        replaces=frozenset({"name", "namePrefix", "region", "fifoTopic"}),
        computed=_topic,
        cfn="AWS::SNS::Topic",
        rename={"name": "TopicName", "policy": "", "deliveryPolicy": "", "archivePolicy": ""},
    ),
    Row(
        token=TOPIC_POLICY,
        id=lambda p: str(p["arn"]),
        replaces=frozenset({"arn", "region"}),
        computed=lambda twin, inputs: {"owner": twin.account},
        limits=_topic_policy_limits,
        check=lambda twin, inputs: _existing_topic(twin, str(inputs["arn"])),
        upsert=True,
    ),
    Row(
        token=SUBSCRIPTION,
        id=lambda p: str(p["arn"]),
        replaces=frozenset({"topic", "protocol", "endpoint", "region"}),
        computed=_subscription,
        cfn="AWS::SNS::Subscription",
        rename={"topic": "TopicArn", "filterPolicy": "", "deliveryPolicy": "", "redrivePolicy": "", "replayPolicy": ""},
        limits=_subscription_limits,
        check=lambda twin, inputs: _existing_topic(twin, str(inputs["topic"])),
        upsert=True,
    ),
)
INVOKES: tuple[Invoke, ...] = ()
