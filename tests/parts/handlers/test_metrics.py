"""Metrics in the embedded metric format: what CloudWatch reads out of a log line."""

import json
import time

import pytest

from handlers.functions import metrics


def written(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def found(line):
    """The metrics of a line as CloudWatch finds them: name -> (value, unit, dimensions)."""
    (declared,) = line["_aws"]["CloudWatchMetrics"]
    assert declared["Namespace"] == "Pilotlight"
    (names,) = declared["Dimensions"]
    dimensions = {name: line[name] for name in names}
    return {metric["Name"]: (line[metric["Name"]], metric["Unit"], dimensions) for metric in declared["Metrics"]}


def test_counters_of_a_batch_are_one_line_with_their_service(capsys):
    metrics.count("mine", {metrics.OBJECTS_PROCESSED: 9, metrics.OBJECTS_FAILED: 0}, request_id="r1")
    (line,) = written(capsys)
    assert found(line) == {
        "ObjectsProcessed": (9, "Count", {"Service": "mine"}),
        "ObjectsFailed": (0, "Count", {"Service": "mine"}),
    }
    assert line["request_id"] == "r1"
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 10


def test_each_stage_of_a_cold_start_is_a_metric_of_its_own(capsys):
    metrics.cold_start("mine", {"endpoint-load": 80.5, "endpoint-first": 20.0})
    assert [found(line) for line in written(capsys)] == [
        {"ColdStart": (80.5, "Milliseconds", {"Service": "mine", "Stage": "endpoint-load"})},
        {"ColdStart": (20.0, "Milliseconds", {"Service": "mine", "Stage": "endpoint-first"})},
    ]


def test_a_field_of_the_log_can_not_take_the_place_of_a_metric(capsys):
    metrics.count("mine", {metrics.OBJECTS_FAILED: 1}, Service="other", ObjectsFailed="many")
    assert found(written(capsys)[0]) == {"ObjectsFailed": (1, "Count", {"Service": "mine"})}


def test_a_request_tells_how_long_it_took_and_only_cloudwatch_is_told_a_metric(monkeypatch):
    line = json.loads(json.dumps(metrics.latency("mine", 12.34)))
    assert found(line) == {"RequestLatency": (12.3, "Milliseconds", {"Service": "mine"})}
    assert line["ms"] == 12.3
    assert metrics.latency(None, 12.34) == {"ms": 12.3}
    for platform in ("K_SERVICE", "CONTAINER_APP_NAME"):
        with monkeypatch.context() as told:
            told.setenv(platform, "mine-endpoint")
            assert metrics.latency("mine", 12.34) == {"ms": 12.3}


def test_without_a_service_or_a_value_nothing_is_written(capsys):
    metrics.count(None, {metrics.OBJECTS_FAILED: 1})
    metrics.cold_start("mine", {})
    assert written(capsys) == []


@pytest.mark.parametrize("platform", ["K_SERVICE", "CONTAINER_APP_NAME"])
def test_where_no_cloudwatch_reads_they_are_plain_lines_of_one_event(capsys, monkeypatch, platform):
    monkeypatch.setenv(platform, "mine-function")
    metrics.count("mine", {metrics.OBJECTS_PROCESSED: 9, metrics.OBJECTS_FAILED: 0}, request_id="r1")
    metrics.cold_start("mine", {"endpoint-load": 80.5})
    counters, stage = written(capsys)
    assert (counters["event"], counters["level"], counters["request_id"]) == ("metrics", "INFO", "r1")
    assert (counters["Service"], counters["ObjectsProcessed"], counters["ObjectsFailed"]) == ("mine", 9, 0)
    assert (stage["event"], stage["Stage"], stage["ColdStart"]) == ("metrics", "endpoint-load", 80.5)
    assert [line for line in (counters, stage) if "_aws" in line] == []
