"""What services say is told by Cloud Logging's API, asked by Google's own client."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.gcp.logging_plane import VARIABLE
from pilotlight.twin.gcp.monitoring_api import VARIABLE as MONITORING
from pilotlight.twin.gcp.types import LOG_METRIC
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import CLIENT, Run, harness_in


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("logging"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def run(harness: GoogleHarness) -> Run:
    return Run(harness, harness.pushed(), harness.account("caller"), harness.account("runner"))


def address(harness: GoogleHarness, email: str | None = None) -> str:
    return harness.wait(harness.twin.gcp.variables(harness.twin, Caller(email)))[VARIABLE]


def client(harness: GoogleHarness) -> Any:
    logging.getLogger("googleapiclient.discovery_cache").setLevel(logging.ERROR)
    given = {"api_endpoint": address(harness)}
    return build("logging", "v2", credentials=AnonymousCredentials(), client_options=given, static_discovery=True).entries()  # type: ignore[no-untyped-call]


def listed(harness: GoogleHarness, text: str, **asked: Any) -> list[dict[str, Any]]:
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": text, **asked}
    return list(client(harness).list(body=body).execute().get("entries", []))


def until(found: Callable[[], list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    end = time.monotonic() + 10
    while len(entries := found()) < count:
        assert time.monotonic() < end, entries
        time.sleep(0.05)
    return entries


def test_lines_of_a_service_are_found_by_its_name(harness: GoogleHarness, run: Run) -> None:
    service, other = run(), run()
    line = {"severity": "ERROR", "event": "object", "logging.googleapis.com/trace": f"projects/{PROJECT}/traces/t"}
    run.ask(other, say=["of another one"])
    run.ask(service, say=["first", json.dumps(line), "last"])
    text = f'resource.type="cloud_run_revision" AND resource.labels.service_name=~"^({service["name"]})$"'
    entries = until(lambda: listed(harness, text), 4)
    assert [entry.get("textPayload") for entry in entries] == ["serving", "first", None, "last"]
    found = entries[2]
    assert (found["severity"], found["jsonPayload"], found["trace"]) == ("ERROR", {"event": "object"}, f"projects/{PROJECT}/traces/t")
    labels = found["resource"]["labels"]
    assert (labels["revision_name"], labels["location"]) == (service["latestReadyRevision"].rsplit("/", 1)[-1], REGION)
    assert listed(harness, f"{text} AND severity>=ERROR") == [found]
    assert listed(harness, f'{text} AND timestamp>"{entries[-1]["timestamp"]}"') == []
    newest = listed(harness, text, orderBy="timestamp desc", pageSize=2)
    assert newest == [entries[3], entries[2]]


def test_pages_go_on_where_the_one_before_ended(harness: GoogleHarness, run: Run) -> None:
    service = run()
    run.ask(service, say=[f"line {number}" for number in range(25)])
    text = f'resource.labels.service_name="{service["name"]}" AND "line"'
    until(lambda: listed(harness, text, pageSize=100), 25)
    api, found = client(harness), []
    request = api.list(body={"resourceNames": [f"projects/{PROJECT}"], "filter": text, "pageSize": 10})
    while request is not None:
        answer = request.execute()
        found += [entry["textPayload"] for entry in answer["entries"]]
        request = api.list_next(request, answer)
    assert found == [f"line {number}" for number in range(25)]


def test_what_is_not_understood_is_told(harness: GoogleHarness) -> None:
    with pytest.raises(HttpError, match="does not understand 'OR' in a filter"):
        listed(harness, 'severity="ERROR" OR severity="INFO"')
    with pytest.raises(HttpError, match="'newest first' is not allowed"):
        listed(harness, "", orderBy="newest first")
    with pytest.raises(HttpError, match="use projects/PROJECT"):
        listed(harness, "", resourceNames=["organizations/1"])


def test_who_may_list(harness: GoogleHarness, run: Run) -> None:
    email, body = harness.account("reader"), {"resourceNames": [f"projects/{PROJECT}"]}
    url = f"{address(harness, ANONYMOUS)}/v2/entries:list"

    def ask(headers: dict[str, str]) -> httpx.Response:
        return CLIENT.post(url, json=body, headers=headers)

    token = {"authorization": f"Bearer {run.tokens.access(email)}"}
    assert ask({}).status_code == 401
    assert ask(token).status_code == 403
    harness.grant("roles/logging.viewer", email)
    assert ask(token).status_code == 200


def points(harness: GoogleHarness, metric: str) -> list[dict[str, Any]]:
    """The series of a metric of log lines, asked by Google's client."""
    at = harness.wait(harness.twin.gcp.variables(harness.twin, Caller(None)))[MONITORING]
    api = build("monitoring", "v3", credentials=AnonymousCredentials(), client_options={"api_endpoint": at}, static_discovery=True)  # type: ignore[no-untyped-call]  # google-auth's own gap
    text = f'metric.type = "logging.googleapis.com/user/{metric}"'
    given = {"interval_startTime": "2020-01-01T00:00:00Z", "interval_endTime": "2100-01-01T00:00:00Z", "filter": text}
    answer = api.projects().timeSeries().list(name=f"projects/{PROJECT}", **given).execute()
    return list(answer.get("timeSeries", []))


