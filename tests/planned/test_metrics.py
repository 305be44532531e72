"""Alarms and dashboards of every AWS stack ask for metrics, dimensions and statistics that there are."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from docs.generate.options import judged
from handlers.functions import metrics
from pilotlight.planned import Planned, ready_stacks
from pilotlight.twin.aws import metric_judge
from pilotlight.twin.aws.metric_names import METRICS, PERCENTILES, Metric
from tests.planned.looked_up import Plan, plan_of

STACK = "aws-sagemaker-events"
ALARM, DASHBOARD = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/dashboard:Dashboard"
VARIANTS = [
    pytest.param(stack, changes, id=f"{stack} {words}")
    for stack in ready_stacks()
    if stack.startswith("aws-")
    for words, changes in judged(stack).items()
]
# What the functions count, which is asked for by what it is counted by (`handlers/functions/metrics.py`).
OWN = {
    "counters": Metric(statistics=frozenset({"Sum"}), dimensions=frozenset({frozenset({"Service"})})),
    metrics.REQUESTS_THROTTLED: Metric(statistics=frozenset({"Sum"}), dimensions=frozenset({frozenset({"Service"})})),
    metrics.REQUEST_LATENCY: Metric(statistics=frozenset({PERCENTILES}), dimensions=frozenset({frozenset({"Service"})})),
    metrics.COLD_START: Metric(statistics=frozenset({"Maximum"}), dimensions=frozenset({frozenset({"Service", "Stage"})})),
}
KNOWN = {**METRICS, metrics.NAMESPACE: OWN}


def complaints(plan: Plan) -> list[str]:
    """What is wrong with all that the plan asks of metrics; here a namespace that nobody knows is one more."""
    found: list[str] = []
    for alarm in plan.all(ALARM):
        found += metric_judge.problems(alarm.inputs, KNOWN)
        found += [] if alarm.inputs["namespace"] in KNOWN else [f"namespace: {alarm.inputs['namespace']}"]
    for graph in graphs(plan):
        found += metric_judge.widget_problems(graph, KNOWN)
        found += [f"namespace: {row[0]}" for row in graph["metrics"] if isinstance(row[0], str) and row[0] not in KNOWN]
    return found


def graphs(plan: Plan) -> Iterator[dict[str, Any]]:
    for board in plan.all(DASHBOARD):
        yield from (widget["properties"] for widget in json.loads(board.inputs["dashboardBody"])["widgets"])


@pytest.mark.parametrize(("stack", "changes"), VARIANTS)
def test_every_alarm_and_every_graph_asks_for_what_there_is(stack: str, changes: dict[str, Any]) -> None:
    plan = plan_of(stack, {**changes, "dashboard": True})
    alarms, drawn = plan.all(ALARM), [*graphs(plan)]
    assert len(alarms) >= 4
    # What is counted, cold starts by stage, and what callers of an API wait.
    assert len(drawn) == len(alarms) + 2 + stack.endswith("-api")
    assert complaints(plan) == []


@pytest.mark.parametrize("stack", [stack for stack in ready_stacks() if stack.startswith("aws-")])
def test_no_alarm_and_no_graph_shows_a_latency_that_counts_pings(stack: str) -> None:
    plan = plan_of(stack, {"dashboard": True, "warming": [{"kind": "ping", "everyMinutes": 5}]})
    asked = [{"metric": alarm.inputs["metricName"], "of": [*alarm.inputs["dimensions"].values()]} for alarm in plan.all(ALARM)]
    asked += [{"metric": row[1], "of": row[2:]} for graph in graphs(plan) for row in graph["metrics"] if len(row) > 1]
    # What is pinged: an endpoint, or the function that is the model.
    counting = [each for each in asked if each["metric"] == "ModelLatency" or (each["metric"], f"pilotlight-{stack}-model") in _of(each)]
    assert counting == []
    assert sum(each["metric"] == metrics.REQUEST_LATENCY for each in asked) == 2


def _of(asked: dict[str, Any]) -> list[tuple[str, str]]:
    return [("Duration", name) for name in asked["of"] if asked["metric"] == "Duration" and isinstance(name, str)]


BREAKS: Mapping[str, Callable[[str], str]] = {
    "did you mean Invocation5XXErrors": lambda text: text.replace("Invocation5XXErrors", "Invocation5XXError"),
    "did you mean RequestLatency": lambda text: text.replace("RequestLatency", "RequestLatencies"),
    "no figures of RequestLatency by Stage": lambda text: text.replace('{"Service"', '{"Stage"'),
    "did you mean SystemErrors": lambda text: text.replace("SystemErrors", "SystemError"),
    "did you mean WriteThrottleEvents": lambda text: text.replace("WriteThrottleEvents", "WriteThrottledEvents"),
    "did you mean AWS/SageMaker": lambda text: text.replace("AWS/SageMaker", "AWS/Sagemaker"),
    "namespace: Sage": lambda text: text.replace("AWS/SageMaker", "Sage"),
    "no figures of WriteThrottleEvents by Operation+TableName": lambda text: text.replace("SystemErrors", "WriteThrottleEvents"),
    "no figures of Errors by Function+Resource": lambda text: text.replace("FunctionName", "Function"),
    "Maximum of Errors says nothing": lambda text: text.replace('"Sum"', '"Maximum"'),
    "p99 of Throttles says nothing": lambda text: text.replace("Duration", "Throttles"),
    "no metric of Pilotlight has figures by Services": lambda text: text.replace("{Pilotlight,Service}", "{Pilotlight,Services}"),
    "Average of Pilotlight by Service says nothing": lambda text: text.replace("'Sum', 60", "'Average', 60"),
}


@pytest.mark.parametrize("said", BREAKS)
def test_each_break_is_told(said: str) -> None:
    broken = [
        Planned(**{**vars(each), "inputs": json.loads(BREAKS[said](json.dumps(each.inputs)))}) if each.type in (ALARM, DASHBOARD) else each
        for each in plan_of(STACK, {"dashboard": True}).resources
    ]
    found = complaints(Plan(broken))
    assert [each for each in found if said in each], found
