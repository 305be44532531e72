"""CloudWatch log groups and alarms, SNS topics: what they declare is kept; only log groups carry data (`pilotlight.twin.aws.logs`)."""

from __future__ import annotations

import hashlib
from typing import Any

from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"


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
    return problems


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
        check=lambda twin, inputs: _existing_topic(twin, str(inputs["topic"])),
        upsert=True,
    ),
)
INVOKES: tuple[Invoke, ...] = ()
