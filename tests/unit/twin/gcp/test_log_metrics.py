"""Metrics of log lines: what is taken out of entries, and how it is gathered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.functions import metrics
from pilotlight.planned import planned
from pilotlight.twin.gcp.log_entries import Source, entry
from pilotlight.twin.gcp.log_metrics import extractor, series, typed
from pilotlight.twin.rows import Refusal
from tests.unit.twin.gcp.account import Account
from tests.unit.twin.gcp.declared import Made

STACK, METRIC = "gcp-cloud-run-events", "gcp:logging/metric:Metric"
NOON = 1_800_000_000.0
SOURCE = Source(project="my-project", location="europe-west1", service=f"pilotlight-{STACK}-events", revision="r1", instance="i")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def of(line: str, moment: float = NOON, **where: str) -> dict[str, Any]:
    given = {name: getattr(SOURCE, name) for name in ("project", "location", "service", "revision", "instance")}
    return entry(Source(**{**given, **where}), line, moment, "id")


def declared(field: str) -> dict[str, Any]:
    [metric] = [each.inputs for each in planned(STACK) if each.type == METRIC and each.inputs["name"].endswith(f"/{field}")]
    return dict(metric)


@pytest.fixture
def on_cloud_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", SOURCE.service)


@pytest.mark.usefixtures("on_cloud_run")
def test_a_stacks_metric_counts_what_its_functions_write(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.cold_start(STACK, {"endpoint-boot": 120.5, "endpoint-load": 900}, request_id="a")
    metrics.count(STACK, {metrics.OBJECTS_PROCESSED: 3, metrics.OBJECTS_FAILED: 0, metrics.OBJECTS_PASSED_OVER: 1})
    written = [of(line) for line in lines(capsys)]
    stages = {one.labels["stage"]: dict(one.values) for one in series(declared("ColdStart"), written)}
    assert stages == {"endpoint-boot": {NOON: [120.5]}, "endpoint-load": {NOON: [900.0]}}
    for field, value in ((metrics.OBJECTS_PROCESSED, 3), (metrics.OBJECTS_FAILED, 0), (metrics.OBJECTS_PASSED_OVER, 1)):
        [one] = series(declared(field), written)
        assert (dict(one.labels), dict(one.values)) == ({}, {NOON: [value]})
        assert one.resource["labels"]["service_name"] == SOURCE.service


@pytest.mark.usefixtures("on_cloud_run")
def test_it_counts_no_lines_of_other_services_stacks_and_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.cold_start("another-stack", {"endpoint-boot": 1})
    metrics.cold_start(STACK, {"endpoint-boot": 1})
    other, own = lines(capsys)
    entries = [of(other), of(own, service=f"{SOURCE.service}-2"), of(own, location="us-central1"), of("ColdStart"), of('{"ColdStart": 1}')]
    assert series(declared("ColdStart"), entries) == []
    assert len(series(declared("ColdStart"), [of(own)])) == 1


@pytest.mark.parametrize("stack", ["gcp-cloud-run-gpu-api", STACK])
def test_every_counter_that_the_functions_write_is_a_metric_of_the_stack(stack: str) -> None:
    changes = {"warming": [{"kind": "ping", "everyMinutes": 5}]}
    found = {each.inputs["name"].rpartition("/")[2] for each in planned(stack, changes) if each.type == METRIC}
    pings = {"Pings", "PingsCold", "PingsFailed"}
    if stack == STACK:
        assert found == {metrics.COLD_START, metrics.OBJECTS_PROCESSED, metrics.OBJECTS_FAILED, metrics.OBJECTS_PASSED_OVER} | pings
    else:
        answers = {"AnswersHandedOver", "AnswersDone", "AnswersFailed", "AnswerAttemptsFailed"}
        assert found == {metrics.COLD_START} | answers | pings


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
