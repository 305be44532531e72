"""What alert policies and dashboards may ask of metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import pytest

from pilotlight.twin.gcp.metric_judge import Known, problems, promql_problems
from pilotlight.twin.gcp.monitoring_metrics import ALIGNERS, METRICS, NUMERIC, REDUCERS, RESOURCES, Metric, Step
from tests.parts.twin.gcp.account import Account
from tests.parts.twin.gcp.declared import Made

RUN, COUNT = 'resource.type = "cloud_run_revision"', 'metric.type = "run.googleapis.com/request_count"'
SLOW = 'metric.type = "run.googleapis.com/request_latencies"'
SUM = {"perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_SUM"}
OWN = "logging.googleapis.com/user/predict/ColdStart"
MADE = Metric(type=OWN, kind="DELTA", value="DISTRIBUTION", labels=frozenset({"stage"}), resources=None)


def said(text: str, *aggregations: Mapping[str, Any], compared: bool = True, known: Known | None = None) -> list[str]:
    return list(problems(text, aggregations, known or Known([MADE]), compared=compared))


@pytest.mark.parametrize(
    ("text", "aggregations"),
    [
        (f"{RUN} AND {COUNT}", [SUM]),
        (f'{COUNT} AND {RUN} AND metric.labels.response_code != "503" AND resource.labels.service_name = "x"', [SUM]),
        (f"{RUN} {SLOW}", [{"perSeriesAligner": "ALIGN_PERCENTILE_99", "crossSeriesReducer": "REDUCE_MAX"}]),
        (f'{RUN} AND {SLOW} AND metric.label."route"=monitoring.regex.full_match("a.*")', [{"perSeriesAligner": "ALIGN_PERCENTILE_50"}]),
        (f"{RUN} AND {SLOW}", [{"perSeriesAligner": "ALIGN_SUM", "crossSeriesReducer": "REDUCE_PERCENTILE_95"}]),
        (f"{RUN} AND {COUNT}", [{**SUM, "groupByFields": ["metric.labels.response_code_class", "resource.labels.revision_name"]}]),
        (
            f"{RUN} AND {COUNT}",
            [{"perSeriesAligner": "ALIGN_RATE"}, {"perSeriesAligner": "ALIGN_MEAN", "crossSeriesReducer": "REDUCE_MAX"}],
        ),
        (f'{RUN} AND metric.type = "{OWN}" AND metric.labels.stage = "boot"', [{"perSeriesAligner": "ALIGN_PERCENTILE_99"}]),
        ('metric.type = "custom.googleapis.com/mine" AND resource.type = "global"', [SUM]),
    ],
)
def test_what_monitoring_takes(text: str, aggregations: list[Mapping[str, Any]]) -> None:
    assert said(text, *aggregations) == []


@pytest.mark.parametrize(
    ("text", "aggregation", "expected"),
    [
        (
            f'{RUN} AND metric.type = "run.googleapis.com/request_counts"',
            SUM,
            r"Cannot find metric .*did you mean run\.googleapis",
        ),
        (f'{RUN} AND metric.type = "{OWN}s"', SUM, "Cannot find metric .*make it first"),
        (f'{RUN} AND metric.type = "compute.googleapis.com/instance/up"', SUM, "Cannot find metric .*monitoring_metrics.py"),
        (f'{COUNT} AND resource.type = "pubsub_subscription"', SUM, "valid combination .*use resource.type cloud_run_revision"),
        (COUNT, SUM, 'must specify a restriction on "resource.type"'),
        (RUN, SUM, "names no metric"),
        (f'{RUN} AND {COUNT} AND metric.labels.code = "500"', SUM, "no label 'code': use response_code, response_code_class, route"),
        (f'{RUN} AND {COUNT} AND resource.labels.service = "x"', SUM, "no label 'service': use configuration_name, location"),
        (f'{RUN} AND {COUNT} AND resourse.labels.service_name = "x"', SUM, "'resourse.labels.service_name' is no selector"),
        (f'{RUN} AND metric.type = "{OWN}" AND metric.labels.step = "x"', {"perSeriesAligner": "ALIGN_PERCENTILE_99"}, "use stage"),
        (f"{RUN} AND {COUNT}", {**SUM, "groupByFields": ["metric.labels.state"]}, "'metric.labels.state': .* no label 'state'"),
        (
            f"{RUN} AND {COUNT}",
            {"perSeriesAligner": "ALIGN_PERCENTILE_99"},
            "kind DELTA and value type INT64: use one of ALIGN_NONE, ALIGN_D",
        ),
        (
            f"{RUN} AND {SLOW}",
            {"perSeriesAligner": "ALIGN_MAX"},
            "ALIGN_MAX cannot be applied to metrics with kind DELTA and value type DIS",
        ),
        (
            f'{RUN} AND metric.type = "run.googleapis.com/container/instance_count"',
            {"perSeriesAligner": "ALIGN_DELTA"},
            "ALIGN_DELTA cannot be applied to metrics with kind GAUGE",
        ),
        (f"{RUN} AND {SLOW}", {"perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_MAX"}, "REDUCE_MAX cannot be applied"),
        (f"{RUN} AND {SLOW}", SUM, "a DISTRIBUTION is no number to compare"),
    ],
)
def test_what_monitoring_refuses(text: str, aggregation: Mapping[str, Any], expected: str) -> None:
    (problem,) = said(text, aggregation)
    assert re.search(expected, problem), problem


def test_a_chart_needs_no_number_and_no_type_of_resource() -> None:
    assert said(SLOW, SUM, compared=False) == []


def test_of_metrics_of_log_lines_nothing_is_said_before_the_account_is_asked() -> None:
    assert said(f'{RUN} AND metric.type = "{OWN}s"', SUM, known=Known()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum(increase(logging_googleapis_com:user_predict_ColdStart_sum{monitored_resource="cloud_run_revision"}[1m]))', None),
        ('rate(run_googleapis_com:request_count{monitored_resource="a:b"}[1m])', None),
        ("histogram_quantile(0.9, rate(run_googleapis_com:request_latencies_bucket[1m]))", None),
        ("run_googleapis_com:request_latencies", "is a DISTRIBUTION"),
        ("run_googleapis_com:request_count_sum", "is a INT64"),
        ("rate(run_googleapis_com:requests[1m])", "Cannot find metric that matches run_googleapis_com:requests"),
        ("logging_googleapis_com:user_predict_ColdStarts_sum", "Cannot find metric that matches logging"),
    ],
)
def test_queries_in_promql(query: str, expected: str | None) -> None:
    found = list(promql_problems(query, Known([MADE])))
    assert (found == []) if expected is None else (len(found) == 1 and expected in found[0]), found


def test_metrics_are_of_resources_whose_labels_are_known() -> None:
    for metric in METRICS.values():
        assert metric.resources is not None
        assert metric.resources <= set(RESOURCES)
        assert metric.kind in ("GAUGE", "DELTA")
        assert metric.value in NUMERIC | {"DISTRIBUTION"}


def told(text: str) -> Step | None:
    """What Monitoring's schema says that an aligner or a reducer is valid for; None where it says nothing."""
    found = re.search(r"valid for (.*?) metrics(?: (?:with|of) (.*?) (?:values|type|value_type))?\.", text)
    if found is None:
        return None
    words = {"numeric": NUMERIC, "Boolean": {"BOOL"}, "distribution": {"DISTRIBUTION"}, "string": {"STRING"}}
    values = {each for word, types in words.items() if word in (found[2] or " ".join(words)) for each in types}
    output = re.search(r"(?:value_type|value)(?: of the (?:aligned result|output))?(?: is)? `?(DOUBLE|INT64)", text)
    return Step(kinds=frozenset(re.findall("[A-Z]{5,}", found[1])), values=frozenset(values), value=output[1] if output else None)


