"""Alerts on lines of the log, for what no metric tells."""

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from components.azure import log_queries

# The seldomest that is looked at costs the least (Azure Monitor pricing, log alerts by their frequency).
EVERY = "PT15M"
LATENCY_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class LogAlarm:
    """More rows of `query` than `threshold` within a quarter of an hour or, with a `column`, a number in it that is more; looked at as
    often."""

    role: str
    text: str
    query: str
    column: str | None = None
    threshold: float = 0


def old(role: str, text: str, app: str, threshold_s: int) -> LogAlarm:
    """A message that had waited for long when the app took it: what is not taken at all has its count."""
    return LogAlarm(role=role, text=text, query=log_queries.ages(app), column=log_queries.AGE, threshold=threshold_s)


def late(role: str, text: str, app: str, most_s: int) -> LogAlarm:
    """Requests that take an app almost as long as they may. The platform's own latency is an average by status code, in which one slow
    call among fast ones disappears (Container Apps documentation, metrics), and counts a warming plan's pings too."""
    return LogAlarm(role=role, text=text, query=log_queries.late(app, most_s * 1000 * LATENCY_SHARE))


def faults(role: str, text: str, app: str) -> LogAlarm:
    """Faults of an app's own. Without an ingress there are no answers that could tell."""
    return LogAlarm(role=f"{role}-errors", text=text, query=log_queries.faults(app))


def log_alert(
    name: str,
    alarm: LogAlarm,
    group: pulumi.Input[str],
    workspace: pulumi.Input[str],
    severity: int,
    mail: azure.monitor.ActionGroup | None,
    opts: pulumi.ResourceOptions,
) -> azure.monitor.ScheduledQueryRule:
    """The rule of one alarm, in the group, over the lines of the workspace."""
    condition = azure.monitor.ConditionArgs(
        query=alarm.query,
        time_aggregation="Count" if alarm.column is None else "Maximum",
        metric_measure_column=alarm.column,
        operator="GreaterThan",
        threshold=alarm.threshold,
        failing_periods=azure.monitor.ConditionFailingPeriodsArgs(min_failing_periods_to_alert=1, number_of_evaluation_periods=1),
    )
    return azure.monitor.ScheduledQueryRule(
        f"{name}-{alarm.role}",
        rule_name=alarm.role,
        resource_group_name=group,
        kind="LogAlert",
        description=alarm.text,
        enabled=True,
        severity=severity,
        scopes=[workspace],
        evaluation_frequency=EVERY,
        window_size=EVERY,
        auto_mitigate=True,
        # A workspace that was made a moment ago may not answer yet.
        skip_query_validation=True,
        criteria=azure.monitor.ScheduledQueryRuleCriteriaArgs(all_of=[condition]),
        actions=None if mail is None else azure.monitor.ActionsArgs(action_groups=[mail.id]),
        opts=opts,
    )
