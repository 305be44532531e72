"""Alarms on dimensions that exist, and the mail that carries them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.aws.iam import Place, allow, document

PERIOD_S = 60
LATENCY_SHARE = 0.9
# As the functions and the model server write them (`handlers/functions/metrics.py`).
OWN_NAMESPACE, REQUEST_LATENCY, REQUESTS_THROTTLED = "Pilotlight", "RequestLatency", "RequestsThrottled"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One metric above `threshold` in `minutes` of the last `of`; `statistic` is `Sum`, `Maximum` or a percentile such as `p99`.

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
    of: int = 5
    without_data: Literal["notBreaching", "ignore"] = "notBreaching"


def repeated(*, statistic: str = "Sum", threshold: float = 0, **alarm: Any) -> Alarm:
    """What calls tell of, such as their failures, above `threshold` in two minutes of half an hour.

    What scales to zero may be called every ten minutes only: in three minutes of five nothing would ever be told of calls that all fail.
    One that fails alone is told to nobody.
    """
    return Alarm(statistic=statistic, threshold=threshold, minutes=2, of=30, **alarm)


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
    return repeated(
        role=role,
        text="The slowest hundredth of predictions comes close to the deadline.",
        namespace=OWN_NAMESPACE,
        metric=REQUEST_LATENCY,
        dimensions={"Service": service},
        statistic="p99",
        threshold=model_s * 1000 * LATENCY_SHARE,
    )


def throttle_alarm(role: str, service: str) -> Alarm:
    """Callers who are refused because an endpoint takes no more at a time. The function in front of it tells: SageMaker counts these among
    all answers of the 400s."""
    return repeated(
        role=role,
        text="Calls are refused because the endpoint takes no more at a time: raise endpoint.maxConcurrency, or let answers come later.",
        namespace=OWN_NAMESPACE,
        metric=REQUESTS_THROTTLED,
        dimensions={"Service": service},
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
                evaluation_periods=alarm.of,
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
