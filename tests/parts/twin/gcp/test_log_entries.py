"""Lines of containers as log entries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.twin.gcp.log_entries import Source, entry

SOURCE = Source(project="p", location="europe-west1", service="server", revision="server-00001-abc", instance="00ff")


def made(line: str | dict[str, Any]) -> dict[str, Any]:
    return entry(SOURCE, line if isinstance(line, str) else json.dumps(line), 1_800_000_000.25, "id")


def test_a_line_is_told_with_the_revision_that_wrote_it() -> None:
    found = made("serving")
    assert found["textPayload"] == "serving"
    assert found["resource"]["type"] == "cloud_run_revision"
    labels = found["resource"]["labels"]
    assert (labels["service_name"], labels["revision_name"], labels["location"]) == ("server", "server-00001-abc", "europe-west1")
    assert found["logName"] == "projects/p/logs/run.googleapis.com%2Fstdout"
    assert (found["timestamp"], found["labels"]) == ("2027-01-15T08:00:00.250000Z", {"instanceId": "00ff"})
    assert "severity" not in found


def test_a_line_of_json_has_its_severity_and_trace_taken_out() -> None:
    line = {
        "severity": "ERROR",
        "time": "2026-11-02T08:00:00Z",
        "event": "object",
        "logging.googleapis.com/trace": "projects/p/traces/t",
        "logging.googleapis.com/spanId": "s",
        "logging.googleapis.com/trace_sampled": True,
        "logging.googleapis.com/labels": {"a": "b"},
    }
    found = made(line)
    assert found["jsonPayload"] == {"event": "object"}
    assert (found["severity"], found["trace"], found["spanId"], found["traceSampled"]) == ("ERROR", "projects/p/traces/t", "s", True)
    assert found["labels"] == {"instanceId": "00ff", "a": "b"}


@pytest.mark.parametrize(
    ("line", "text"),
    [('{"severity": "INFO", "message": "hello"}', "hello"), ("[1]", "[1]"), ('{"half":', '{"half":'), ('{"a": NaN', '{"a": NaN')],
)
def test_what_is_only_a_text_stays_one(line: str, text: str) -> None:
    assert made(line)["textPayload"] == text


def test_a_severity_that_is_none_is_left_out() -> None:
    found = made({"severity": "LOUD", "event": "x"})
    assert "severity" not in found
    assert found["jsonPayload"] == {"event": "x"}
