"""Alarms on dimensions that exist, and the mail that carries them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.aws.iam import Place, allow, document

PERIOD_S = 60
LATENCY_SHARE = 0.9
# As the functions and the model server write them (`handlers/functions/metrics.py`).
OWN_NAMESPACE, REQUEST_LATENCY = "Pilotlight", "RequestLatency"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One metric above `threshold` in `minutes` of 5; `statistic` is `Sum`, `Maximum` or a percentile such as `p99`.

    `without_data` is what minutes without figures mean: at zero there is no traffic, and no traffic is no failure.
    """

    role: str
    text: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    threshold: float
    minutes: int = 3
    without_data: Literal["notBreaching", "ignore"] = "notBreaching"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric that a dashboard shows and no alarm watches, in some statistics."""

    title: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistics: Sequence[str]


def latency_alarm(role: str, service: str, model_s: int) -> Alarm:
    """Requests that take the model server almost as long as a prediction may, in the milliseconds that it tells of them itself: the
    platforms' own latencies of a model count the pings of a warming plan too."""
    return Alarm(
        role=role,
        text="The slowest hundredth of predictions comes close to the deadline.",
        namespace=OWN_NAMESPACE,
        metric=REQUEST_LATENCY,
        dimensions={"Service": service},
        statistic="p99",
        threshold=model_s * 1000 * LATENCY_SHARE,
    )


def publish(place: Place, topic: str) -> Mapping[str, object]:
    """Only this account's alarms may publish to the topic."""
    condition = {"StringEquals": {"aws:SourceAccount": place.account}}
    return document(allow("sns:Publish", place.arn("sns", topic), Principal={"Service": "cloudwatch.amazonaws.com"}, Condition=condition))


class Watch(pulumi.ComponentResource):
    """The alarms of a service and, where an address is given, the topic that mails them.

    The topic is not encrypted: alarms can't publish through the key that AWS manages, and a key of one's own costs at rest.
    """

    def __init__(
        self,
        name: str,
        topic_name: str,
        place: Place,
        alarms: Sequence[Alarm],
        email: str | None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:Watch", name, None, opts)
        actions = None if email is None else [self._mail(name, topic_name, place, email)]
        for alarm in alarms:
            percentile = alarm.statistic.startswith("p")
            aws.cloudwatch.MetricAlarm(
                f"{name}-{alarm.role}",
                alarm_description=alarm.text,
                namespace=alarm.namespace,
                metric_name=alarm.metric,
                dimensions=alarm.dimensions,
                statistic=None if percentile else alarm.statistic,
                extended_statistic=alarm.statistic if percentile else None,
                period=PERIOD_S,
                evaluation_periods=5,
                datapoints_to_alarm=alarm.minutes,
                threshold=alarm.threshold,
                comparison_operator="GreaterThanThreshold",
                treat_missing_data=alarm.without_data,
                alarm_actions=actions,
                ok_actions=actions,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def _mail(self, name: str, topic_name: str, place: Place, email: str) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(f"{name}-topic", name=topic_name, opts=child)
        policy = aws.sns.TopicPolicy(
            f"{name}-topic-policy",
            arn=topic.arn,
            policy=json.dumps(publish(place, topic_name)),
            opts=child,
        )
        aws.sns.TopicSubscription(f"{name}-mail", topic=topic.arn, protocol="email", endpoint=email, opts=child)
        # Through the policy, so that no alarm exists before it may publish.
        return policy.arn