def count_of(point: dict[str, Any]) -> int:
    return int(point["value"]["distributionValue"]["count"])


def test_a_metric_counts_the_lines_that_come_once_it_is_there(harness: GoogleHarness, run: Run) -> None:
    service = run()

    def says(stage: str, milliseconds: float) -> str:
        return json.dumps({"event": "metrics", "Service": "own", "Stage": stage, "ColdStart": milliseconds})

    run.ask(service, say=[says("boot", 1)])
    until(lambda: listed(harness, f'resource.labels.service_name="{service["name"]}" AND jsonPayload.event="metrics"'), 1)
    name = f"{service['name']}/ColdStart"
    metric = harness.make(
        LOG_METRIC,
        "cold-start",
        name=name,
        filter=f'resource.labels.service_name="{service["name"]}" AND jsonPayload.event="metrics"',
        valueExtractor="EXTRACT(jsonPayload.ColdStart)",
        labelExtractors={"stage": "EXTRACT(jsonPayload.Stage)"},
        metricDescriptor={
            "metricKind": "DELTA",
            "valueType": "DISTRIBUTION",
            "unit": "ms",
            "labels": [{"key": "stage", "valueType": "STRING"}],
        },
    )
    assert points(harness, name) == []
    run.ask(service, say=[says("boot", 10), says("load", 200), says("load", 400), "another line"])
    until(lambda: [point for one in points(harness, name) for point in one["points"] for _ in range(count_of(point))], 3)
    found = points(harness, name)
    told = {one["metric"]["labels"]["stage"]: [point["value"]["distributionValue"] for point in one["points"]] for one in found}
    assert sum(int(each["count"]) for each in told["load"]) == 2
    assert sum(each["mean"] * int(each["count"]) for each in told["load"]) == 600
    assert [each["mean"] for each in told["boot"]] == [10.0]
    assert {one["resource"]["labels"]["service_name"] for one in found} == {service["name"]}
    harness.remove(metric)
    assert points(harness, name) == []


def test_who_may_list_points(harness: GoogleHarness, run: Run) -> None:
    email = harness.account("watcher")
    at = harness.wait(harness.twin.gcp.variables(harness.twin, Caller(ANONYMOUS)))[MONITORING]
    token = {"authorization": f"Bearer {run.tokens.access(email)}"}
    given = {"interval.startTime": "2026-01-01T00:00:00Z", "interval.endTime": "2027-01-01T00:00:00Z"}

    def ask(headers: dict[str, str], **more: str) -> httpx.Response:
        return CLIENT.get(f"{at}/v3/projects/{PROJECT}/timeSeries", params={**given, **more}, headers=headers)

    assert (ask({}).status_code, ask(token).status_code) == (401, 403)
    harness.grant("roles/monitoring.viewer", email)
    assert ask(token).status_code == 200
    refused = ask(token, **{"aggregation.perSeriesAligner": "ALIGN_MAX"})
    assert (refused.status_code, "aggregates nothing" in refused.text) == (400, True)


def test_lines_are_there_after_a_restart_of_the_twin(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("again")
    first = harness_in(folder)
    run = Run(first, first.pushed(), first.account("caller"), first.account("runner"))
    run.ask(run(), say=["before the end"])
    until(lambda: listed(first, '"before the end"'), 1)
    first.down()
    second = harness_in(folder)
    try:
        assert [entry["textPayload"] for entry in listed(second, '"before the end"')] == ["before the end"]
    finally:
        second.down()
