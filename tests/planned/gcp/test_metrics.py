"""Alarms and dashboards of every Google stack ask for metrics that there are; what functions count is a metric, and is drawn."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from handlers.functions import metrics
from pilotlight.planned import Planned
from pilotlight.twin.gcp import dashboard_queries, log_filter, metric_judge
from pilotlight.twin.gcp.log_entries import Source, entry
from pilotlight.twin.gcp.log_metrics import series
from pilotlight.twin.gcp.metric_judge import Known
from pilotlight.twin.gcp.rows_logging import descriptor
from tests.planned.gcp.conftest import Plan, plan_of
from tests.planned.gcp.test_every_plan import EVERY
from tests.planned.gcp.test_watching import DASHBOARD, POLICY

STACK, METRIC = "gcp-cloud-run-events", "gcp:logging/metric:Metric"
NOON = 1_800_000_000.0
SOURCE = Source(project="my-project", location="europe-west1", service=f"pilotlight-{STACK}-events", revision="r1", instance="i")
LATER = {"answers": {"async": True}, "warming": [{"kind": "ping", "everyMinutes": 5}], "dashboard": True}


def complaints(plan: Plan) -> list[str]:
    """What Monitoring says of all that the plan asks of metrics."""
    known = Known(descriptor(each.inputs) for each in plan.all(METRIC))
    found = []
    for policy in plan.all(POLICY):
        for condition in policy.inputs["conditions"]:
            if "conditionMatchedLog" in condition:
                log_filter.read(condition["conditionMatchedLog"]["filter"])
                continue
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


@pytest.mark.parametrize("stack", [STACK, "gcp-cloud-run-api"])
def test_no_policy_and_no_chart_shows_a_latency_that_counts_pings(stack: str) -> None:
    plan = plan_of(stack, {"dashboard": True, "warming": [{"kind": "ping", "everyMinutes": 5}]})
    text = [*(json.dumps(each.inputs) for each in plan.all(POLICY)), *(each.inputs["dashboardJson"] for each in plan.all(DASHBOARD))]
    latencies = [found for each in text for found in re.findall(r'request_latencies[^,{}]*?service_name = \\+"([\w-]+)', each)]
    # Of the functions alone; the endpoint's service, which is pinged, has the stack's own name.
    assert latencies
    assert f"pilotlight-{stack}" not in latencies


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
    assert [each["filter"].rpartition("/user/")[2] for each in starts] == [f'{name}/ColdStart"' for name in (worker, predict)]
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


def of(line: str, **where: str) -> dict[str, Any]:
    return entry(replace(SOURCE, **where), line, NOON, "id")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def declared(field: str) -> dict[str, Any]:
    [metric] = [each.inputs for each in plan_of(STACK).resources if each.type == METRIC and each.inputs["name"].endswith(f"/{field}")]
    return dict(metric)


@pytest.fixture
def on_cloud_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", SOURCE.service)


@pytest.mark.usefixtures("on_cloud_run")
def test_a_stacks_metric_counts_what_its_functions_write(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.cold_start(STACK, {"endpoint-boot": 120.5, "endpoint-load": 900}, request_id="a")
    metrics.count(STACK, {metrics.OBJECTS_PROCESSED: 3, metrics.OBJECTS_FAILED: 0, metrics.OBJECTS_PASSED_OVER: 1})
    written = [of(line) for line in lines(capsys)]
    stages = {one.labels["stage"]: dict(one.values) for one in series(declared("ColdStart"), written)}
    assert stages == {"endpoint-boot": {NOON: [120.5]}, "endpoint-load": {NOON: [900.0]}}
    for field, value in ((metrics.OBJECTS_PROCESSED, 3), (metrics.OBJECTS_FAILED, 0), (metrics.OBJECTS_PASSED_OVER, 1)):
        [one] = series(declared(field), written)
        assert (dict(one.labels), dict(one.values)) == ({}, {NOON: [value]})
        assert one.resource["labels"]["service_name"] == SOURCE.service


@pytest.mark.usefixtures("on_cloud_run")
def test_it_counts_no_lines_of_other_services_stacks_and_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.cold_start("another-stack", {"endpoint-boot": 1})
    metrics.cold_start(STACK, {"endpoint-boot": 1})
    other, own = lines(capsys)
    entries = [of(other), of(own, service=f"{SOURCE.service}-2"), of(own, location="us-central1"), of("ColdStart"), of('{"ColdStart": 1}')]
    assert series(declared("ColdStart"), entries) == []
    assert len(series(declared("ColdStart"), [of(own)])) == 1


@pytest.mark.parametrize("stack", ["gcp-cloud-run-gpu-api", STACK])
def test_every_counter_that_the_functions_write_is_a_metric_of_the_stack(stack: str) -> None:
    changes = {"warming": [{"kind": "ping", "everyMinutes": 5}]}
    found = {each.inputs["name"].rpartition("/")[2] for each in plan_of(stack, changes).resources if each.type == METRIC}
    # The API's reference asks a distribution for them, and what the program says is not drift.
    assert all("bucketOptions" in each.inputs for each in plan_of(stack, changes).resources if each.type == METRIC)
    pings = {"Pings", "PingsCold", "PingsFailed"}
    if stack == STACK:
        assert found == {metrics.COLD_START, metrics.OBJECTS_PROCESSED, metrics.OBJECTS_FAILED, metrics.OBJECTS_PASSED_OVER} | pings
    else:
        answers = {"AnswersHandedOver", "AnswersDone", "AnswersFailed", "AnswerAttemptsFailed"}
        assert found == {metrics.COLD_START} | answers | pings
