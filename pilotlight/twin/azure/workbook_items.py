"""The content of a workbook, held against what there is: its items, the tables that its queries ask, the metrics that its charts draw.

Azure takes any content, and shows an error where a chart would be: nobody means that, so that it is refused here. Sources (read 2026-11):
Application-Insights-Workbooks, schema/workbook.json; exported workbooks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pilotlight.twin.azure import kusto
from pilotlight.twin.azure.log_analytics import TABLES
from pilotlight.twin.azure.monitor_metrics import METRICS
from pilotlight.twin.rows import Refusal

VERSION = "Notebook/1.0"
WORKSPACES = "microsoft.operationalinsights/workspaces"
_SERVICES = ("blobservices", "fileservices", "queueservices", "tableservices")
_DRAWN = ("areachart", "barchart", "categoricalbar", "linechart", "piechart", "scatterchart", "table", "tiles", "timechart", "unstackedbar")
_MADE: Mapping[int, str] = {1: "Total", 2: "Minimum", 3: "Maximum", 4: "Average", 7: "Count"}
_LOGS, _TIME_RANGE = 0, 4
_FROM = "timeContextFromParameter"
Item = Mapping[str, Any]


def problems(text: str, at: str = "serializedData") -> Iterator[str]:
    """What is wrong with a workbook's content, each with its place."""
    try:
        content = json.loads(text)
    except ValueError as error:
        yield f"{at}: is no JSON: {error}."
        return
    items = content.get("items") if isinstance(content, Mapping) else None
    if not isinstance(items, list) or not items or content.get("version") != VERSION:
        yield f"{at}: use an object with version {VERSION!r} and a list of items."
        return
    times = {one.get("name") for item in items for one in _parameters(item)}
    names = [item.get("name") for item in items if isinstance(item, Mapping)]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield f"{at}: {names.count(name)} items have the name {name!r}: give each one of its own."
    for position, item in enumerate(items):
        yield from (f"{at}.items[{position}].{told}" for told in _item_problems(item, times))


def resources(text: str) -> Iterator[tuple[str, str]]:
    """The ids that a workbook's items name, each with its type; of content that is in order."""
    for item in json.loads(text)["items"]:
        content = item["content"]
        for id_ in content.get("crossComponentResources", ()) if item["type"] == 3 else content.get("resourceIds", ()):
            yield id_, content["resourceType"]


def _parameters(item: Any) -> list[Item]:
    found = item.get("content", {}).get("parameters") if isinstance(item, Mapping) and isinstance(item.get("content"), Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _item_problems(item: Any, times: set[Any]) -> Iterator[str]:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if not isinstance(kind, int) or kind not in _JUDGES:
        known = ", ".join(f"{number} ({name})" for number, (name, _, _) in _JUDGES.items())
        yield f"type: {kind!r} is not served by the local twin: use {known}."
        return
    _, version, judge = _JUDGES[kind]
    content = item.get("content")
    if not isinstance(content, Mapping):
        yield "content: is missing."
        return
    if version and content.get("version") != version:
        yield f"content.version: {content.get('version')!r} is not allowed: use {version!r}."
    if content.get(_FROM) not in (None, *times):
        yield f"content.{_FROM}: {content[_FROM]!r} is no parameter of this workbook: it has {', '.join(map(str, times)) or 'none'}."
    yield from (f"content.{told}" for told in judge(content))


def _text_problems(content: Item) -> Iterator[str]:
    if not isinstance(content.get("json"), str):
        yield "json: is missing: give a text."


def _parameter_problems(content: Item) -> Iterator[str]:
    for position, one in enumerate(content.get("parameters") or []):
        if not isinstance(one, Mapping) or one.get("type") != _TIME_RANGE:
            told = one.get("type") if isinstance(one, Mapping) else one
            yield f"parameters[{position}].type: {told!r} is not served by the local twin: use {_TIME_RANGE} (a range of time)."


def _query_problems(content: Item) -> Iterator[str]:
    if content.get("queryType") != _LOGS or content.get("resourceType") != WORKSPACES:
        yield f"queryType, resourceType: the local twin serves {_LOGS} (logs) of {WORKSPACES}."
    if not content.get("crossComponentResources"):
        yield "crossComponentResources: is missing: name the workspaces that are asked."
    if content.get("visualization") not in _DRAWN:
        yield f"visualization: {content.get('visualization')!r} is not known: use one of {', '.join(_DRAWN)}."
    try:
        kusto.read(str(content.get("query") or ""), TABLES, 0)
    except Refusal as refusal:
        yield f"query: {refusal.message}"


def _chart_problems(content: Item) -> Iterator[str]:
    kind, drawn = content.get("resourceType"), content.get("metrics")
    if not content.get("resourceIds"):
        yield "resourceIds: is missing: name what is drawn."
    if not isinstance(drawn, list) or not drawn:
        yield "metrics: is missing: name one."
        return
    keys = [one.get("key") for one in content.get("filters") or [] if isinstance(one, Mapping)]
    for position, one in enumerate(drawn):
        if isinstance(one, Mapping):
            yield from (f"metrics[{position}].{told}" for told in _metric_problems(one, str(kind), keys))


def _metric_problems(one: Item, kind: str, keys: list[Any]) -> Iterator[str]:
    namespace = str(one.get("namespace"))
    known = METRICS.get(namespace)
    if known is None or namespace not in (kind, *(f"{kind}/{service}" for service in _SERVICES)):
        yield f"namespace: {namespace!r} is none that {kind} has metrics of."
        return
    # `NAMESPACE-CATEGORY-METRIC`; the category only tells the portal where to list it.
    name = str(one.get("metric")).removeprefix(f"{namespace}-").partition("-")[2]
    if name not in known:
        yield f"metric: {one.get('metric')!r}: {namespace} has {', '.join(f'{namespace}--{each}' for each in sorted(known))}."
        return
    made = _MADE.get(one.get("aggregation") or 0)
    if made not in known[name].aggregations:
        allowed = ", ".join(f"{number} ({each})" for number, each in _MADE.items() if each in known[name].aggregations)
        yield f"aggregation: {one.get('aggregation')!r} of {name}: use {allowed}."
    for key in keys:
        if key not in known[name].dimensions:
            yield f"metric: {name} has no dimension {key!r} to filter by: use {', '.join(sorted(known[name].dimensions)) or 'no filter'}."


_JUDGES: Mapping[int, tuple[str, str, Callable[[Item], Iterator[str]]]] = {
    1: ("text", "", _text_problems),
    3: ("query", "KqlItem/1.0", _query_problems),
    9: ("parameters", "KqlParameterItem/1.0", _parameter_problems),
    10: ("metrics", "MetricsItem/2.0", _chart_problems),
}
