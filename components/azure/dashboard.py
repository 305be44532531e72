"""A page with the figures of a service: what its containers' lines tell, and what each alarm watches."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi
import pulumi_azure_native as azure

from components.azure import log_queries
from components.azure.context import AzureContext
from components.azure.log_watch import LogAlarm
from components.azure.watch import APPS, GATEWAYS, QUEUES, Alarm
from components.measures import Measure

PORTAL = "https://portal.azure.com"
VERSION = "Notebook/1.0"
# Kinds of items (Application-Insights-Workbooks, schema/workbook.json), of parameters, and of charts.
TEXT, QUERY, PARAMETERS, METRICS = 1, 3, 9, 10
TIME_RANGE, LINES = 4, 2
RANGE, DAY_MS, RANGES_MS = "range", 86_400_000, (3_600_000, 14_400_000, 86_400_000, 604_800_000, 2_592_000_000)
# What is made of a metric's figures, by the numbers that workbooks have for it.
AGGREGATIONS: Mapping[str, int] = {"Total": 1, "Maximum": 3, "Average": 4}
# What every resource of a kind is drawn with beside its alarms: title, metric, what is made of it.
OWN: Mapping[str, Sequence[tuple[str, str, str]]] = {
    APPS: (("replicas", "Replicas", "Maximum"),),
    GATEWAYS: (("requests", "Requests", "Total"), ("duration, mean (ms)", "Duration", "Average")),
}
_SERVICE = "/queueServices/"
_EQUALS = 0
_HALF = "50"


class Dashboard(pulumi.ComponentResource):
    """One workbook, which costs nothing; whoever opens it sees what they may read themselves."""

    url: pulumi.Output[str]

    def __init__(self, name: str, home: AzureContext, alarms: Sequence[Alarm | LogAlarm], opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Dashboard", name, None, opts)
        title, counted = home.names.prefix, list(dict.fromkeys(home.counted))
        metrics = [alarm for alarm in alarms if isinstance(alarm, Alarm)]
        lines = [alarm for alarm in alarms if isinstance(alarm, LogAlarm)]
        known = pulumi.Output.all(workspace=home.lines(), scopes=[alarm.scope for alarm in metrics])
        made = azure.applicationinsights.Workbook(
            f"{name}-workbook",
            # A GUID, by Azure's rules, and no other one in the next preview.
            resource_name_=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{home.subscription}/{home.names.group}/{name}")),
            resource_group_name=home.group(name, self),
            kind="shared",
            category="workbook",
            display_name=title,
            # Azure has it in small letters.
            source_id=home.lines().apply(lambda id_: id_.lower()),
            version=VERSION,
            serialized_data=known.apply(lambda had: json.dumps(body(title, metrics, lines, counted, **had))),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.url = made.id.apply(lambda id_: address(home.tenant, id_))
        self.register_outputs({"url": self.url})


def address(tenant: str, workbook: str) -> str:
    """Where the portal shows the workbook, by its id."""
    return f"{PORTAL}/#@{tenant}/resource{workbook}/workbook"


def body(
    title: str,
    alarms: Sequence[Alarm],
    lines: Sequence[LogAlarm],
    counted: Sequence[Measure],
    workspace: str,
    scopes: Sequence[str],
) -> dict[str, Any]:
    """The workbook's content; `alarms` are those on metrics, `scopes` theirs, known, `lines` the alarms on lines. Pure."""
    watched = list(zip(alarms, scopes, strict=True))
    own = dict.fromkeys((scope, alarm.namespace) for alarm, scope in watched if alarm.namespace in OWN)
    queries = _queries(counted, queued=any(alarm.namespace == QUEUES for alarm in alarms))
    items = [
        {"type": TEXT, "content": {"json": f"# {title}"}, "name": "title"},
        _times(title),
        *_asked(workspace, {**queries, **{_above(each): _drawn(each) for each in lines}}),
        *(chart for scope, kind in own for chart in _own(scope, kind)),
        *(_watched(alarm, scope) for alarm, scope in watched),
    ]
    return {"version": VERSION, "items": items, "fallbackResourceIds": [workspace]}