@pytest.mark.parametrize(("field", "table"), [("perSeriesAligner", ALIGNERS), ("crossSeriesReducer", REDUCERS)])
def test_what_they_are_valid_for_is_what_monitorings_own_schema_says(field: str, table: Mapping[str, Step]) -> None:
    document = resources.files("googleapiclient") / "discovery_cache" / "documents" / "monitoring.v3.json"
    schema = json.loads(document.read_text())["schemas"]["Aggregation"]["properties"][field]
    described = dict(zip(schema["enum"], schema["enumDescriptions"], strict=True))
    assert set(described) == set(table)
    compared = 0
    for name, text in described.items():
        rule = told(text)
        if rule is None:
            continue
        compared += 1
        assert table[name].kinds == rule.kinds, name
        assert table[name].value == rule.value, name
        assert table[name].values == rule.values, name
    assert compared >= len(table) - 1


def test_a_policy_and_a_dashboard_are_refused_by_the_path(account: Account, made: Made) -> None:
    policy = dict(made["policy"].inputs)
    [condition] = policy["conditions"]
    held = condition["conditionThreshold"]
    for filter_, aligner in ((f"{RUN} AND {COUNT}s", "ALIGN_DELTA"), (f"{RUN} AND {COUNT}", "ALIGN_PERCENTILE_99")):
        broken = {**held, "filter": filter_.replace('count"s', 'counts"'), "aggregations": [{"perSeriesAligner": aligner}]}
        given = {**policy, "conditions": [{**condition, "conditionThreshold": broken}]}
        _, (problem,) = account.check(made["policy"].token, "other", given)
        assert problem.startswith("conditions[0].conditionThreshold.filter: "), problem


def test_a_dashboard_asks_for_metrics_that_there_are(account: Account, made: Made) -> None:
    def board(query: Mapping[str, Any]) -> dict[str, Any]:
        chart = {"xyChart": {"dataSets": [{"timeSeriesQuery": query}]}}
        return {"dashboardJson": json.dumps({"displayName": "x", "gridLayout": {"widgets": [chart]}})}

    token, name = made["dashboard"].token, made["metric"]["name"]
    at = "dashboardJson.gridLayout.widgets[0].xyChart.dataSets[0].timeSeriesQuery"
    filtered = {"timeSeriesFilter": {"filter": f"{RUN} AND {COUNT}", "aggregation": {"perSeriesAligner": "ALIGN_MAX"}}}
    assert account.check(token, "other", board(filtered))[1] == []
    filtered["timeSeriesFilter"]["aggregation"] = {"perSeriesAligner": "ALIGN_PERCENTILE_99"}
    assert account.check(token, "other", board(filtered))[1][0].startswith(f"{at}.timeSeriesFilter.filter: perSeriesAligner ALIGN_PER")
    mangled = re.sub(r"[^A-Za-z0-9]", "_", name)
    query = board({"prometheusQuery": f"logging_googleapis_com:user_{mangled}_sum"})
    account.make(token, "other", query)
    account.delete(made["policy"])
    account.delete(made["metric"])
    assert f"{at}.prometheusQuery: Cannot find" in account.refused(
        token, board({"prometheusQuery": f"logging_googleapis_com:user_{mangled}_sum"})
    )
