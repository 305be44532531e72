"""Metrics of log lines: what is taken out of entries, and how it is gathered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pilotlight.twin.gcp.log_entries import Source, entry
from pilotlight.twin.gcp.log_metrics import extractor, series, typed
from pilotlight.twin.rows import Refusal
from tests.parts.twin.gcp.account import Account
from tests.parts.twin.gcp.declared import Made

METRIC = "gcp:logging/metric:Metric"
NOON = 1_800_000_000.0
SOURCE = Source(project="my-project", location="europe-west1", service="tried-events", revision="r1", instance="i")


def of(line: str, moment: float = NOON, **where: str) -> dict[str, Any]:
    return entry(replace(SOURCE, **where), line, moment, "id")


def test_values_of_a_minute_are_told_together_and_revisions_apart() -> None:
    metric = {"filter": "jsonPayload.ms>0", "valueExtractor": "EXTRACT(jsonPayload.ms)", "metricDescriptor": {"valueType": "DISTRIBUTION"}}
    entries = [of(json.dumps({"ms": ms}), NOON + at) for ms, at in ((1, 0), (3, 59), (5, 60))] + [of('{"ms": 9}', revision="r2")]
    first, second = series(metric, entries)
    assert (dict(first.values), dict(second.values)) == ({NOON: [1, 3], NOON + 60: [5]}, {NOON: [9]})
    assert typed(metric, first.values[NOON]) == {"distributionValue": {"count": "2", "mean": 2.0, "sumOfSquaredDeviation": 2.0}}


def test_a_counter_counts_entries_and_a_distribution_only_values() -> None:
    entries = [of('{"ms": "soon"}'), of('{"ms": 2}')]
    counter = {"filter": "jsonPayload.ms:*", "metricDescriptor": {"valueType": "INT64"}}
    [one] = series(counter, entries)
    assert typed(counter, one.values[NOON]) == {"int64Value": "2"}
    [one] = series({**counter, "valueExtractor": "EXTRACT(jsonPayload.ms)"}, entries)
    assert one.values[NOON] == [2.0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("EXTRACT(jsonPayload.Stage)", "boot"),
        ('REGEXP_EXTRACT(jsonPayload.path, "/v(\\\\d+)/")', "12"),
        ('REGEXP_EXTRACT(jsonPayload.path, "/w(\\\\d+)/")', None),
        ("EXTRACT(jsonPayload.nothing)", None),
    ],
)
def test_extractors(text: str, found: str | None) -> None:
    take = extractor(text)
    assert take is not None
    assert take({"jsonPayload": {"Stage": "boot", "path": "/v12/x"}}) == found


@pytest.mark.parametrize("text", ["jsonPayload.ms", "EXTRACT()", 'REGEXP_EXTRACT(jsonPayload.ms, "no group")', 'REGEXP_EXTRACT(a, "(")'])
def test_what_extracts_nothing_is_refused(account: Account, made: Made, text: str) -> None:
    assert extractor(text) is None
    _, problems = account.check(METRIC, "other", {**made["metric"].inputs, "valueExtractor": text})
    assert any(problem.startswith(f"valueExtractor: {text!r}: use EXTRACT(FIELD) or ") for problem in problems)


def test_a_filter_that_the_twin_cannot_read_is_told_when_points_are_asked_for() -> None:
    with pytest.raises(Refusal, match="does not understand 'OR'"):
        series({"filter": 'severity="ERROR" OR severity="INFO"'}, [of("x")])
