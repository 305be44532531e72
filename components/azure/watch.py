"""Alerts, on metrics that exist and on lines where there are none, and the mail that carries them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.azure.log_watch import LogAlarm, log_alert

APPS, JOBS, GATEWAYS = "Microsoft.App/containerApps", "Microsoft.App/jobs", "Microsoft.ApiManagement/service"
QUEUES, TOPICS = "Microsoft.Storage/storageAccounts/queueServices", "Microsoft.EventGrid/systemTopics"
EVERY, WINDOW = "PT1M", "PT5M"
# For figures that come once a day: the seldomest check, over what surely holds one of them.
SELDOM, DAY = "PT1H", "P1D"
# A replica that starts and ends so often does so by itself.
MOST_RESTARTS = 2
# Of 0 to 4: an error, nothing critical.
SEVERITY = 1


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One metric of one resource (`scope`, of the type `namespace`) above `threshold`, looked at every minute over five, or by the hour
    over a day where figures come `daily`; `where` are values of the metric's dimensions. Minutes without figures are good ones: at zero
    there is no traffic.

    Metrics: Azure Monitor documentation, supported metrics by resource type (2026-11).
    """

    role: str
    text: str
    scope: pulumi.Input[str]
    namespace: str
    metric: str
    where: dict[str, str] = field(default_factory=dict)
    statistic: Literal["Total", "Maximum", "Average"]
    threshold: float
    daily: bool = False


def errors(role: str, text: str, app: pulumi.Input[str]) -> Alarm:
    """Answers of the 500s of a container app."""
    return Alarm(
        role=f"{role}-errors",
        text=text,
        scope=app,
        namespace=APPS,
        metric="Requests",
        where={"statusCodeCategory": "5xx"},
        statistic="Total",
        threshold=0,
    )


def restarts(role: str, text: str, app: pulumi.Input[str]) -> Alarm:
    """Replicas of a container app that end and are started again. Without an ingress there are no requests that could fail."""
    return Alarm(
        role=f"{role}-restarts",
        text=text,
        scope=app,
        namespace=APPS,
        metric="RestartCount",
        statistic="Maximum",
        threshold=MOST_RESTARTS,
    )


def failed(role: str, text: str, job: pulumi.Input[str]) -> Alarm:
    """Executions of a job that fail."""
    return Alarm(
        role=f"{role}-errors",
        text=text,
        scope=job,
        namespace=JOBS,
        metric="Executions",
        where={"state": "Failed"},
        statistic="Total",
        threshold=0,
    )


def put(role: str, text: str, queues: pulumi.Input[str]) -> Alarm:
    """Messages that were put into any queue of an account, by the id of its queue service."""
    return Alarm(
        role=role,
        text=text,
        scope=queues,
        namespace=QUEUES,
        metric="Transactions",
        where={"ApiName": "PutMessage", "ResponseType": "Success"},
        statistic="Total",
        threshold=0,
    )


def waiting(role: str, text: str, queues: pulumi.Input[str], most: int) -> Alarm:
    """More than `most` messages in all queues of an account. No metric tells how long they wait, and how many there are is refreshed once
    a day (Azure Storage documentation, best practices for monitoring Queue Storage): it is for what was missed, not for the moment."""
    return Alarm(
        role=role,
        text=text,
        scope=queues,
        namespace=QUEUES,
        metric="QueueMessageCount",
        statistic="Average",
        threshold=most,
        daily=True,
    )


def undelivered(topic: pulumi.Input[str]) -> list[Alarm]:
    """Events of a system topic that Event Grid gave up: among its dead letters, or nowhere."""
    metrics = {"events-undelivered": "DeadLetteredCount", "events-dropped": "DroppedEventCount"}
    return [
        Alarm(
            role=role,
            text="Events could not be put into their queue.",
            scope=topic,
            namespace=TOPICS,
            metric=metric,
            statistic="Total",
            threshold=0,
        )
        for role, metric in metrics.items()
    ]


def gateway_errors(service: pulumi.Input[str]) -> Alarm:
    """Answers of the 500s, as callers see them."""
    return Alarm(
        role="gateway-errors",
        text="Callers get 5XX answers.",
        scope=service,
        namespace=GATEWAYS,
        metric="Requests",
        where={"GatewayResponseCodeCategory": "5xx"},
        statistic="Total",
        threshold=0,
    )


class Watch(pulumi.ComponentResource):
    """The alerts of a service and, where an address is given, the action group that mails them."""

    def __init__(
        self, name: str, home: AzureContext, alarms: Sequence[Alarm | LogAlarm], email: str | None, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:Watch", name, None, opts)
        group, inside = home.group(name, self), pulumi.ResourceOptions(parent=self)
        mail = None if email is None else _mail(name, group, email, inside)
        for alarm in alarms:
            if isinstance(alarm, LogAlarm):
                log_alert(name, alarm, group, home.lines(), SEVERITY, mail, inside)
                continue
            azure.monitor.MetricAlert(
                f"{name}-{alarm.role}",
                rule_name=alarm.role,
                resource_group_name=group,
                location="global",
                description=alarm.text,
                enabled=True,
                severity=SEVERITY,
                auto_mitigate=True,
                scopes=[alarm.scope],
                evaluation_frequency=SELDOM if alarm.daily else EVERY,
                window_size=DAY if alarm.daily else WINDOW,
                criteria=_criteria(alarm),
                actions=None if mail is None else [azure.monitor.MetricAlertActionArgs(action_group_id=mail.id)],
                opts=inside,
            )
        self.register_outputs({})


def _mail(name: str, group: pulumi.Input[str], email: str, opts: pulumi.ResourceOptions) -> azure.monitor.ActionGroup:
    receiver = azure.monitor.MicrosoftCommonEmailReceiverArgs(name="mail", email_address=email, use_common_alert_schema=True)
    return azure.monitor.ActionGroup(
        f"{name}-mail",
        action_group_name="mail",
        group_short_name="pilotlight",
        resource_group_name=group,
        location="global",
        enabled=True,
        email_receivers=[receiver],
        opts=opts,
    )


def _criteria(alarm: Alarm) -> azure.monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs:
    one = azure.monitor.MetricCriteriaArgs(
        criterion_type="StaticThresholdCriterion",
        name=alarm.role,
        metric_namespace=alarm.namespace,
        metric_name=alarm.metric,
        dimensions=[azure.monitor.MetricDimensionArgs(name=key, operator="Include", values=[value]) for key, value in alarm.where.items()],
        operator="GreaterThan",
        threshold=alarm.threshold,
        time_aggregation=alarm.statistic,
        # What was made a moment ago, a job that never ran say, may have no such metric yet.
        skip_metric_validation=True,
    )
    return azure.monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
        odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[one]
    )
