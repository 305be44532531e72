"""Filters of Cloud Logging, as far as the twin reads them."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.gcp.log_filter import read
from pilotlight.twin.rows import Refusal

ENTRY: dict[str, Any] = {
    "timestamp": "2026-11-02T08:00:00.500000Z",
    "severity": "WARNING",
    "resource": {"type": "cloud_run_revision", "labels": {"service_name": "demo-events"}},
    "jsonPayload": {"event": "object", "attempt": 3, "permanent": True, "a.b": "c", "reason": 'The "object" is no text.'},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        'resource.type="cloud_run_revision" AND resource.labels.service_name="demo-events"',
        'resource.type = "Cloud_Run_Revision"\nseverity >= INFO',
        'resource.labels.service_name=~"^(demo-events|other)$"',
        'timestamp>="2026-11-02T08:00:00.500Z" AND timestamp<"2026-11-02T09:00:01+01:00"',
        "jsonPayload.attempt>2 AND jsonPayload.attempt<=3",
        "jsonPayload.permanent=true",
        'jsonPayload."a.b"="c"',
        'jsonPayload.reason:"OBJECT" AND jsonPayload.reason:*',
        'jsonPayload.reason="the \\"object\\" is no text."',
        'jsonPayload.nothing!="x"',
        '"no text"',
        '"demo-events" "is no text"',
    ],
)
def test_what_matches(text: str) -> None:
    assert read(text).matches(ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        'resource.type="k8s_container"',
        'resource.type="cloud_run_revision" AND severity>WARNING',
        'resource.labels.service_name=~"^demo$"',
        'resource.labels.service_name!~"demo"',
        'timestamp>"2026-11-02T08:00:00.500Z"',
        "jsonPayload.attempt>10",
        'jsonPayload.nothing="x"',
        "jsonPayload.nothing:*",
        '"another text"',
    ],
)
def test_what_does_not(text: str) -> None:
    assert not read(text).matches(ENTRY)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('severity="ERROR" OR severity="INFO"', "OR"),
        ('NOT severity="ERROR"', "NOT"),
        ('(severity="ERROR")', r"\("),
        ('-severity="ERROR"', "-severity"),
        ("severity", "severity"),
        ('severity="ERROR" AND', "AND"),
        ("severity=", "without a value"),
        ('"half', "half"),
        ("sample(insertId, 0.25)", "sample"),
        ("severity=LOUD", "LOUD"),
        ('timestamp>"yesterday"', "yesterday"),
        ('textPayload=~"("', "no regular expression"),
    ],
)
def test_what_is_not_understood_is_named(text: str, named: str) -> None:
    with pytest.raises(Refusal, match=named) as caught:
        read(text)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_the_least_time_is_known_before_anything_is_read() -> None:
    assert read('timestamp>="2026-11-02T08:00:00Z" AND severity=ERROR').since == 1793606400.0
    assert read('timestamp<"2026-11-02T08:00:00Z"').since == 0
