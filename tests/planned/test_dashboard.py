"""The dashboard by setting: its body as plain data, and that it is there only when asked for."""

import json

import pytest

from components.aws.dashboard import GRID, HEIGHT, WIDTH, address, body
from components.aws.watch import Alarm
from handlers.functions import metrics
from tests.planned.conftest import Build

ALARM = Alarm(
    role="events-age",
    text="Old.",
    namespace="AWS/SQS",
    metric="ApproximateAgeOfOldestMessage",
    dimensions={},
    statistic="Maximum",
    threshold=9,
)


def test_each_alarm_is_a_graph_with_a_line_where_it_goes_off() -> None:
    graph = body("eu-central-1", "s", [ALARM], [{"QueueName": "q"}])["widgets"][-1]["properties"]
    assert graph["metrics"] == [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "q"]]
    assert (graph["stat"], graph["title"], graph["region"]) == ("Maximum", "events-age", "eu-central-1")
    assert graph["annotations"]["horizontal"][0]["value"] == 9


def test_graphs_cover_no_other_and_stay_on_the_grid() -> None:
    widgets = body("r", "s", [ALARM] * 7, [{}] * 7)["widgets"]
    assert len({(each["x"], each["y"]) for each in widgets}) == len(widgets) == 9
    assert all(each["x"] + each["width"] <= GRID and each["x"] % WIDTH == each["y"] % HEIGHT == 0 for each in widgets)


def test_what_the_functions_count_is_searched_under_their_namespace_and_dimensions() -> None:
    searches = [each["properties"]["metrics"][0][0]["expression"] for each in body("r", "my-stack", [], [])["widgets"]]
    assert [each.partition(" ")[0] for each in searches] == [
        f"SEARCH('{{{metrics.NAMESPACE},Service}}",
        f"SEARCH('{{{metrics.NAMESPACE},Service,Stage}}",
    ]
    assert all('Service="my-stack"' in each for each in searches)


@pytest.mark.parametrize(
    ("partition", "start"),
    [
        ("aws", "https://r.console.aws.amazon.com/"),
        ("aws-cn", "https://r.console.amazonaws.cn/"),
        ("aws-us-gov", "https://r.console.amazonaws-us-gov"),
    ],
)
def test_the_address_is_the_partitions_console(partition: str, start: str) -> None:
    assert address(partition, "r", "d").startswith(start)
    assert address(partition, "r", "d").endswith("#dashboards/dashboard/d")


@pytest.mark.parametrize("stack", ["aws-lambda-api", "aws-sagemaker-api", "aws-lambda-events", "aws-sagemaker-events"])
def test_a_dashboard_is_made_when_asked_for_and_shows_every_alarm(build: Build, stack: str) -> None:
    plain, shown = build(stack), build(stack, dashboard=True)
    assert plain.all("aws:cloudwatch/dashboard:Dashboard") == []
    assert "dashboardUrl" not in plain.result["outputs"]
    made = shown.one("aws:cloudwatch/dashboard:Dashboard").inputs
    graphs = json.loads(made["dashboardBody"])["widgets"]
    callers = [each["properties"] for each in graphs if each["properties"]["title"].startswith("what callers wait")]
    assert len(callers) == stack.endswith("-api")
    assert len(graphs) == 2 + len(callers) + len(shown.all("aws:cloudwatch/metricAlarm:MetricAlarm"))
    for each in callers:
        of = ["AWS/ApiGateway", "Latency", "ApiName", shown.one("aws:apigateway/restApi:RestApi").name + "-0a1b2c3", "Stage", "v1"]
        assert each["metrics"] == [[*of, {"stat": "p50"}], [*of, {"stat": "p99"}]]
    assert all(isinstance(part, str) for each in graphs[2 + len(callers) :] for part in each["properties"]["metrics"][0])
    assert shown.result["outputs"]["dashboardUrl"].endswith(f"/{made['dashboardName']}")
