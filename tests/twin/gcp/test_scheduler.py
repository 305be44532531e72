"""Jobs on a whole twin: services called as a job's account, floors set through Cloud Run's API, topics, retries, and the twin's clock."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp.scheduler_plane import due_times
from pilotlight.twin.gcp.types import ACCOUNT, ACCOUNT_MEMBER, JOB, RUN_MEMBER, SUBSCRIPTION, TOPIC
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.size import only_all
from tests.support.waiting import until
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import CLIENT, Run, harness_in

NUMBERS = itertools.count()
# A Friday; the clocks of Berlin go forward on Sunday.
FRIDAY = datetime(2026, 3, 27, 12, 0, 30, tzinfo=UTC).timestamp()
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("scheduler"))
    running.enable("cloudscheduler", "pubsub")
    yield running
    running.down()


class Jobs:
    """Jobs of one test, paused and gone at its end."""

    def __init__(self, run: Run) -> None:
        self.run, self.harness, self.twin = run, run.harness, run.harness.twin
        self.made: list[Resource] = []

    def __call__(self, schedule: str = "0 8 * * *", **given: Any) -> Resource:
        name = f"job-{next(NUMBERS)}"
        job = self.harness.make(JOB, name, **{"name": name, "region": REGION, "schedule": schedule, "timeZone": "Etc/UTC", **given})
        self.made.append(job)
        return job

    def pings(self, service: Resource, schedule: str = "0 8 * * *", caller: str | None = None, **given: Any) -> Resource:
        token = {"serviceAccountEmail": caller or self.run.caller, "audience": service["uri"]}
        target = {
            "uri": f"{service['uri']}/ping?a=1",
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(b'{"instances": 1}').decode(),
            "oidcToken": token,
        }
        return self(schedule, httpTarget=target, **given)

    def sets(self, service: Resource, floor: int, setter: str, schedule: str = "0 8 * * *", **given: Any) -> Resource:
        body = json.dumps({"scaling": {"minInstanceCount": floor}}).encode()
        target = {
            "uri": f"https://run.googleapis.com/v2/{service.id}?updateMask=scaling.minInstanceCount",
            "httpMethod": "PATCH",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(body).decode(),
            "oauthToken": {"serviceAccountEmail": setter, "scope": SCOPE},
        }
        return self(schedule, httpTarget=target, **given)

    def forward(self, seconds: float) -> list[tuple[str, str]]:
        """What this test's jobs did on the way: (when, what)."""
        ran, names = self.harness.wait(self.twin.timers.forward(self.twin.clock.now() + seconds)), {f"job {job.id}" for job in self.made}
        return [(datetime.fromtimestamp(one.at, UTC).strftime("%a %H:%M"), one.said) for one in ran if one.name in names]

    def fire(self, job: Resource, more: float = 0) -> str:
        """Go to the job's next run, and `more` seconds on: what it did."""
        due = due_times(job)(self.twin.clock.now())
        assert due is not None
        ((_, said),) = self.forward(due - self.twin.clock.now() + more)
        return said

    def ask(self, method: str, job: Resource, verb: str = "", caller: str | None = None) -> httpx.Response:
        address = self.twin.gcp.url(self.twin, "scheduler-admin", "v1", f"{job.id}{verb}")
        return CLIENT.request(method, address, headers={"Authorization": f"Bearer {self.run.tokens.access(caller or self.run.caller)}"})


@pytest.fixture(scope="module")
def served(harness: GoogleHarness) -> Run:
    return Run(harness, harness.pushed(), harness.account("caller"), harness.account("runner"))


@pytest.fixture
def run(served: Run) -> Iterator[Run]:
    yield served
    served.clear()


@pytest.fixture
def jobs(run: Run) -> Iterator[Jobs]:
    made = Jobs(run)
    yield made
    for job in made.made:
        if made.twin.world.get(JOB, job.id):
            made.harness.remove(job)


