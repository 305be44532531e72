"""Alert policies over what the twin's own services count: incidents that open and close, told by Monitoring's API and by mail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.log_entries import Source
from pilotlight.twin.gcp.monitoring_api import VARIABLE
from pilotlight.twin.gcp.pubsub_store import Message
from pilotlight.twin.gcp.types import ALERT_POLICY, CHANNEL, SUBSCRIPTION, TOPIC
from pilotlight.twin.metrics import MINUTE_S
from pilotlight.twin.world import Resource
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import Run, harness_in

START = datetime(2026, 3, 17, 9, 0, 30, tzinfo=UTC).timestamp()
RUN = 'resource.type = "cloud_run_revision" AND metric.type = "run.googleapis.com/request_count"'
WAITING = 'resource.type = "pubsub_subscription" AND metric.type = "pubsub.googleapis.com/subscription/{}"'


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("alerts"), Clock(START))
    running.enable("pubsub", "monitoring")
    running.agent("pubsub")
    yield running
    running.down()


@pytest.fixture(scope="module")
def run(harness: GoogleHarness) -> Iterator[Run]:
    made = Run(harness, harness.pushed(), harness.account("caller"), harness.account("runner"))
    yield made
    made.clear()


def policy(harness: GoogleHarness, name: str, filter_: str, aligner: str, reducer: str, threshold: float, **given: Any) -> Resource:
    condition = {
        "filter": filter_,
        "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": aligner, "crossSeriesReducer": reducer}],
        "comparison": "COMPARISON_GT",
        "thresholdValue": threshold,
        "duration": "180s",
        "evaluationMissingData": "EVALUATION_MISSING_DATA_INACTIVE",
    }
    conditions = [{"displayName": name, "conditionThreshold": condition}]
    return harness.make(ALERT_POLICY, name, displayName=f"stack {name}", combiner="OR", conditions=conditions, **given)


def minute(harness: GoogleHarness, count: int = 1) -> list[str]:
    """What the policies said at the end of each of so many minutes."""
    said = []
    for _ in range(count):
        now = harness.twin.clock.now()
        ran = harness.wait(harness.twin.timers.forward((now // MINUTE_S + 1) * MINUTE_S + 30))
        said += [one.said for one in ran if one.name == "alert policies"]
    return said


def alerts(harness: GoogleHarness, **asked: Any) -> list[dict[str, Any]]:
    at = harness.wait(harness.twin.gcp.variables(harness.twin, Caller(None)))[VARIABLE]
    api = build("monitoring", "v3", credentials=AnonymousCredentials(), client_options={"api_endpoint": at}, static_discovery=True)  # type: ignore[no-untyped-call]  # google-auth's own gap
    return list(api.projects().alerts().list(parent=f"projects/{PROJECT}", **asked).execute().get("alerts", []))


def test_a_service_that_fails_for_three_minutes_opens_an_incident_which_ends_with_the_failure(harness: GoogleHarness, run: Run) -> None:
    service = run()
    mail = harness.make(CHANNEL, "mail", type="email", labels={"email_address": "ops@example.com"})
    fails = f'{RUN} AND metric.labels.response_code_class = "5xx" AND resource.labels.service_name = "{service["name"]}"'
    made = policy(harness, "errors", fails, "ALIGN_DELTA", "REDUCE_SUM", 0, notificationChannels=[mail["name"]])
    for status in (200, 404):
        run.ask(service, status=status)
    # Kept out by IAM: no request of the service's.
    assert run.ask(service, headers={}).status_code == 403
    assert minute(harness, 4) == []
    for _ in range(2):
        run.ask(service, status=500)
        assert minute(harness) == []
    assert alerts(harness) == []
    run.ask(service, status=503)
    assert minute(harness) == ["stack errors: OPEN (mailed to ops@example.com)"]
    [alert] = alerts(harness)
    assert (alert["state"], alert["policy"]) == ("OPEN", {"name": made.id, "displayName": "stack errors"})
    assert alert["resource"] == {"type": "cloud_run_revision", "labels": {"service_name": service["name"]}}
    assert "closeTime" not in alert
    # One incident, for as long as it lasts.
    run.ask(service, status=500)
    assert minute(harness) == []
    assert minute(harness, 2) == ["stack errors: CLOSED (mailed to ops@example.com)"]
    assert [one["state"] for one in alerts(harness)] == ["CLOSED"]
    assert alerts(harness, filter='state = "OPEN"') == []
    mails = [json.loads(line) for line in (harness.home / "mail.jsonl").read_text().splitlines()]
    assert [one["subject"] for one in mails] == ["[ALERT OPEN] stack errors", "[ALERT CLOSED] stack errors"]
    harness.remove(made)
    assert alerts(harness) == []


def test_durations_close_to_a_timeout_open_an_incident(harness: GoogleHarness, run: Run) -> None:
    service = run()
    slow = f'{RUN.replace("request_count", "request_latencies")} AND resource.labels.service_name = "{service["name"]}"'
    policy(harness, "latency", slow, "ALIGN_PERCENTILE_99", "REDUCE_MAX", 300)
    run.ask(service)
    minute(harness)
    for _ in range(3):
        assert [one for one in alerts(harness) if one["state"] == "OPEN"] == []
        run.ask(service, sleep=0.35)
        minute(harness)
    assert [one["policy"]["displayName"] for one in alerts(harness, filter='state = "OPEN"')] == ["stack latency"]


def lines_policy(harness: GoogleHarness, name: str, filter_: str, **given: Any) -> Resource:
    strategy = given.pop("alertStrategy", {"autoClose": "1800s", "notificationRateLimit": {"period": "3600s"}})
    conditions = given.pop("conditions", [{"displayName": name, "conditionMatchedLog": {"filter": filter_}}])
    return harness.make(
        ALERT_POLICY, name, displayName=f"stack {name}", combiner="OR", conditions=conditions, alertStrategy=strategy, **given
    )


def test_a_line_of_the_log_opens_an_incident_which_time_alone_ends(harness: GoogleHarness) -> None:
    of = Source(project=PROJECT, location=REGION, service="model", revision="r1", instance="i")
    lines = 'resource.type="cloud_run_revision" AND resource.labels.service_name="model" AND jsonPayload.event="request"'
    made = lines_policy(harness, "late", f"{lines} AND jsonPayload.ms>900")
    plane: Any = harness.twin.gcp.planes.made("logging_plane:LoggingPlane")

    def written(**line: Any) -> None:
        plane.store.write(line.pop("of", of), json.dumps({"event": "request", "ms": 5, **line}))

    def said(count: int = 1) -> list[str]:
        return [each for each in minute(harness, count) if "stack late:" in each]

    def opened() -> list[dict[str, Any]]:
        return [one for one in alerts(harness, filter='state = "OPEN"') if one["policy"]["displayName"] == "stack late"]

    written(ms=899)
    written(ms=5000, event="ping")
    written(ms=5000, of=replace(of, service="another"))
    assert said(2) == []
    written(ms=900.5)
    assert said() == ["stack late: OPEN"]
    [alert] = opened()
    assert alert["resource"]["labels"]["service_name"] == "model"
    written(ms=5)
    assert said(10) == []
    written(ms=5000)
    assert said(30) == []
    assert len(opened()) == 1
    assert said(2) == ["stack late: CLOSED"]
    assert opened() == []
    harness.remove(made)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alertStrategy": {"autoClose": "1800s"}}, "notificationRateLimit: is required"),
        (
            {"conditions": [{"displayName": str(each), "conditionMatchedLog": {"filter": "severity=ERROR"}} for each in range(2)]},
            "stands alone: there are 2",
        ),
        ({"conditions": [{"displayName": "one", "conditionMatchedLog": {"filter": "severity=ERROR OR x"}}]}, "OR"),
    ],
)
def test_what_monitoring_refuses_of_a_policy_on_lines_is_refused(harness: GoogleHarness, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        lines_policy(harness, "refused", "severity=ERROR", **given)


def test_a_message_that_waits_opens_an_incident_by_its_number_and_by_its_age(harness: GoogleHarness) -> None:
    topic = harness.make(TOPIC, "dead", name="dead")
    waiting = harness.make(SUBSCRIPTION, "dead", name="dead", topic=topic.id)
    dead = ' AND resource.labels.subscription_id = "dead"'
    policy(harness, "waits", WAITING.format("num_undelivered_messages") + dead, "ALIGN_MAX", "REDUCE_MAX", 0)
    policy(harness, "old", WAITING.format("oldest_unacked_message_age") + dead, "ALIGN_MAX", "REDUCE_MAX", 240)
    minute(harness, 4)
    plane: Any = harness.twin.gcp.planes.made("pubsub_plane:PubsubPlane")
    plane.service.store.publish(topic.id, [Message(data=b"x")])

    def opened() -> set[str]:
        return {one["policy"]["displayName"] for one in alerts(harness, filter='state = "OPEN"')} & {"stack waits", "stack old"}

    minute(harness, 3)
    assert opened() == {"stack waits"}
    minute(harness, 4)
    assert opened() == {"stack waits", "stack old"}
    [pulled] = plane.service.store.take(waiting.id, 10)
    plane.service.store.acknowledge(waiting.id, [pulled.ack_id])
    minute(harness, 2)
    assert opened() == set()
