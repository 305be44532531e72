"""What alert policies and dashboards ask of metrics, held against those that there are, as Monitoring does when it is told of a policy.

A dashboard with a metric that is not there Google takes, and draws nothing: nobody means that, so that it is refused here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pilotlight.twin.gcp.monitoring_metrics import ALIGNERS, METRICS, NUMERIC, REDUCERS, RESOURCES, Metric, Step

# What people send themselves: the twin knows of no descriptor.
_OWN = ("custom.googleapis.com/", "external.googleapis.com/", "prometheus.googleapis.com/", "workload.googleapis.com/")
USER = "logging.googleapis.com/user/"
# Of Monitoring's filters (its documentation, "Monitoring filters"): a selector, an operator, a value or a function of values.
_TERM = re.compile(
    r"""(?P<path>[A-Za-z_]+(?:\.(?:\w+|"[^"]*"))*)\s*(?P<operator>!=|=~|>=|<=|[=:<>])\s*(?P<value>"(?:[^"\\]|\\.)*"|[\w.]+\([^)]*\)|[^\s()]+)"""
)
_SELECTORS = ("metric.type", "resource.type", "metric.labels.", "metric.label.", "resource.labels.", "resource.label.")
_ALSO = ("project", "group.id", "metadata.")
_PROMQL = re.compile(r"\b([a-z][a-z0-9_]*:[A-Za-z0-9_]+)")
_SUFFIXES = ("_sum", "_count", "_bucket")
MISSING = "Cannot find metric that matches"


class Known:
    """Google's metrics, and those that programs made of log lines; without `made`, nothing is said of the latter."""

    def __init__(self, made: Iterable[Metric] | None = None) -> None:
        self._metrics = {**METRICS, **{each.type: each for each in made or ()}}
        self._promql = {_promql_name(type_): each for type_, each in self._metrics.items()}
        self._unjudged = _OWN if made is not None else (USER, *_OWN)

    def of(self, type_: str) -> Metric | str | None:
        """The descriptor of a metric's type; where there is none, what Monitoring says, None where nobody here can tell."""
        if found := self._metrics.get(type_):
            return found
        if type_.startswith(self._unjudged):
            return None
        mend = "make it first (logging.Metric), and let what asks for it depend on it" if type_.startswith(USER) else self._near(type_)
        return f'{MISSING} type = "{type_}": {mend}.'

    def of_promql(self, name: str) -> Metric | str | None:
        """The same for a metric's name in PromQL, without suffix."""
        if found := self._promql.get(name):
            return found
        if name.startswith(tuple(map(_promql_name, self._unjudged))):
            return None
        return f"{MISSING} {name}: a metric's type is written with ':' for its first '/', and '_' for all else that is no letter or digit."

    def _near(self, type_: str) -> str:
        domain = type_.partition("/")[0]
        near = difflib.get_close_matches(type_, [each for each in self._metrics if each.startswith(f"{domain}/")], 1)
        return f"did you mean {near[0]}" if near else "the local twin knows those of pilotlight/twin/gcp/monitoring_metrics.py"


def terms(text: str) -> list[tuple[str, str, str]]:
    """Selector, operator and value of each term of a filter."""
    return [(found["path"], found["operator"], found["value"].strip('"')) for found in _TERM.finditer(text)]


def between(text: str) -> list[str]:
    """The words of a filter that are no term: AND, OR, brackets."""
    return _TERM.sub(" ", text).split()


def problems(text: str, aggregations: Iterable[Any], known: Known, *, compared: bool) -> Iterator[str]:
    """What Monitoring would say of a filter and of what is made of its series; with `compared` the outcome must be a number."""
    found = terms(text)
    yield from _unknown_selectors(path for path, _, _ in found)
    types = [value for path, operator, value in found if (path, operator) == ("metric.type", "=")]
    resources = [value for path, operator, value in found if (path, operator) == ("resource.type", "=")]
    if not types:
        yield 'names no metric: add metric.type = "…".'
        return
    if compared and not resources:
        yield 'must specify a restriction on "resource.type": add resource.type = "…", the type of resource that is watched.'
    metric = known.of(types[0])
    if not isinstance(metric, Metric):
        yield from [] if metric is None else [metric]
        return
    yield from _resource_problems(metric, resources)
    steps = [each for each in aggregations if isinstance(each, Mapping)]
    named = [path for path, _, _ in found] + [
        field for each in steps for field in each.get("groupByFields") or [] if isinstance(field, str)
    ]
    yield from _label_problems(metric, resources, named)
    yield from _step_problems(metric, steps, compared=compared)


def promql_problems(query: str, known: Known) -> Iterator[str]:
    """The same of a query in PromQL, as far as its metrics go (Cloud Monitoring documentation, "Mapping Cloud Monitoring metrics to
    PromQL")."""
    for written in _PROMQL.findall(re.sub(r'"[^"]*"', '""', query)):
        suffix = next((each for each in _SUFFIXES if written.endswith(each)), "")
        plain, suffixed = known.of_promql(written), known.of_promql(written.removesuffix(suffix))
        # A name of its own may end like a suffix: proxy/request_count.
        metric, suffix = (plain, "") if isinstance(plain, Metric) else (suffixed, suffix)
        if isinstance(metric, str):
            yield metric
        elif metric is not None and (metric.value == "DISTRIBUTION") != bool(suffix):
            yield f"{written} is a {metric.value}: a distribution is asked for as NAME_sum, NAME_count or NAME_bucket, and nothing else is."


def _promql_name(type_: str) -> str:
    domain, _, path = type_.partition("/")
    return ":".join(re.sub(r"[^A-Za-z0-9]", "_", part) for part in (domain, path))


def _unknown_selectors(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if not path.startswith((*_SELECTORS, *_ALSO)):
            yield f"{path!r} is no selector of Monitoring's: use metric.type, resource.type, metric.labels.NAME, resource.labels.NAME."


def _resource_problems(metric: Metric, resources: list[str]) -> Iterator[str]:
    for resource in resources:
        if metric.resources is not None and resource not in metric.resources:
            fitting = ", ".join(sorted(metric.resources))
            yield (
                "does not specify a valid combination of metric and monitored resource descriptors: "
                f"{metric.type} is never {resource}'s: use resource.type {fitting}."
            )


def _label_problems(metric: Metric, resources: list[str], paths: Iterable[str]) -> Iterator[str]:
    """Of labels in comparisons and in groups."""
    ours = set().union(*(RESOURCES.get(each, frozenset()) for each in resources or metric.resources or ()))
    for path in paths:
        head, _, rest = path.partition(".")
        kind, _, label = rest.partition(".")
        label = label.strip('"')
        if kind not in ("labels", "label") or head not in ("metric", "resource"):
            continue
        allowed = metric.labels if head == "metric" else ours
        if label not in allowed and not (head == "resource" and not ours):
            of = metric.type if head == "metric" else " and ".join(resources)
            yield f"{path!r}: {of} has no label {label!r}: use {', '.join(sorted(allowed)) or 'none, it has no labels'}."


def _step_problems(metric: Metric, aggregations: list[Mapping[str, Any]], *, compared: bool) -> Iterator[str]:
    kind, value = metric.kind, metric.value
    for each in aggregations:
        for field, table in (("perSeriesAligner", ALIGNERS), ("crossSeriesReducer", REDUCERS)):
            name = each.get(field) or next(iter(table))
            step = table.get(str(name))
            if step is None:
                # Its name is the schema's to refuse.
                return
            if kind not in step.kinds or value not in step.values:
                yield (
                    f"{field} {name} cannot be applied to metrics with kind {kind} and value type {value}: "
                    f"use one of {', '.join(_fitting(table, kind, value))}."
                )
                return
            kind, value = step.kind or kind, step.value or value
    if compared and value not in NUMERIC | {"BOOL"}:
        yield f"a {value} is no number to compare: use an aligner or a reducer that makes one, as ALIGN_PERCENTILE_99."


def _fitting(table: Mapping[str, Step], kind: str, value: str) -> list[str]:
    return [name for name, step in table.items() if kind in step.kinds and value in step.values]