@pytest.fixture(scope="module")
def setter(harness: GoogleHarness, served: Run) -> str:
    """May set every floor."""
    email = harness.account("setter")
    harness.grant("roles/run.developer", email)
    runner = harness.twin.world.one(ACCOUNT, email=served.runner)
    assert runner is not None
    member = f"serviceAccount:{email}"
    harness.make(ACCOUNT_MEMBER, "acts", serviceAccountId=runner["name"], role="roles/iam.serviceAccountUser", member=member)
    return email


def test_a_ping_comes_as_its_account_when_it_is_due(run: Run, jobs: Jobs) -> None:
    service = run()
    jobs.pings(service, "*/15 * * * *")
    ran = jobs.forward(3600)
    assert sorted(when[-2:] for when, _ in ran) == ["00", "15", "30", "45"]
    assert {said for _, said in ran} == {f"POST {service['uri']}/ping?a=1 answered 200"}
    first = run.seen(service)[0]
    assert (first["path"], first["body"]) == ("/ping?a=1", '{"instances": 1}')
    headers = first["headers"]
    assert (headers["user-agent"], headers["x-cloudscheduler"]) == ("Google-Cloud-Scheduler", "true")
    assert (headers["x-cloudscheduler-jobname"], headers["content-type"]) == (jobs.made[0]["name"], "application/json")
    assert len(run.seen(service)) == 4


def test_a_ping_comes_to_what_takes_internal_requests_only(run: Run, jobs: Jobs) -> None:
    service = run(ingress="INGRESS_TRAFFIC_INTERNAL_ONLY")
    assert jobs.fire(jobs.pings(service)).endswith("answered 200")
    assert run.ask(service).status_code == 404


def test_a_job_sets_the_floor_of_a_service(run: Run, jobs: Jobs, setter: str) -> None:
    service = run()
    now = datetime.fromtimestamp(jobs.twin.clock.now(), UTC)
    up = jobs.sets(service, 2, setter, f"59 {(now.hour + 1) % 24} * * *")
    down = jobs.sets(service, 0, setter, f"1 {(now.hour + 3) % 24} * * *")
    ((_, said),) = jobs.forward(2 * 3600)
    assert said == f"PATCH {up['httpTarget']['uri']} answered 200"
    assert len(run.processes(service)) == 2, "a fast-forward waits for them"
    ran = jobs.forward(3 * 3600)
    assert [said for _, said in ran] == [f"PATCH {down['httpTarget']['uri']} answered 200"]
    until(lambda: run.processes(service) == [])


def test_a_job_whose_account_lacks_the_role_is_refused(run: Run, jobs: Jobs) -> None:
    service, nobody = run(), run.harness.account("nobody")
    jobs.sets(service, 1, nobody, "0 8 * * *")
    jobs.pings(service, "0 8 * * *", caller=nobody)
    said = sorted(text for _, text in jobs.forward(24 * 3600))
    assert said[0].startswith("failed: PATCH")
    assert "answered 403" in said[0]
    assert "run.services.update" in said[0]
    assert said[1].startswith(f"failed: POST {service['uri']}/ping?a=1 answered 403")
    assert run.processes(service) == []


def test_an_account_that_is_gone_or_disabled_calls_nobody(run: Run, jobs: Jobs) -> None:
    service = run()
    leaver = run.harness.make(ACCOUNT, "leaver", accountId="leaver")
    member = f"serviceAccount:{leaver['email']}"
    run.harness.make(RUN_MEMBER, "leaver-in", name=service["name"], location=REGION, role="roles/run.invoker", member=member)
    jobs.pings(service, caller=leaver["email"])
    assert "answered 200" in jobs.forward(24 * 3600)[0][1]
    leaver = run.harness.change(leaver, disabled=True)
    assert "is disabled" in jobs.forward(24 * 3600)[0][1]
    run.harness.remove(leaver)
    assert "does not exist" in jobs.forward(24 * 3600)[0][1]


