"""What alarms and dashboards ask of metrics, held against those that AWS has.

CloudWatch itself takes an alarm on anything and waits for figures that never come: nobody means that, so that it is refused here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pilotlight.twin.aws.metric_names import METRICS, PERCENTILES, Metric

Table = Mapping[str, Mapping[str, Metric]]
# Namespaces of AWS's own services; under any other one everybody sends what they like.
_AWS = re.compile(r"/?aws/", re.IGNORECASE)
# CloudWatch user guide, "CloudWatch statistics definitions": percentiles and trimmed figures, which need every value by itself.
_PERCENTILE = re.compile(r"(?:p|tm|wm|tc|ts)\d{1,3}(?:\.\d+)?|(?:TM|WM|TC|TS|PR)\(.*\)|IQM")
# CloudWatch user guide, "Using search expressions in graphs": a namespace and its dimensions in braces, then words, statistic and period.
_SEARCH = re.compile(r"SEARCH\('\{(?P<schema>[^}]*)\}[^']*', *'(?P<statistic>\w[\w.]*)', *\d+\)")


def problems(asked: Mapping[str, Any], known: Table = METRICS, *, whole: bool = True) -> Iterator[str]:
    """What is wrong with the metric of an alarm, each with its property in front; nothing where nobody here can tell.

    Without `whole`, values may be missing that are not known yet: a part of a set of dimensions will do.
    """
    namespace, name = asked.get("namespace"), asked.get("metricName")
    if not isinstance(namespace, str) or not isinstance(name, str):
        return
    metrics = known.get(namespace)
    if metrics is None:
        if _AWS.match(namespace):
            yield f"namespace: {namespace!r} is none that the local twin knows: {_near(namespace, known)}."
        return
    if name not in metrics:
        yield f"metricName: {namespace} has no metric {name!r}: {_near(name, metrics)}."
        return
    metric, named = metrics[name], frozenset[str](asked.get("dimensions") or {})
    if not any(named == each if whole else named <= each for each in metric.dimensions):
        sets = " or ".join(sorted(_listed(each) for each in metric.dimensions))
        yield f"dimensions: {namespace} has no figures of {name} by {_listed(named)}: use {sets}."
    for field in ("statistic", "extendedStatistic"):
        statistic = asked.get(field)
        if isinstance(statistic, str) and _kind(statistic) not in metric.statistics:
            yield f"{field}: {statistic} of {name} says nothing: use {', '.join(sorted(metric.statistics))}."


def widget_problems(properties: Mapping[str, Any], known: Table = METRICS) -> Iterator[str]:
    """The same of a dashboard's graph (CloudWatch API reference, "Dashboard body structure and syntax")."""
    before: list[str] = []
    for place, row in enumerate(properties.get("metrics") or []):
        parts = [part for part in row if isinstance(part, str)]
        options = next((part for part in row if isinstance(part, Mapping)), {})
        if "expression" in options:
            yield from (f"metrics[{place}]: {problem}" for problem in _search_problems(str(options["expression"]), known))
            continue
        before = _written_out(parts, before)
        if len(before) < 2:
            continue
        dimensions, statistic = dict(zip(before[2::2], before[3::2], strict=False)), options.get("stat") or properties.get("stat")
        asked = {"namespace": before[0], "metricName": before[1], "dimensions": dimensions, "statistic": statistic}
        yield from (f"metrics[{place}]: {problem}" for problem in problems(asked, known))


def _search_problems(expression: str, known: Table) -> Iterator[str]:
    """Of what is searched for: some metric of the namespace has those dimensions, and that statistic."""
    for found in _SEARCH.finditer(expression):
        namespace, *dimensions = (part.strip().strip('"') for part in found["schema"].split(","))
        metrics = known.get(namespace)
        if metrics is None:
            yield from problems({"namespace": namespace, "metricName": ""}, known)
            continue
        fitting = [metric for metric in metrics.values() if frozenset(dimensions) in metric.dimensions]
        if not fitting:
            yield f"expression: no metric of {namespace} has figures by {_listed(dimensions)}."
        elif not any(_kind(found["statistic"]) in metric.statistics for metric in fitting):
            yield f"expression: {found['statistic']} of {namespace} by {_listed(dimensions)} says nothing."


def _written_out(parts: list[str], before: list[str]) -> list[str]:
    """A row with what it repeats of the one above: `.` is the same part, `...` all that come before the last ones."""
    if "..." in parts:
        rest = parts[parts.index("...") + 1 :]
        return [*before[: len(before) - len(rest)], *rest]
    return [before[place] if part == "." and place < len(before) else part for place, part in enumerate(parts)]


def _kind(statistic: str) -> str:
    return PERCENTILES if _PERCENTILE.fullmatch(statistic) else statistic


def _listed(names: Iterable[str]) -> str:
    return "+".join(sorted(names)) or "nothing"


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}" if near else "it knows those of pilotlight/twin/aws/metric_names.py"
