"""What jobs send, and when they try again."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.gcp.scheduler_calls import headers_of
from pilotlight.twin.gcp.scheduler_retries import Retries
from pilotlight.twin.gcp.types import JOB
from pilotlight.twin.world import Resource


def job(**outputs: Any) -> Resource:
    return Resource(token=JOB, id="projects/p/locations/l/jobs/ping", urn="", outputs=outputs)


def waits(retries: Retries, count: int) -> list[float]:
    return [retries.wait_s(done) for done in range(count)]


def test_the_pause_doubles_then_grows_by_a_step_up_to_the_longest() -> None:
    """The example of Cloud Scheduler's documentation, "Retry jobs"."""
    config = {"minBackoffDuration": "10s", "maxBackoffDuration": "300s", "maxDoublings": 3}
    assert waits(Retries.of(job(retryConfig=config)), 8) == [10, 20, 40, 80, 160, 240, 300, 300]
    assert waits(Retries.of(job(retryConfig={"maxDoublings": 0})), 3) == [5, 10, 15]
    assert waits(Retries.of(job()), 7) == [5, 10, 20, 40, 80, 160, 320]


@pytest.mark.parametrize(
    ("config", "done", "elapsed", "again"),
    [
        ({}, 0, 5, False),
        ({"retryCount": 2}, 1, 9999, True),
        ({"retryCount": 2}, 2, 5, False),
        ({"maxRetryDuration": "60s"}, 7, 59, True),
        ({"maxRetryDuration": "60s"}, 0, 60, False),
        ({"retryCount": 2, "maxRetryDuration": "60s"}, 2, 59, True),
        ({"retryCount": 2, "maxRetryDuration": "60s"}, 1, 61, True),
        ({"retryCount": 2, "maxRetryDuration": "60s"}, 2, 61, False),
    ],
)
def test_retries_end_when_both_limits_are_reached(config: dict[str, Any], done: int, elapsed: float, again: bool) -> None:
    assert Retries.of(job(retryConfig=config)).again(done, elapsed) is again


def test_a_job_cannot_set_what_cloud_scheduler_sets() -> None:
    given = {"Content-Type": "application/json", "User-Agent": "mine", "X-CloudScheduler": "no", "Host": "elsewhere", "X-Own": "yes"}
    assert headers_of(job(), {"headers": given, "body": "e30="}, 1_774_000_000) == {
        "content-type": "application/json",
        "x-own": "yes",
        "user-agent": "Google-Cloud-Scheduler",
        "x-cloudscheduler": "true",
        "x-cloudscheduler-jobname": "ping",
        "x-cloudscheduler-scheduletime": "2026-03-20T09:46:40Z",
    }
    assert headers_of(job(), {"body": "e30="}, 0)["content-type"] == "application/octet-stream"
    assert "content-type" not in headers_of(job(), {}, 0)
