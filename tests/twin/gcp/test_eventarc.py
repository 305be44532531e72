"""Objects become events at real service processes: as whom, again after failures, over restarts, and not without the grants."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp import agents
from pilotlight.twin.gcp.eventarc_plane import EventarcPlane
from pilotlight.twin.gcp.inside import HEADER
from pilotlight.twin.gcp.types import PROJECT_MEMBER, TRIGGER
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.objects import Cloud
from tests.twin.gcp.services import CLIENT, Run, harness_in

NUMBERS = itertools.count()
KIND = "google.cloud.storage.object.v1."


class Events:
    """A bucket, a service and a trigger between them, with every grant that it takes."""

    def __init__(self, harness: GoogleHarness, image: str) -> None:
        self.harness, self.twin = harness, harness.twin
        self.caller = harness.account("caller")
        self.run = Run(harness, image, self.caller, harness.account("runner"))
        self.cloud = Cloud(harness)
        harness.agent("eventarc", "pubsub")
        self.receives = harness.grant("roles/eventarc.eventReceiver", self.caller)
        self.publishes = harness.grant("roles/pubsub.publisher", agents.make(harness.twin.world, PROJECT, agents.STORAGE))

    def trigger(self, bucket: Resource, service: Resource, kind: str = "finalized", path: str | None = None, **given: Any) -> Resource:
        name = f"trigger-{next(NUMBERS)}"
        found = [{"attribute": "type", "value": KIND + kind}, {"attribute": "bucket", "value": bucket.id}]
        run = {"service": service["name"], "region": REGION, **({"path": path} if path else {})}
        inputs = {"location": REGION, "matchingCriterias": found, "destination": {"cloudRunService": run}, "serviceAccount": self.caller}
        return self.harness.make(TRIGGER, name, **{"name": name, **inputs, **given})

    def waiting(self, trigger: Resource) -> int:
        """Messages that the trigger's subscription holds."""
        plane: Any = self.twin.gcp.planes.made("pubsub_plane:PubsubPlane")
        return int(plane.service.store.held(trigger["transport"]["pubsub"]["subscription"]))

    def forward(self, seconds: float) -> None:
        self.harness.wait(self.twin.timers.forward(self.twin.clock.now() + seconds))


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    harness = ready(tmp_path_factory.mktemp("eventarc"))
    yield Events(harness, harness.pushed())
    harness.down()


def ready(folder: Path, clock: Clock | None = None) -> GoogleHarness:
    harness = harness_in(folder, clock)
    harness.enable("eventarc", "pubsub")
    return harness


@pytest.fixture
def run(events: Events) -> Iterator[Run]:
    yield events.run
    for trigger in events.twin.world.find(TRIGGER):
        events.harness.remove(trigger)
    events.twin.faults.clear()
    events.run.clear()


def test_an_object_becomes_an_event_at_a_service(run: Run, events: Events) -> None:
    bucket, other, service = events.cloud.bucket(), events.cloud.bucket(), run()
    trigger = events.trigger(bucket, service, path="/events?a=1")
    stored = events.cloud.put(bucket, "in/ü 1.txt", b"hello").json()
    events.cloud.put(other, "in/2.txt")
    until(lambda: len(run.seen(service)) == 1)
    (seen,) = run.seen(service)
    assert seen["path"] == "/events?a=1"
    # The uploader's own address of the object holds its word.
    assert {**json.loads(seen["body"]), "mediaLink": ""} == {**stored, "mediaLink": ""}
    told = {name: value for name, value in seen["headers"].items() if name.startswith("ce-") and name != "ce-id"}
    assert told == {
        "ce-specversion": "1.0",
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket.id}",
        "ce-type": f"{KIND}finalized",
        "ce-subject": "objects/in/%C3%BC%201.txt",
        "ce-time": told["ce-time"],
        "ce-bucket": bucket.id,
    }
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["authorization"].endswith(".SIGNATURE_REMOVED_BY_GOOGLE")
    until(lambda: events.waiting(trigger) == 0)