def test_a_service_that_fails_is_called_again_as_the_job_says(run: Run, jobs: Jobs) -> None:
    service = run({"FAILS": "2"})
    job = jobs.pings(service, retryConfig={"retryCount": 3, "minBackoffDuration": "60s"})
    assert jobs.fire(job, 200) == f"POST {service['uri']}/ping?a=1 answered 200 after 2 retries"
    seen = run.seen(service)
    assert len(seen) == 3
    assert len({one["headers"]["x-cloudscheduler-scheduletime"] for one in seen}) == 1, "it stays that of the first attempt"
    run.harness.grant("roles/cloudscheduler.viewer", run.caller)
    assert jobs.ask("GET", job).json()["status"] == {}


def test_retries_end_and_the_next_run_is_on_time(run: Run, jobs: Jobs) -> None:
    service = run({"FAILS": "100"})
    jobs.pings(service, "*/10 * * * *", retryConfig={"retryCount": 1, "minBackoffDuration": "5s"})
    ran = jobs.forward(1200)
    assert len(ran) == 2
    assert all(said.startswith("failed after 1 retries") for _, said in ran)
    assert len(run.seen(service)) == 4


def test_a_run_that_lasts_delays_the_next(run: Run, jobs: Jobs) -> None:
    service = run({"FAILS": "2"})
    jobs.pings(service, "*/10 * * * *", retryConfig={"retryCount": 2, "minBackoffDuration": "400s", "maxDoublings": 0})
    # Tried at 0, 400 and 1200 s: two more were due by then, the second at that moment.
    said = [text for _, text in jobs.forward(1900)]
    assert said.count("waits for the run before it") in (1, 2)
    good = f"POST {service['uri']}/ping?a=1 answered 200"
    assert f"{good} after 2 retries; {good}" in said, "what waited follows at once, as one run"


@only_all
def test_a_deadline_ends_an_attempt(run: Run, jobs: Jobs) -> None:
    service = run()
    target = jobs.pings(service)["httpTarget"]
    jobs.run.harness.change(jobs.made[0], attemptDeadline="15s", httpTarget={**target, "body": base64.b64encode(b'{"sleep": 18}').decode()})
    assert jobs.fire(jobs.made[0]) == f"failed: POST {service['uri']}/ping?a=1: no answer in 15 s"


def test_a_job_publishes_to_a_topic(run: Run, jobs: Jobs) -> None:
    topic = run.harness.make(TOPIC, "told", name="told")
    held = run.harness.make(SUBSCRIPTION, "told", name="told", topic=topic.id)
    jobs(pubsubTarget={"topicName": topic.id, "data": base64.b64encode(b"wake").decode(), "attributes": {"kind": "ping"}})
    ((_, said),) = jobs.forward(24 * 3600)
    assert said.endswith(f"to {topic.id}")
    plane: Any = jobs.twin.gcp.planes.made("pubsub_plane:PubsubPlane")
    (delivery,) = plane.service.store.take(held.id, 10)
    assert (delivery.message.data, dict(delivery.message.attributes)) == (b"wake", {"kind": "ping"})
    run.harness.remove(topic)
    ((_, said),) = jobs.forward(24 * 3600)
    assert "does not exist" in said


def test_jobs_are_paused_resumed_and_run_by_who_may(run: Run, jobs: Jobs) -> None:
    service, stopper = run(), run.harness.account("stopper")
    job = jobs.pings(service)
    assert jobs.ask("POST", job, ":pause", stopper).status_code == 403
    run.harness.grant("roles/cloudscheduler.admin", stopper)
    assert jobs.ask("GET", job, "", stopper).json()["state"] == "ENABLED"
    assert jobs.ask("POST", job, ":resume", stopper).json()["error"]["status"] == "FAILED_PRECONDITION"
    assert jobs.ask("POST", job, ":pause", stopper).json()["state"] == "PAUSED"
    assert jobs.ask("POST", job, ":pause", stopper).status_code == 400
    assert jobs.forward(24 * 3600) == []
    read = run.harness.life.read(job.token, job.id, job.urn, {**job.inputs, "paused": False})
    assert read is not None
    assert (read[0]["state"], read[1]["paused"]) == ("PAUSED", True), "a refresh sees it"

    assert jobs.ask("POST", job, ":run", stopper).status_code == 200
    until(lambda: "lastAttemptTime" in jobs.ask("GET", job, "", stopper).json())
    assert len(run.seen(service)) == 1
    told = jobs.ask("POST", job, ":resume", stopper).json()
    assert (told["state"], told["scheduleTime"][11:]) == ("ENABLED", "08:00:00Z")
    assert len(jobs.forward(24 * 3600)) == 1
    run.harness.remove(job)
    assert jobs.ask("GET", job, "", stopper).status_code == 404
    assert jobs.ask("DELETE", job, "", stopper).status_code == 501


