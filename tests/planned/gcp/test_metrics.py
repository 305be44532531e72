"""Alarms and dashboards of every Google stack ask for metrics that there are, in ways that they allow; what functions count is drawn."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pilotlight.planned import Planned
from pilotlight.twin.gcp import dashboard_queries, metric_judge
from pilotlight.twin.gcp.metric_judge import Known
from pilotlight.twin.gcp.rows_logging import descriptor
from tests.planned.gcp.conftest import Plan, plan_of
from tests.planned.gcp.test_every_plan import EVERY
from tests.planned.gcp.test_watching import DASHBOARD, POLICY

METRIC = "gcp:logging/metric:Metric"
LATER = {"answers": {"async": True}, "warming": [{"kind": "ping", "everyMinutes": 5}], "dashboard": True}


def complaints(plan: Plan) -> list[str]:
    """What Monitoring says of all that the plan asks of metrics."""
    known = Known(descriptor(each.inputs) for each in plan.all(METRIC))
    found = []
    for policy in plan.all(POLICY):
        for condition in policy.inputs["conditions"]:
            held = condition["conditionThreshold"]
            found += metric_judge.problems(held["filter"], held["aggregations"], known, compared=True)
    for board in plan.all(DASHBOARD):
        found += dashboard_queries.problems(json.loads(board.inputs["dashboardJson"]), known, "dashboardJson")
    return found


@EVERY
def test_every_alarm_and_every_chart_asks_for_what_there_is(stack: str, changes: dict[str, Any]) -> None:
    plan = plan_of(stack, {**changes, "dashboard": True})
    assert len(plan.all(POLICY)) >= 4
    assert complaints(plan) == []


BREAKS: Mapping[str, Callable[[str], str]] = {
    "Cannot find metric": lambda text: text.replace("request_count", "request_counts"),
    "no label 'response_class'": lambda text: text.replace("response_code_class", "response_class"),
    "no label 'service'": lambda text: text.replace("service_name", "service"),
    "valid combination": lambda text: text.replace("cloud_run_revision", "pubsub_subscription"),
    "ALIGN_DELTA cannot be applied": lambda text: text.replace("ALIGN_MAX", "ALIGN_DELTA"),
    "a DISTRIBUTION is no number": lambda text: text.replace("ALIGN_PERCENTILE_99", "ALIGN_DELTA").replace("REDUCE_MAX", "REDUCE_SUM"),
    "matches logging_googleapis_com:user": lambda text: text.replace("ObjectsFailed_sum", "ObjectsFailing_sum"),
}


@pytest.mark.parametrize("said", BREAKS)
def test_each_break_is_told(said: str) -> None:
    broken = [
        Planned(**{**vars(each), "inputs": json.loads(BREAKS[said](json.dumps(each.inputs)))}) if each.type in (POLICY, DASHBOARD) else each
        for each in plan_of("gcp-cloud-run-events", {"dashboard": True}).resources
    ]
    found = complaints(Plan(broken))
    assert [each for each in found if said in each], found


def test_the_dashboard_draws_what_the_functions_count_and_waits_for_their_metrics() -> None:
    plan = plan_of("gcp-cloud-run-api", LATER)
    [board] = plan.all(DASHBOARD)
    drawn = {tile["widget"]["title"]: tile["widget"]["xyChart"]["dataSets"] for tile in tiles(board)}
    predict, worker, warmer = (f"pilotlight-gcp-cloud-run-api-{role}" for role in ("predict", "worker", "warmer"))
    starts = [each["timeSeriesQuery"]["timeSeriesFilter"] for each in drawn["cold starts, slowest by stage (ms)"]]
    assert [each["filter"].rpartition("/user/")[2] for each in starts] == [f'{name}/ColdStart"' for name in (predict, worker)]
    assert {json.dumps(each["aggregation"]["groupByFields"]) for each in starts} == {'["metric.labels.stage"]'}
    assert {each["legendTemplate"] for each in drawn["counted"]} == {
        f"{predict}/AnswersHandedOver",
        *(f"{worker}/{name}" for name in ("AnswersDone", "AnswersFailed", "AnswerAttemptsFailed")),
        *(f"{warmer}/{name}" for name in ("Pings", "PingsCold", "PingsFailed")),
    }
    assert {each.urn for each in plan.all(METRIC)} <= plan.before(board)


def test_a_stack_that_counts_nothing_has_no_chart_of_it() -> None:
    titles = [tile["widget"]["title"] for tile in tiles(plan_of("gcp-cloud-run-api", {"dashboard": True}).one(DASHBOARD))]
    assert "counted" not in titles
    assert "cold starts, slowest by stage (ms)" in titles


def tiles(board: Planned) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(board.inputs["dashboardJson"])["mosaicLayout"]["tiles"]
    return found
