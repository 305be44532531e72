"""Whether the criterion of a metric alert is met, by the minutes that came; and what of alerts the twin does not judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pilotlight.twin.azure.alert_rules import Rule, read
from pilotlight.twin.azure.types import METRIC_ALERT
from pilotlight.twin.metrics import MINUTE_S, Metrics
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID
from tests.parts.twin.azure.test_alerts import SERVICES, alert, criterion

WATCHED = f"{GROUP_ID}/providers/{SERVICES}/tried"
CATEGORY = "GatewayResponseCodeCategory"
NOW = 1_000 * MINUTE_S


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(lambda: NOW)
    yield made
    made.close()


def rule(**given: Any) -> Rule:
    declared = alert(WATCHED, criterion(**given))
    made = read(Resource(token=METRIC_ALERT, id="alert", urn="", outputs=declared))
    assert made is not None
    return made


def came(metrics: Metrics, *values: float, ago: int = 0, category: str = "5xx", scope: str = WATCHED, metric: str = "Requests") -> None:
    """Values that came in a minute which ended so many minutes ago."""
    labels = {CATEGORY: category, "GatewayResponseCode": f"{category[0]}00"}
    for value in values:
        metrics.put(scope.lower(), {metric: value}, labels, at=NOW - ago * MINUTE_S - 1)


def dimension(operator: str, *values: str) -> list[dict[str, Any]]:
    return [{"name": CATEGORY, "operator": operator, "values": [*values]}]


def test_the_window_is_whole_and_ends_now(metrics: Metrics) -> None:
    made = rule()
    came(metrics, 1, 1, ago=4)
    came(metrics, 1, ago=5)
    assert made.figures(metrics, NOW) == {((CATEGORY, "5xx"),): 2.0}
    assert made.figures(metrics, NOW + 5 * MINUTE_S) == {}


def test_only_what_is_watched_and_has_the_dimensions_counts(metrics: Metrics) -> None:
    came(metrics, 1, category="4xx")
    came(metrics, 1, scope=f"{WATCHED}-other")
    came(metrics, 1, metric="Duration")
    assert rule().figures(metrics, NOW) == {}
    assert rule(dimensions=[]).figures(metrics, NOW) == {(): 1.0}


def test_each_combination_of_values_is_judged_by_itself(metrics: Metrics) -> None:
    came(metrics, 1, 1, category="5xx")
    came(metrics, 1, category="4xx")
    came(metrics, 1, category="2xx")
    told = {"5xx": 2.0, "4xx": 1.0, "2xx": 1.0}

    def figures(operator: str, *values: str) -> dict[str, float]:
        found = rule(dimensions=dimension(operator, *values)).figures(metrics, NOW)
        return {value: figure for ((_, value),), figure in found.items()}

    assert figures("Include", "5xx", "4xx") == {name: told[name] for name in ("5xx", "4xx")}
    assert figures("Include", "*") == told
    assert figures("Exclude", "2xx") == {name: told[name] for name in ("5xx", "4xx")}


@pytest.mark.parametrize(
    ("namespace", "metric", "made", "figure"),
    [
        ("Microsoft.App/containerApps", "Requests", "Total", 6.0),
        ("Microsoft.App/containerApps", "ResponseTime", "Maximum", 4.0),
        ("Microsoft.Storage/storageAccounts/queueServices", "QueueMessageCount", "Average", 2.0),
    ],
)
def test_what_is_made_of_the_figures_of_several_series(metrics: Metrics, namespace: str, metric: str, made: str, figure: float) -> None:
    came(metrics, 1, 4, metric=metric)
    came(metrics, 1, ago=2, category="2xx", metric=metric)
    asked = rule(metricNamespace=namespace, metricName=metric, timeAggregation=made, dimensions=[])
    assert asked.figures(metrics, NOW) == {(): figure}


@pytest.mark.parametrize(
    ("operator", "met"),
    [
        ("GreaterThan", [False, False, True]),
        ("GreaterThanOrEqual", [False, True, True]),
        ("LessThan", [True, False, False]),
        ("LessThanOrEqual", [True, True, False]),
        ("Equals", [False, True, False]),
    ],
)
def test_operators(operator: str, met: list[bool]) -> None:
    asked = rule(operator=operator, threshold=2)
    assert [asked.met(value) for value in (1.0, 2.0, 3.0)] == met


@pytest.mark.parametrize("change", [{"enabled": False}, {"autoMitigate": False}])
def test_what_is_off_or_not_judged_has_no_rule(change: dict[str, Any]) -> None:
    assert read(Resource(token=METRIC_ALERT, id="alert", urn="", outputs=alert(WATCHED, **change))) is None