def _queries(counted: Sequence[Measure], *, queued: bool) -> dict[str, tuple[str, str]]:
    """By their titles: how each is drawn, and what it asks."""
    fields = [each.field for each in counted if not each.staged]
    return {
        "cold starts, slowest by stage (ms)": ("timechart", log_queries.cold_starts()),
        "answers": ("timechart", log_queries.requests()),
        "answers of the 500s": ("timechart", log_queries.failures()),
        "one answer in twenty is slower (ms)": ("timechart", log_queries.slow()),
        "latencies (ms)": ("table", log_queries.latencies()),
        **({"counted": ("timechart", log_queries.counted(fields))} if fields else {}),
        **({"dead letters": ("timechart", log_queries.dead_letters())} if queued else {}),
        "the last warnings and errors": ("table", log_queries.troubles()),
    }


def _times(title: str) -> dict[str, Any]:
    """What the time is chosen with that all else shows."""
    one = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{title}/{RANGE}")),
        "version": "KqlParameterItem/1.0",
        "name": RANGE,
        "type": TIME_RANGE,
        "isRequired": True,
        "value": {"durationMs": DAY_MS},
        "typeSettings": {"selectableValues": [{"durationMs": each} for each in RANGES_MS], "allowCustom": True},
    }
    return {"type": PARAMETERS, "content": {"version": "KqlParameterItem/1.0", "parameters": [one], "style": "pills"}, "name": "time"}


def _asked(workspace: str, queries: Mapping[str, tuple[str, str]]) -> Iterable[dict[str, Any]]:
    for title, (drawn, query) in queries.items():
        content = {
            "version": "KqlItem/1.0",
            "query": query,
            "size": 0,
            "title": title,
            **_of_range(),
            "queryType": 0,
            "resourceType": "microsoft.operationalinsights/workspaces",
            "crossComponentResources": [workspace],
            "visualization": drawn,
        }
        yield {"type": QUERY, "content": content, "customWidth": _HALF, "name": title}


def _watched(alarm: Alarm, scope: str) -> dict[str, Any]:
    """The metric of one alarm; where it goes off stands in the title, since a workbook draws no line."""
    filters = [{"key": key, "operator": _EQUALS, "values": [value]} for key, value in alarm.where.items()]
    return _chart(_above(alarm), scope, alarm.namespace, alarm.metric, AGGREGATIONS[alarm.statistic], filters)


def _above(alarm: Alarm | LogAlarm) -> str:
    return f"{alarm.role}: alarm above {alarm.threshold:g}"


def _drawn(alarm: LogAlarm) -> tuple[str, str]:
    return ("table" if alarm.column is None else "timechart", alarm.query)


def _own(scope: str, kind: str) -> Iterable[dict[str, Any]]:
    name = scope.rpartition("/")[2]
    for title, metric, made in OWN[kind]:
        yield _chart(f"{name}: {title}", scope, kind, metric, AGGREGATIONS[made], [])


def _chart(title: str, scope: str, namespace: str, metric: str, made: int, filters: list[dict[str, Any]]) -> dict[str, Any]:
    """A service of a storage account has metrics of its own, and is no resource of its own."""
    kind, resource = namespace.lower(), scope.partition(_SERVICE)[0]
    content = {
        "chartId": f"workbook{uuid.uuid5(uuid.NAMESPACE_URL, f'{scope}/{title}')}",
        "version": "MetricsItem/2.0",
        "size": 0,
        "chartType": LINES,
        "resourceType": kind if resource == scope else kind.rpartition("/")[0],
        "metricScope": 0,
        "resourceIds": [resource],
        **_of_range(),
        "metrics": [{"namespace": kind, "metric": f"{kind}--{metric}", "aggregation": made, "splitBy": None}],
        "title": title,
        "filters": filters,
    }
    return {"type": METRICS, "content": content, "customWidth": _HALF, "name": title}


def _of_range() -> dict[str, Any]:
    return {"timeContext": {"durationMs": DAY_MS}, "timeContextFromParameter": RANGE}
