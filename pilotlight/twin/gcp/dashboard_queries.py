"""What the charts of a dashboard ask for, wherever in it they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.twin.gcp import metric_judge
from pilotlight.twin.gcp.metric_judge import Known

_AGGREGATIONS = ("aggregation", "secondaryAggregation")


def problems(content: Any, known: Known, at: str) -> Iterator[str]:
    """What is wrong with the metrics of a dashboard, each with its path, `at` in front."""
    if isinstance(content, Mapping):
        if isinstance(text := content.get("filter"), str) and set(_AGGREGATIONS) & set(content):
            aggregations = [content[name] for name in _AGGREGATIONS if name in content]
            found = metric_judge.problems(text, aggregations, known, compared=False)
            yield from (f"{at}.filter: {problem}" for problem in found)
        if isinstance(query := content.get("prometheusQuery"), str):
            yield from (f"{at}.prometheusQuery: {problem}" for problem in metric_judge.promql_problems(query, known))
        for name, value in content.items():
            yield from problems(value, known, f"{at}.{name}")
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from problems(value, known, f"{at}[{index}]")
