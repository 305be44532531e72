"""What alarms and dashboards ask of CloudWatch's metrics, judged; and that the twin counts what AWS counts."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pilotlight.twin import aws, judge, schema
from pilotlight.twin.aws import metric_sources
from pilotlight.twin.aws.metric_judge import problems, widget_problems
from pilotlight.twin.aws.metric_names import METRICS
from pilotlight.twin.aws.monitoring import ALARM, DASHBOARD
from pilotlight.twin.metrics import Metrics
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import UNKNOWN
from pilotlight.twin.world import Resource

FUNCTION = {"FunctionName": "f", "Resource": "f:live"}
RIGHT = {"namespace": "AWS/Lambda", "metricName": "Errors", "statistic": "Sum", "dimensions": FUNCTION}
COMPARED = {"name": "a", "comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1, "threshold": 0}


def told(**changes: Any) -> list[str]:
    return [*problems({**RIGHT, **changes})]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dimensions": {"FunctionName": "f"}},
        {"dimensions": None},
        {"metricName": "Duration", "statistic": None, "extendedStatistic": "p99.9"},
        {"metricName": "Duration", "statistic": None, "extendedStatistic": "tm95"},
        {"namespace": "Mine", "metricName": "Anything", "dimensions": {"A": "b"}, "statistic": "Minimum"},
        {"namespace": "AWS/ApiGateway", "metricName": "5XXError", "dimensions": {"ApiName": "n", "Stage": "v1"}},
        {"namespace": "AWS/ApiGateway", "metricName": "5xx", "dimensions": {"ApiId": "i", "Stage": "v1"}},
        {"namespace": "AWS/ApiGateway", "metricName": "Count", "dimensions": {"ApiId": "i"}},
    ],
)
def test_what_aws_has_is_taken(changes: dict[str, Any]) -> None:
    assert told(**changes) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"namespace": "AWS/Lamda"}, "namespace: 'AWS/Lamda' is none that the local twin knows: did you mean AWS/Lambda."),
        ({"metricName": "Error"}, "metricName: AWS/Lambda has no metric 'Error': did you mean Errors."),
        ({"metricName": "Zzz"}, "metricName: AWS/Lambda has no metric 'Zzz': it knows those of pilotlight/twin/aws/metric_names.py."),
        ({"dimensions": {"Resource": "f:live"}}, "dimensions: AWS/Lambda has no figures of Errors by Resource: use "),
        ({"statistic": "Maximum"}, "statistic: Maximum of Errors says nothing: use Average, SampleCount, Sum."),
        ({"statistic": None, "extendedStatistic": "p99"}, "extendedStatistic: p99 of Errors says nothing: use "),
        (
            {"namespace": "AWS/ApiGateway", "metricName": "5xx", "dimensions": {"ApiName": "n", "Stage": "v1"}},
            "dimensions: AWS/ApiGateway has no figures of 5xx by ApiName+Stage: use ApiId or ",
        ),
    ],
)
def test_what_it_has_not_is_told_with_what_it_has(changes: dict[str, Any], said: str) -> None:
    [problem] = told(**changes)
    assert problem.startswith(said)


def test_a_graph_is_judged_row_by_row_with_what_a_row_repeats() -> None:
    right = ["AWS/Lambda", "Errors", "FunctionName", "f"]
    assert [*widget_problems({"metrics": [right, [".", "Throttles", ".", "f"], ["...", "g"]], "stat": "Sum"})] == []
    [wrong] = widget_problems({"metrics": [right, [".", "Throttle", ".", "f"]], "stat": "Sum"})
    assert wrong == "metrics[1]: metricName: AWS/Lambda has no metric 'Throttle': did you mean Throttles."
    [wrong] = widget_problems({"metrics": [[*right, {"stat": "p99"}]], "stat": "Sum"})
    assert wrong.startswith("metrics[0]: statistic: p99 of Errors says nothing")
    assert [*widget_problems({"metrics": [["Mine", "Anything"]]})] == []


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{AWS/Lambda,FunctionName} Errors', 'Sum', 60)", None),
        ("{Mine,Anything} x', 'Maximum', 60)", None),
        ("{AWS/Lambda,Function} Errors', 'Sum', 60)", "no metric of AWS/Lambda has figures by Function."),
        ("{AWS/SQS,QueueName} x', 'p99', 60)", "p99 of AWS/SQS by QueueName says nothing."),
        ("{AWS/SQQS,QueueName} x', 'Sum', 60)", "did you mean AWS/SQS."),
    ],
)
def test_what_a_graph_searches_for_is_judged(search: str, said: str | None) -> None:
    found = [*widget_problems({"metrics": [[{"expression": f"SEARCH('{search}"}]]})]
    assert (found == []) if said is None else found[0].endswith(said)


def refused(token: str, inputs: dict[str, Any]) -> list[str]:
    declared = schema.sdk_type(token)
    assert declared is not None
    return judge.problems(aws.rows()[token], declared, inputs)


def test_the_twin_refuses_such_an_alarm_before_anything_is_made() -> None:
    assert refused(ALARM, {**COMPARED, **RIGHT}) == []
    assert refused(ALARM, {**COMPARED, **RIGHT, "metricName": "Error"}) == [*told(metricName="Error")]
    for unknown in ({"FunctionName": UNKNOWN, "Resource": "f:live"}, {"FunctionName": "f", "Resource": UNKNOWN}, UNKNOWN):
        assert refused(ALARM, {**COMPARED, **RIGHT, "dimensions": unknown}) == []


def test_it_refuses_a_part_of_a_set_of_dimensions_once_all_are_known() -> None:
    inputs = {**COMPARED, **RIGHT, "dimensions": {"Resource": "f:live"}}
    assert refused(ALARM, inputs) == []
    with pytest.raises(Refusal, match="no figures of Errors by Resource"):
        aws.rows()[ALARM].check(SimpleNamespace(), inputs)  # type: ignore[arg-type]  (it asks nothing of the twin)


def test_the_twin_refuses_such_a_dashboard() -> None:
    def board(metric: str) -> dict[str, Any]:
        graph = {"region": "r", "metrics": [["AWS/SQS", metric, "QueueName", "q"]]}
        return {"dashboardName": "d", "dashboardBody": json.dumps({"widgets": [{"type": "metric", "properties": graph}]})}

    assert refused(DASHBOARD, board("NumberOfMessagesSent")) == []
    [problem] = refused(DASHBOARD, board("MessagesSent"))
    assert problem.startswith("dashboardBody: widgets[0]: properties.metrics[0]: metricName: AWS/SQS has no metric 'MessagesSent'")


API = Resource(token="aws:apigateway/restApi:RestApi", id="i", urn="", outputs={"name": "n"})
COUNTED: list[Callable[[Metrics], None]] = [
    lambda metrics: metric_sources.function_called(metrics, "f", "live", failed=False, duration_ms=1.0, spilled=True),
    lambda metrics: metric_sources.function_called(metrics, "f", None, failed=False, duration_ms=1.0, spilled=False),
    lambda metrics: metric_sources.function_throttled(metrics, "f", "live"),
    lambda metrics: metric_sources.endpoint_called(metrics, "e", "v", status=200, model_us=1.0),
    lambda metrics: metric_sources.schedule_tried(metrics, "g", failed=False),
    lambda metrics: metric_sources.schedule_dropped(metrics, "g"),
    lambda metrics: metric_sources.gateway_called(metrics, API, "v1", http=False, status=200, latency_ms=1.0),
    lambda metrics: metric_sources.gateway_called(metrics, API, "v1", http=True, status=200, latency_ms=1.0),
]


def test_whatever_the_services_of_the_twin_count_is_what_aws_counts() -> None:
    metrics = Metrics(lambda: 1_800_000_000.0)
    for count in COUNTED:
        count(metrics)
    known = metrics.known()
    assert {one.namespace for one in known} == {"AWS/Lambda", "AWS/SageMaker", "AWS/Scheduler", "AWS/ApiGateway"}
    assert [one for one in known if frozenset(dict(one.dimensions)) not in METRICS[one.namespace][one.name].dimensions] == []
    metrics.close()