def test_the_jobs_of_a_place_are_listed_to_who_may(run: Run, jobs: Jobs) -> None:
    service, viewer = run(), run.harness.account("lister")
    place = f"projects/{PROJECT}/locations/{REGION}"
    made = sorted(jobs.pings(service).id for _ in range(2))

    def listed(where: str) -> httpx.Response:
        address = jobs.twin.gcp.url(jobs.twin, "scheduler-admin", "v1", f"{where}/jobs")
        return CLIENT.get(address, headers={"Authorization": f"Bearer {run.tokens.access(viewer)}"})

    assert listed(place).status_code == 403
    run.harness.grant("roles/cloudscheduler.viewer", viewer)
    assert sorted(job["name"] for job in listed(place).json()["jobs"]) == made
    assert listed(f"projects/{PROJECT}/locations/europe-west4").json() == {"jobs": []}


def test_what_is_not_served_is_refused_or_said(run: Run, jobs: Jobs) -> None:
    with pytest.raises(Refusal, match="schedules of five fields"):
        jobs("every 5 minutes", httpTarget={"uri": "https://example.com/"})
    jobs(httpTarget={"uri": "https://workflows.googleapis.com/v1/x", "httpMethod": "POST"})
    assert "serves nothing at workflows.googleapis.com" in jobs.forward(24 * 3600)[0][1]


def test_a_week_of_two_zones_over_a_restart(tmp_path: Path) -> None:
    """Eight in the morning is the wall clock's on the days around the change; what was due while the twin was down is not made up for."""
    harness = harness_in(tmp_path, Clock(FRIDAY, speed=0))
    harness.enable("cloudscheduler")
    jobs = Jobs(Run(harness, "", "", ""))
    target = {"uri": "http://127.0.0.1:9/nobody", "httpMethod": "POST"}
    jobs("0 8 * * *", timeZone="Europe/Berlin", httpTarget=target)
    jobs("30 2 * * *", timeZone="Europe/Berlin", httpTarget=target)
    try:
        assert [when for when, _ in jobs.forward(3 * 86_400)] == ["Sat 01:30", "Sat 07:00", "Sun 06:00", "Mon 00:30", "Mon 06:00"]
    finally:
        harness.down()
    harness = harness_in(tmp_path, Clock(FRIDAY + 5 * 86_400, speed=0))
    again = Jobs(Run(harness, "", "", ""))
    again.made = harness.twin.world.find(JOB)
    try:
        assert [when for when, _ in again.forward(86_400)] == ["Thu 00:30", "Thu 06:00"]
    finally:
        harness.down()


def test_a_fast_clock_runs_them_without_a_fast_forward(tmp_path: Path) -> None:
    harness = harness_in(tmp_path, Clock(FRIDAY, speed=3600))
    harness.enable("cloudscheduler", "pubsub")
    topic = harness.make(TOPIC, "told", name="told")
    harness.make(SUBSCRIPTION, "told", name="told", topic=topic.id)
    Jobs(Run(harness, "", "", ""))("0 * * * *", pubsubTarget={"topicName": topic.id, "data": "e30="})
    plane: Any = harness.twin.gcp.planes.made("pubsub_plane:PubsubPlane")
    try:
        until(lambda: plane.service.store.held(f"projects/{PROJECT}/subscriptions/told") >= 3)
    finally:
        harness.down()
