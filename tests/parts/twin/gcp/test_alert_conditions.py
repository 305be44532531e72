"""Whether a condition of an alert policy is met, by the minutes that came; and what of conditions the twin does not judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pilotlight.twin.gcp.alert_conditions import NotJudged, read
from pilotlight.twin.metrics import MINUTE_S, Metrics

RUN, COUNT, SLOW = "cloud_run_revision", "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"
FAILS = f'''resource.type = "{RUN}" AND metric.type = "{COUNT}" AND metric.labels.response_code_class = "5xx" AND \
metric.labels.response_code != "503" AND resource.labels.service_name = "mine"'''
SUM = {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_SUM"}
P99 = {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_PERCENTILE_99", "crossSeriesReducer": "REDUCE_MAX"}
NOW = 1_000 * MINUTE_S


def declared(**given: Any) -> dict[str, Any]:
    """The condition of components/gcp/watch.py, with what is special."""
    threshold = {
        "filter": FAILS,
        "aggregations": [SUM],
        "comparison": "COMPARISON_GT",
        "thresholdValue": 0,
        "duration": "180s",
        "evaluationMissingData": "EVALUATION_MISSING_DATA_INACTIVE",
        "trigger": {"count": 1},
    }
    return {"displayName": "fails", "conditionThreshold": {**threshold, **given}}


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(lambda: NOW)
    yield made
    made.close()


def came(metrics: Metrics, minutes: Mapping[int, float], service: str = "mine", code: str = "500", metric: str = COUNT) -> None:
    """Values of a service's, by how many minutes ago their minute ended."""
    for ago, value in minutes.items():
        labels = {
            "resource.labels.service_name": service,
            "metric.labels.response_code": code,
            "metric.labels.response_code_class": f"{code[0]}xx",
        }
        metrics.put(RUN, {metric: value}, labels, at=NOW - ago * MINUTE_S - 1)


@pytest.mark.parametrize(
    ("minutes", "met"),
    [
        ({0: 1, 1: 1, 2: 1}, (True, True)),
        ({0: 1, 1: 1}, (True, False)),
        ({1: 1, 2: 1, 3: 1}, (False, False)),
        ({0: 1, 2: 1, 3: 1}, (True, False)),
        ({}, (False, False)),
    ],
)
def test_every_minute_of_the_duration_must_breach(metrics: Metrics, minutes: dict[int, float], met: tuple[bool, bool]) -> None:
    came(metrics, minutes)
    assert read(declared()).met(metrics, NOW)[:2] == met


def test_only_what_the_filter_lets_through_counts(metrics: Metrics) -> None:
    for service, code in (("other", "500"), ("mine", "503"), ("mine", "404")):
        came(metrics, {0: 1, 1: 1, 2: 1}, service, code)
    assert read(declared()).met(metrics, NOW) == (False, False, None)
    came(metrics, {0: 1, 1: 1, 2: 1}, code="502")
    came(metrics, {0: 1, 1: 1, 2: 1}, code="500")
    assert read(declared()).met(metrics, NOW) == (True, True, 2.0), "the sum of both"


def test_the_threshold_is_not_breached_by_what_it_is(metrics: Metrics) -> None:
    came(metrics, {0: 2, 1: 2, 2: 2})
    assert not read(declared(thresholdValue=2)).met(metrics, NOW)[1]
    assert read(declared(thresholdValue=1.9)).met(metrics, NOW)[1]
    assert read(declared(thresholdValue=3, comparison="COMPARISON_LT")).met(metrics, NOW)[1]


def test_a_percentile_is_of_each_series_and_the_highest_of_them_counts(metrics: Metrics) -> None:
    slow = declared(filter=f'resource.type = "{RUN}" AND metric.type = "{SLOW}"', aggregations=[P99], duration="0s")
    came(metrics, {0: 10}, metric=SLOW)
    came(metrics, {0: 900}, "other", metric=SLOW)
    assert read(slow).met(metrics, NOW)[2] == 900.0


@pytest.mark.parametrize(("missing", "last"), [("INACTIVE", False), ("ACTIVE", True), ("NO_OP", None)])
def test_what_minutes_without_values_mean_is_the_policys_to_say(metrics: Metrics, missing: str, last: bool | None) -> None:
    assert read(declared(evaluationMissingData=f"EVALUATION_MISSING_DATA_{missing}")).met(metrics, NOW) == (last, last is True, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"filter": FAILS.replace(" AND ", " OR ", 1)}, "OR is not known"),
        ({"filter": f"NOT ({FAILS})"}, r"\( is not known"),
        ({"filter": f'{FAILS} AND metric.labels.route = monitoring.regex.full_match("a.*")'}, "monitoring.regex"),
        ({"filter": FAILS.replace("!=", "=~")}, "=~ 503 is not known"),
        ({"filter": f'metric.type = "{COUNT}"'}, "one resource.type"),
        ({"aggregations": []}, "there are 0"),
        ({"aggregations": [{**SUM, "groupByFields": ["metric.labels.route"]}]}, "without groupByFields"),
        ({"aggregations": [{**SUM, "perSeriesAligner": "ALIGN_RATE"}]}, "ALIGN_RATE with REDUCE_SUM"),
        ({"denominatorFilter": FAILS}, "denominatorFilter"),
        ({"trigger": {"percent": 50}}, "a count of 1"),
    ],
)
def test_what_is_not_judged_says_so(given: dict[str, Any], said: str) -> None:
    with pytest.raises(NotJudged, match=said):
        read(declared(**given))


def test_other_kinds_of_condition_are_not_judged() -> None:
    with pytest.raises(NotJudged, match="conditionThreshold"):
        read({"displayName": "gone", "conditionAbsent": {"filter": FAILS}})
