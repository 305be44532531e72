"""Alert policies, on metrics that exist and on lines of the log, and the mail that carries them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import MONITORING
from components.gcp.context import GcpContext

PERIOD_S = 60
# The least that Monitoring takes: an incident of a service that went to rest ends by itself.
CLOSED_S = 1800
LATENCY_SHARE = 0.9
# How often a policy that looks for lines mails at most.
TOLD_EVERY_S = 3600


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One metric above `threshold` for `minutes` in a row, with 0 in any one: what scales to zero may be called every ten minutes only, and
    calls that all fail would never be told. `statistic` is of each minute: a sum, the 99th percentile, or the highest.

    `resource` is the monitored resource's type, `of` its labels, `where` the metric's, `but` those that do not count. Minutes without
    figures are good ones: at zero there is no traffic, and no traffic is no failure.
    """

    role: str
    text: str
    metric: str
    resource: str
    of: Mapping[str, pulumi.Input[str]]
    where: Mapping[str, str] = field(default_factory=dict)
    but: Mapping[str, str] = field(default_factory=dict)
    statistic: Literal["sum", "p99", "max"]
    threshold: float
    minutes: int = 3

    def filter(self) -> pulumi.Output[str]:
        """Monitoring's filter."""
        fixed = [f'resource.type = "{self.resource}"', f'metric.type = "{self.metric}"']
        fixed += [f'metric.labels.{key} = "{value}"' for key, value in self.where.items()]
        fixed += [f'metric.labels.{key} != "{value}"' for key, value in self.but.items()]
        own = [pulumi.Output.format('resource.labels.{0} = "{1}"', key, value) for key, value in self.of.items()]
        return pulumi.Output.all(*own).apply(lambda known: " AND ".join([*fixed, *known]))


@dataclass(frozen=True, kw_only=True)
class LogAlarm:
    """A line of the log that `lines`, a filter of Cloud Logging, lets through. A metric of lines would not do: Monitoring refuses a policy
    on one that was made a moment ago (hashicorp/terraform-provider-google, issue 11102)."""

    role: str
    text: str
    lines: pulumi.Input[str]


# How figures of one minute are made of a series' points, and how those of several series (revisions, say) go together.
ALIGNED = {
    "sum": ("ALIGN_DELTA", "REDUCE_SUM"),
    "p99": ("ALIGN_PERCENTILE_99", "REDUCE_MAX"),
    "max": ("ALIGN_MAX", "REDUCE_MAX"),
}


def errors(role: str, text: str, service: pulumi.Input[str], *, again: bool = False) -> Alarm:
    """Answers of the 500s of a Cloud Run service; without 503 where that only asks for the same `again`."""
    return Alarm(
        role=f"{role}-errors",
        text=text,
        metric="run.googleapis.com/request_count",
        resource="cloud_run_revision",
        of={"service_name": service},
        where={"response_code_class": "5xx"},
        but={"response_code": "503"} if again else {},
        statistic="sum",
        threshold=0,
        minutes=0,
    )


def latency(role: str, text: str, service: pulumi.Input[str], timeout_s: int) -> Alarm:
    """Durations close to a timeout (the metric is in milliseconds, and does not count the start of an instance)."""
    return Alarm(
        role=f"{role}-latency",
        text=text,
        metric="run.googleapis.com/request_latencies",
        resource="cloud_run_revision",
        of={"service_name": service},
        statistic="p99",
        threshold=timeout_s * 1000 * LATENCY_SHARE,
        minutes=0,
    )


def late(role: str, text: str, service: pulumi.Input[str], region: str, model_s: int) -> LogAlarm:
    """Requests that take a model server almost as long as a prediction may: Cloud Run's own latencies count the pings of a warming plan
    too."""
    ms = f"{model_s * 1000 * LATENCY_SHARE:.0f}"
    of_service = f'resource.type="cloud_run_revision" AND resource.labels.location="{region}" AND resource.labels.service_name="{{0}}"'
    slow = f'AND jsonPayload.event="request" AND jsonPayload.ms>{ms}'
    return LogAlarm(role=role, text=text, lines=pulumi.Output.format(f"{of_service} {slow}", service))


class Watch(pulumi.ComponentResource):
    """The alert policies of a service and, where an address is given, the channel that mails them."""

    def __init__(
        self, name: str, home: GcpContext, alarms: Sequence[Alarm | LogAlarm], email: str | None, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:Watch", name, None, opts)
        ready = pulumi.ResourceOptions(parent=self, depends_on=home.apis.enabled(name, self, MONITORING))
        channels = None if email is None else [channel(name, home, email, ready).name]
        for alarm in alarms:
            gcp.monitoring.AlertPolicy(
                f"{name}-{alarm.role}",
                display_name=f"{home.names.prefix} {alarm.role}",
                combiner="OR",
                conditions=[_condition(alarm) if isinstance(alarm, Alarm) else _matched(alarm)],
                documentation=gcp.monitoring.AlertPolicyDocumentationArgs(content=alarm.text, mime_type="text/markdown"),
                alert_strategy=_strategy(alarm),
                notification_channels=channels,
                opts=ready,
            )
        self.register_outputs({})


def channel(name: str, home: GcpContext, email: str, opts: pulumi.ResourceOptions) -> gcp.monitoring.NotificationChannel:
    """What mails to one address."""
    return gcp.monitoring.NotificationChannel(
        f"{name}-mail", display_name=f"{home.names.prefix} mail", type="email", labels={"email_address": email}, opts=opts
    )


def _condition(alarm: Alarm) -> "gcp.monitoring.AlertPolicyConditionArgs":
    aligner, reducer = ALIGNED[alarm.statistic]
    return gcp.monitoring.AlertPolicyConditionArgs(
        display_name=alarm.role,
        condition_threshold=gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter=alarm.filter(),
            aggregations=[
                gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                    alignment_period=f"{PERIOD_S}s", per_series_aligner=aligner, cross_series_reducer=reducer
                )
            ],
            comparison="COMPARISON_GT",
            threshold_value=alarm.threshold,
            duration=f"{alarm.minutes * PERIOD_S}s",
            # Of a duration alone (Monitoring API v3, MetricThreshold); without one an incident that nothing tells of any more is closed.
            evaluation_missing_data="EVALUATION_MISSING_DATA_INACTIVE" if alarm.minutes else None,
            trigger=gcp.monitoring.AlertPolicyConditionConditionThresholdTriggerArgs(count=1),
        ),
    )


def _matched(alarm: LogAlarm) -> "gcp.monitoring.AlertPolicyConditionArgs":
    matched = gcp.monitoring.AlertPolicyConditionConditionMatchedLogArgs(filter=alarm.lines)
    return gcp.monitoring.AlertPolicyConditionArgs(display_name=alarm.role, condition_matched_log=matched)


def _strategy(alarm: Alarm | LogAlarm) -> "gcp.monitoring.AlertPolicyAlertStrategyArgs":
    """Monitoring wants to know of policies on lines, and of these alone, how often they may mail (Monitoring API v3, AlertStrategy)."""
    limit = gcp.monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs
    seldom = limit(period=f"{TOLD_EVERY_S}s") if isinstance(alarm, LogAlarm) else None
    return gcp.monitoring.AlertPolicyAlertStrategyArgs(auto_close=f"{CLOSED_S}s", notification_rate_limit=seldom)
