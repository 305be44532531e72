"""A page with the figures of a service: what each alarm watches, beside where it goes off, what callers wait, and what the functions
count."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.watch import OWN_NAMESPACE, PERIOD_S, REQUEST_LATENCY, Alarm, Figure

# CloudWatch's grid is 24 wide (CloudWatch API reference, dashboard body structure and syntax).
GRID, WIDTH, HEIGHT = 24, 8, 6
CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


class Dashboard(pulumi.ComponentResource):
    """One dashboard. CloudWatch bills it by the month, whoever looks at it."""

    url: pulumi.Output[str]

    def __init__(
        self, name: str, home: AwsContext, figures: Sequence[Figure], alarms: Sequence[Alarm], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:Dashboard", name, None, opts)
        shown: list[Figure | Alarm] = [*figures, *alarms]
        known = pulumi.Output.all(*(each.dimensions for each in shown))
        made = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=home.names.prefix,
            dashboard_body=pulumi.Output.json_dumps(known.apply(lambda of: body(home.region, home.names.prefix, shown, of))),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.url = made.dashboard_name.apply(lambda known: address(home.place.partition, home.region, known))
        self.register_outputs({"url": self.url})


def address(partition: str, region: str, dashboard: str) -> str:
    """Where the console shows the dashboard."""
    console = CONSOLES.get(partition, "console.aws.amazon.com")
    return f"https://{region}.{console}/cloudwatch/home?region={region}#dashboards/dashboard/{dashboard}"


def body(region: str, service: str, shown: Sequence[Figure | Alarm], dimensions: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The dashboard's body; `dimensions` are those of what is shown, with their values known. Pure."""
    graphs = [*_own(region, service)]
    for each, of in zip(shown, dimensions, strict=True):
        graphs.append(_watched(region, each, of) if isinstance(each, Alarm) else _shown(region, each, of))
    columns = GRID // WIDTH
    return {
        "widgets": [
            {
                "type": "metric",
                "x": place % columns * WIDTH,
                "y": place // columns * HEIGHT,
                "width": WIDTH,
                "height": HEIGHT,
                "properties": graph,
            }
            for place, graph in enumerate(graphs)
        ]
    }


def _watched(region: str, alarm: Alarm, dimensions: Mapping[str, str]) -> dict[str, Any]:
    """The metric of one alarm, with a line at its threshold."""
    named = [part for pair in dimensions.items() for part in pair]
    return {
        "title": alarm.role,
        "region": region,
        "stat": alarm.statistic,
        "period": PERIOD_S,
        "metrics": [[alarm.namespace, alarm.metric, *named]],
        "annotations": {"horizontal": [{"label": "alarm above", "value": alarm.threshold}]},
    }


def _shown(region: str, figure: Figure, dimensions: Mapping[str, str]) -> dict[str, Any]:
    """The metric of one figure, in each of its statistics."""
    named = [part for pair in dimensions.items() for part in pair]
    metrics = [[figure.namespace, figure.metric, *named, {"stat": each}] for each in figure.statistics]
    return {"title": figure.title, "region": region, "stat": figure.statistics[-1], "period": PERIOD_S, "metrics": metrics}


def _own(region: str, service: str) -> list[dict[str, Any]]:
    """What the functions count, and the stages of cold starts; searched for, because what never happened is no metric yet."""
    counts = f'{{{OWN_NAMESPACE},Service}} Service="{service}" NOT MetricName="{REQUEST_LATENCY}"'
    graphs = {
        "counted": (f"SEARCH('{counts}', 'Sum', {PERIOD_S})", "Sum"),
        "cold starts, slowest by stage (ms)": (
            f"SEARCH('{{{OWN_NAMESPACE},Service,Stage}} Service=\"{service}\"', 'Maximum', {PERIOD_S})",
            "Maximum",
        ),
    }
    return [
        {"title": title, "region": region, "stat": stat, "period": PERIOD_S, "metrics": [[{"expression": search}]]}
        for title, (search, stat) in graphs.items()
    ]