def test_what_takes_internal_requests_only_takes_events_and_pushes_of_its_own_project(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run(ingress="INGRESS_TRAFFIC_INTERNAL_ONLY")
    trigger = events.trigger(bucket, service)
    events.cloud.put(bucket, "inside.txt")
    until(lambda: events.waiting(trigger) == 0)
    assert run.ask(service).status_code == 404
    made_up = {**run.bearer(service), HEADER: f"{PROJECT}:made-up"}
    assert run.ask(service, headers=made_up).status_code == 404
    assert run.ask(service, headers={**run.bearer(service), **events.twin.gcp.inside.headers("other-project")}).status_code == 404
    events.harness.change(service, ingress="INGRESS_TRAFFIC_ALL")
    (seen,) = run.seen(service)
    assert seen["headers"]["ce-subject"] == "objects/inside.txt"
    assert HEADER not in seen["headers"]


def test_a_deletion_is_another_event(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run()
    events.trigger(bucket, service, "deleted")
    events.cloud.put(bucket, "gone.txt")
    events.cloud.object("DELETE", bucket, "gone.txt")
    until(lambda: len(run.seen(service)) == 1)
    assert [one["headers"]["ce-type"] for one in run.seen(service)] == [f"{KIND}deleted"]


def test_a_service_that_answers_503_gets_it_again(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run({"FAILS": "2"})
    trigger = events.trigger(bucket, service)
    events.cloud.put(bucket, "again.txt")
    until(lambda: len(run.seen(service)) == 1)
    events.forward(9)
    assert len(run.seen(service)) == 1, "ten seconds after the first"
    events.forward(2)
    assert len(run.seen(service)) == 2
    events.forward(21)
    until(lambda: events.waiting(trigger) == 0)
    seen = run.seen(service)
    assert (len(seen), len({one["headers"]["ce-id"] for one in seen})) == (3, 1)


def test_after_a_day_an_event_is_given_up(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run()
    trigger = events.trigger(bucket, service)
    run.harness.remove(events.twin.world.one("gcp:cloudrunv2/serviceIamMember:ServiceIamMember", name=service["name"]))
    events.cloud.put(bucket, "refused.txt")
    events.forward(23 * 3600)
    assert events.waiting(trigger) == 1
    assert run.processes(service) == [], "who may not invoke starts nothing"
    events.forward(2 * 3600)
    assert events.waiting(trigger) == 0


def test_without_the_grants_nothing_arrives_and_the_log_says_why(run: Run, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bucket, service = events.cloud.bucket(), run()
    trigger = events.trigger(bucket, service)
    for held, said in ((events.publishes, "pubsub.topics.publish"), (events.receives, "eventarc.events.receiveEvent")):
        events.twin.world.delete(held.token, held.id)
        events.cloud.put(bucket, "nobody.txt")
        assert events.waiting(trigger) == 0
        assert said in caplog.text
        events.twin.world.put(held)
    events.cloud.put(bucket, "somebody.txt")
    until(lambda: len(run.seen(service)) == 1)
    assert run.seen(service)[0]["headers"]["ce-subject"] == "objects/somebody.txt"


def test_nothing_is_pushed_until_pubsubs_agent_may_have_the_token(run: Run, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bucket, service = events.cloud.bucket(), run()
    trigger = events.trigger(bucket, service)
    role = events.twin.world.one(PROJECT_MEMBER, role="roles/pubsub.serviceAgent")
    assert role is not None
    events.twin.world.delete(role.token, role.id)
    events.cloud.put(bucket, "waits.txt")
    until(lambda: "Grant it roles/pubsub.serviceAgent" in caplog.text)
    assert run.processes(service) == []
    events.twin.world.put(role)
    events.forward(30)
    until(lambda: events.waiting(trigger) == 0)
    assert len(run.seen(service)) == 1


@pytest.mark.parametrize("outage", ["pubsub", "eventarc"])
def test_what_happens_in_an_outage_arrives_after_it(run: Run, events: Events, outage: str) -> None:
    bucket, service = events.cloud.bucket(), run()
    trigger = events.trigger(bucket, service)
    events.twin.faults.set({"outages": [outage]})
    assert events.cloud.put(bucket, "out.txt").status_code == 200
    events.forward(120)
    assert run.seen(service) == []
    events.twin.faults.clear()
    events.forward(600)
    until(lambda: len(run.seen(service)) == 1)
    until(lambda: events.waiting(trigger) == 0)


def test_events_may_come_twice_and_late(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run()
    events.trigger(bucket, service)
    events.twin.faults.set({"events": {"duplicates": 1, "delay_s": 60, "seed": 7}})
    for number in range(5):
        events.cloud.put(bucket, f"{number}.txt")
    assert len(run.seen(service)) < 10
    events.forward(61)
    until(lambda: len(run.seen(service)) == 10)
    seen = [(one["headers"]["ce-id"], one["headers"]["ce-subject"]) for one in run.seen(service)]
    assert len(set(seen)) == 5
    assert [subject for _, subject in seen] != sorted(subject for _, subject in seen), "they overtake each other"


def test_another_service_gets_what_comes_after_the_change(run: Run, events: Events) -> None:
    bucket, one, two = events.cloud.bucket(), run(), run()
    trigger = events.trigger(bucket, one)
    events.harness.change(trigger, destination={"cloudRunService": {"service": two["name"], "region": REGION}})
    events.cloud.put(bucket, "two.txt")
    until(lambda: len(run.seen(two)) == 1)
    assert run.seen(one) == []


def test_a_deleted_trigger_takes_its_topic_along(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run()
    trigger = events.trigger(bucket, service)
    plane: Any = events.twin.gcp.planes.made("pubsub_plane:PubsubPlane")
    pubsub = trigger["transport"]["pubsub"]
    assert pubsub["subscription"].startswith(f"projects/{PROJECT}/subscriptions/eventarc-{REGION}-")
    assert plane.service.store.subscriptions[pubsub["subscription"]].topic == pubsub["topic"]
    events.harness.remove(trigger)
    assert pubsub["topic"] not in plane.service.store.topics
    assert pubsub["subscription"] not in plane.service.store.subscriptions
    events.cloud.put(bucket, "nobody.txt")
    assert run.seen(service) == []


def test_what_the_twin_does_not_bring_is_refused(run: Run, events: Events) -> None:
    bucket, service = events.cloud.bucket(), run()
    with pytest.raises(Refusal, match="brings events of Cloud Storage"):
        events.trigger(bucket, service, matchingCriterias=[{"attribute": "type", "value": "google.cloud.pubsub.topic.v1.messagePublished"}])
    with pytest.raises(Refusal, match="brings events to cloudRunService"):
        events.trigger(bucket, service, destination={"workflow": "projects/p/locations/l/workflows/w"})
    assert events.twin.world.find(TRIGGER) == []


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    harness = ready(tmp_path)
    try:
        events = Events(harness, harness.pushed())
        bucket, service = events.cloud.bucket(), events.run({"FAILS": "1"})
        trigger = events.trigger(bucket, service)
        events.cloud.put(bucket, "tried.txt")
        until(lambda: len(events.run.seen(service)) == 1)
        events.twin.faults.set({"outages": ["pubsub"], "events": {"delay_s": 30}})
        for number in range(3):
            events.cloud.put(bucket, f"{number}.txt")
    finally:
        harness.down()
    harness = harness_in(tmp_path)
    try:
        assert isinstance(harness.twin.gcp.planes.made("eventarc_plane:EventarcPlane"), EventarcPlane)
        harness.wait(harness.twin.timers.forward(harness.twin.clock.now() + 120))
        events.harness, events.twin, events.run.harness = harness, harness.twin, harness
        until(lambda: events.waiting(trigger) == 0)
        address = f"{harness.twin.front_url}/_gcp/run/{PROJECT}/{REGION}/{service['name']}"
        seen = CLIENT.get(f"{address}/seen", headers=events.run.bearer(service)).json()
        # The new instance's first request fails too, so that one of them comes twice.
        assert {one["headers"]["ce-subject"] for one in seen} == {f"objects/{name}.txt" for name in ("tried", "0", "1", "2")}
    finally:
        harness.down()
