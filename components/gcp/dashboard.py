"""A page with the figures of a service: each alarm's metric, with a line where it goes off, how its services run, what they count."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import MONITORING
from components.gcp.context import GcpContext
from components.gcp.metrics import REVISION, STAGE
from components.gcp.watch import ALIGNED, PERIOD_S, Alarm, LogAlarm

# Monitoring's grid (Dashboards API, MosaicLayout) takes up to 48 columns.
COLUMNS, WIDTH, HEIGHT = 12, 4, 4
CONSOLE = "https://console.cloud.google.com/monitoring/dashboards/builder"
USER = "logging.googleapis.com/user/"
# What every service of the stack is drawn with: title, metric, aligner, reducer, the labels that lines are told apart by.
OWN: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("instances", "run.googleapis.com/container/instance_count", "ALIGN_MAX", "REDUCE_SUM", ("metric.labels.state",)),
    ("starts of an instance, slowest (ms)", "run.googleapis.com/container/startup_latencies", "ALIGN_PERCENTILE_99", "REDUCE_MAX", ()),
)


class Dashboard(pulumi.ComponentResource):
    """One dashboard, which costs nothing."""

    url: pulumi.Output[str]

    def __init__(self, name: str, home: GcpContext, watched: Sequence[Alarm | LogAlarm], opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Dashboard", name, None, opts)
        alarms = [alarm for alarm in watched if isinstance(alarm, Alarm)]
        # Through the metrics' own names, so that they are there first.
        known = pulumi.Output.all(
            filters=[alarm.filter() for alarm in alarms],
            of=[alarm.of for alarm in alarms],
            stages=[one.name for one in home.counted if one.measure.staged],
            counts=[one.name for one in home.counted if not one.measure.staged],
        )
        title = home.names.prefix
        made = gcp.monitoring.Dashboard(
            f"{name}-dashboard",
            dashboard_json=pulumi.Output.json_dumps(known.apply(lambda had: body(title, alarms, **had))),
            opts=pulumi.ResourceOptions(parent=self, depends_on=home.apis.enabled(name, self, MONITORING)),
        )
        self.url = made.id.apply(lambda id_: address(id_, home.project))
        self.register_outputs({"url": self.url})


def address(dashboard: str, project: str) -> str:
    """Where the console shows the dashboard, whose id is `projects/NUMBER/dashboards/ID`."""
    return f"{CONSOLE}/{dashboard.rpartition('/')[2]}?project={project}"


def body(
    title: str,
    alarms: Sequence[Alarm],
    filters: Sequence[str],
    of: Sequence[Mapping[str, str]],
    stages: Sequence[str],
    counts: Sequence[str],
) -> dict[str, Any]:
    """The dashboard's body; `filters` and `of` are those of the alarms, with their values known; `stages` and `counts` name the
    metrics of cold starts, and of what else was counted. Pure."""
    services = list(dict.fromkeys(labels["service_name"] for labels in of if "service_name" in labels))
    own = [*_own(services), *_counted(counts), *_cold_starts(stages)]
    charts = [*own, *(_watched(alarm, text) for alarm, text in zip(alarms, filters, strict=True))]
    across = COLUMNS // WIDTH
    return {
        "displayName": title,
        "mosaicLayout": {
            "columns": COLUMNS,
            "tiles": [
                {**_told(xPos=place % across * WIDTH, yPos=place // across * HEIGHT), "width": WIDTH, "height": HEIGHT, "widget": chart}
                for place, chart in enumerate(charts)
            ],
        },
    }


def _watched(alarm: Alarm, filter_: str) -> dict[str, Any]:
    """The metric of one alarm, with a line at its threshold."""
    aligner, reducer = ALIGNED[alarm.statistic]
    return _chart(alarm.role, [_line(filter_, aligner, reducer, ())], [{"label": "alarm above", **_told(value=alarm.threshold)}])


def _own(services: Sequence[str]) -> list[dict[str, Any]]:
    common = f'resource.type = "{REVISION}" AND metric.type = "{{}}" AND resource.labels.service_name = "{{}}"'
    return [
        _chart(f"{service}: {title}", [_line(common.format(metric, service), aligner, reducer, groups)], [])
        for service in services
        for title, metric, aligner, reducer, groups in OWN
    ]


def _cold_starts(metrics: Sequence[str]) -> list[dict[str, Any]]:
    common = f'resource.type = "{REVISION}" AND metric.type = "{USER}{{}}"'
    by = (f"metric.labels.{STAGE}",)
    lines = [_line(common.format(metric), "ALIGN_PERCENTILE_99", "REDUCE_MAX", by) for metric in metrics]
    return [_chart("cold starts, slowest by stage (ms)", lines, [])] if lines else []


def _counted(metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Sums, which no aligner makes of a distribution; PromQL does (Cloud Monitoring documentation, mapping metrics to PromQL)."""
    lines = [{"plotType": "LINE", "legendTemplate": metric, "timeSeriesQuery": {"prometheusQuery": _sum(metric)}} for metric in metrics]
    return [_chart("counted", lines, [])] if lines else []


def _sum(metric: str) -> str:
    domain, _, path = f"{USER}{metric}".partition("/")
    named = ":".join(re.sub(r"[^A-Za-z0-9]", "_", part) for part in (domain, path))
    return f'sum(increase({named}_sum{{monitored_resource="{REVISION}"}}[${{__interval}}]))'


def _chart(title: str, lines: list[dict[str, Any]], thresholds: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": title, "xyChart": {"dataSets": lines, **_told(thresholds=thresholds)}}


def _line(filter_: str, aligner: str, reducer: str, groups: tuple[str, ...]) -> dict[str, Any]:
    aggregation = {
        "alignmentPeriod": f"{PERIOD_S}s",
        "perSeriesAligner": aligner,
        "crossSeriesReducer": reducer,
        **_told(groupByFields=list(groups)),
    }
    return {"plotType": "LINE", "timeSeriesQuery": {"timeSeriesFilter": {"filter": filter_, "aggregation": aggregation}}}


def _told(**values: Any) -> dict[str, Any]:
    """Those that are neither 0 nor empty: Monitoring leaves these out of what it answers, and the provider takes that for a change that
    somebody has made (terraform-provider-google, issues 16173 and 24650)."""
    return {name: value for name, value in values.items() if value}
