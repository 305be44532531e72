"""Alerts by hand: on metrics, and on lines where there are none."""

import pulumi
import pulumi_azure_native as az

from benchmarks.handwritten.azure import group, kind, own, settings, tags
from benchmarks.handwritten.azure_apps import workspace

APPS, QUEUES = "Microsoft.App/containerApps", "Microsoft.Storage/storageAccounts/queueServices"
FAULTS = (
    *("consumer_fault", "function_fault", "object_fault", "pipeline_fault", "worker_fault"),
    *("dead_letter_failed", "message_stuck", "settings_refused"),
)


def alert(
    role: str,
    text: str,
    scope: pulumi.Input[str],
    metric: str,
    statistic: str,
    threshold: float = 0,
    where: dict[str, str] | None = None,
    daily: bool = False,
) -> None:
    """`NAMESPACE/METRIC` above the threshold in five minutes, or in a day."""
    namespace, _, name = metric.rpartition("/")
    dimensions = [az.monitor.MetricDimensionArgs(name=each, operator="Include", values=[value]) for each, value in (where or {}).items()]
    one = az.monitor.MetricCriteriaArgs(
        criterion_type="StaticThresholdCriterion",
        name=role,
        metric_namespace=namespace,
        metric_name=name,
        dimensions=dimensions,
        operator="GreaterThan",
        threshold=threshold,
        time_aggregation=statistic,
        skip_metric_validation=True,
    )
    az.monitor.MetricAlert(
        f"{kind}-watch-{role}",
        rule_name=role,
        resource_group_name=group,
        location="global",
        description=text,
        enabled=True,
        severity=1,
        auto_mitigate=True,
        scopes=[scope],
        evaluation_frequency="PT1H" if daily else "PT1M",
        window_size="P1D" if daily else "PT5M",
        criteria=az.monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
            odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[one]
        ),
        tags=tags,
    )


def on_lines(role: str, text: str, query: list[str], column: str | None = None, threshold: float = 0) -> None:
    """Rows of a query, or a number in one, above the threshold in a quarter of an hour."""
    az.monitor.ScheduledQueryRule(
        f"{kind}-watch-{role}",
        rule_name=role,
        resource_group_name=group,
        kind="LogAlert",
        description=text,
        enabled=True,
        severity=1,
        scopes=[workspace.id],
        evaluation_frequency="PT15M",
        window_size="PT15M",
        auto_mitigate=True,
        skip_query_validation=True,
        criteria=az.monitor.ScheduledQueryRuleCriteriaArgs(
            all_of=[
                az.monitor.ConditionArgs(
                    query="\n| ".join(["ContainerAppConsoleLogs", *query]),
                    time_aggregation="Count" if column is None else "Maximum",
                    metric_measure_column=column,
                    operator="GreaterThan",
                    threshold=threshold,
                    failing_periods=az.monitor.ConditionFailingPeriodsArgs(min_failing_periods_to_alert=1, number_of_evaluation_periods=1),
                )
            ]
        ),
        tags=tags,
    )


def app_alerts(role: str, app_role: str, failing: str, slow: str, of: az.app.ContainerApp, limit_s: int) -> None:
    """Answers of the 500s, and durations close to the limit."""
    alert(f"{role}-errors", failing, of.id, f"{APPS}/Requests", "Total", where={"statusCodeCategory": "5xx"})
    late = [
        f'where ContainerAppName == "{app_role}-{own}" and Log has "request"',
        "extend line = parse_json(Log)",
        f'where tostring(line.event) == "request" and todouble(line.ms) > {limit_s * 900} and tolong(line.status) != 202',
        "project TimeGenerated, ms = todouble(line.ms), request_id = tostring(line.request_id)",
    ]
    on_lines(f"{role}-latency", slow, late)


def endpoint_alerts(of: az.app.ContainerApp) -> None:
    failing, slow = "The model server answers with 5XX.", "The slowest prediction comes close to the deadline."
    app_alerts("endpoint", "endpoint", failing, slow, of, settings.endpoint.predict_seconds)


def taker_alerts(role: str, app_role: str, of: az.app.ContainerApp, old: str, waited: str) -> None:
    """Of a function behind a queue: its ends, its faults, messages that had waited for an hour."""
    where = f'where ContainerAppName == "{app_role}-{own}"'
    alert(f"{role}-restarts", f"The {role} ends again and again.", of.id, f"{APPS}/RestartCount", "Maximum", 2)
    fault = ", ".join(f'"{each}"' for each in FAULTS)
    shown = ", ".join(f"{each} = tostring(line.{each})" for each in ("event", "message", "request_id"))
    line = "extend line = parse_json(Log)"
    on_lines(
        f"{role}-errors",
        f"The {role} fails.",
        [where, line, f"where tostring(line.event) in ({fault})", f"project TimeGenerated, {shown}"],
    )
    aged = [f'{where} and Log has "queue_age"', line, 'where tostring(line.event) == "queue_age"']
    on_lines(old, waited, [*aged, "project TimeGenerated, age_s = todouble(line.seconds)"], "age_s", 3600)


def queue_alerts(
    role: str, dead: str, waiting: str, queues: az.storage.StorageAccount, letters: az.storage.StorageAccount, most: int
) -> None:
    """Dead letters that come and that wait, and more messages than are taken in an hour."""
    work, buried = (pulumi.Output.format("{0}/queueServices/default", each.id) for each in (queues, letters))
    put = {"ApiName": "PutMessage", "ResponseType": "Success"}
    alert(f"{role}-dead-letters", dead, buried, f"{QUEUES}/Transactions", "Total", where=put)
    alert(f"{role}-dead-letters-waiting", dead, buried, f"{QUEUES}/QueueMessageCount", "Average", daily=True)
    alert(f"{role}-age", waiting, work, f"{QUEUES}/QueueMessageCount", "Average", most, daily=True)
