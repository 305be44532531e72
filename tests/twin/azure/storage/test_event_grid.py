"""Blobs stored with Azure's own client, and their events in the queue, or among the dead letters, of a real twin."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.azure.types import BLOB, EVENT_SUBSCRIPTION, IDENTITY, SYSTEM_TOPIC
from pilotlight.twin.clock import Clock
from pilotlight.twin.values import ASSET, SIGNATURE
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.eventgrid import CONTRIBUTOR, CREATED, OWN, SENDER, subscription, topic
from tests.twin.azure.accounts import account, client, container, queue
from tests.twin.azure.harness import IN_GROUP, AzureHarness, harness_in

MINUTE_S, HOUR_S = 60, 3_600


class Pipeline:
    """Objects that are stored in one account, and where their events go."""

    def __init__(self, harness: AzureHarness, **more: Any) -> None:
        self.harness = harness
        self.work = account(harness, allowSharedKeyAccess=True)
        self.objects, self.letters = (container(harness, self.work, name) for name in ("objects", "dead-events"))
        self.events = queue(harness, self.work, "events")
        self.topic = harness.make(SYSTEM_TOPIC, "objects", **topic(self.work, name=f"topic-{self.work['name']}"))
        principal_id = self.topic["identity"]["principalId"]
        who = Resource(token=IDENTITY, id="topic", urn="", outputs={"principalId": principal_id})
        self.sender = harness.grant(who, SENDER, f"{self.work.id}/queueServices/default/queues/events")
        harness.grant(who, CONTRIBUTOR, f"{self.work.id}/blobServices/default/containers/dead-events")
        self.subscription = harness.make(EVENT_SUBSCRIPTION, "objects", **subscription(self.work, self.topic, **more))

    def take(self) -> list[dict[str, Any]]:
        """The events in the queue, taken out of it."""
        messages = list(self.events.receive_messages(messages_per_page=32))
        for message in messages:
            self.events.delete_message(message)
        return [json.loads(base64.b64decode(message.content)) for message in messages]

    def taken(self, count: int) -> list[dict[str, Any]]:
        """So many events; fails when they do not come."""
        found: list[dict[str, Any]] = []
        eventually(lambda: len(found.__iadd__(self.take())) >= count)
        assert len(found) == count
        return found

    def dead(self) -> list[list[dict[str, Any]]]:
        """The dead letters, by the blob that they are in."""
        return [json.loads(self.letters.download_blob(one.name).readall()) for one in self.letters.list_blobs()]

    def forward(self, seconds: float) -> None:
        timers = self.harness.twin.timers
        self.harness.wait(timers.forward(timers.now() + seconds))

    def waiting(self) -> int:
        """How many events are on their way."""
        plane = self.harness.twin.azure.planes.made("eventgrid_plane:EventGridPlane")
        return int(plane._store._db.execute("SELECT count(*) FROM deliveries").fetchone()[0])

    def without_role(self) -> None:
        self.harness.remove(self.sender)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def pipeline(harness: AzureHarness) -> Iterator[Pipeline]:
    made = Pipeline(harness)
    yield made
    harness.remove(made.topic)


@pytest.fixture(autouse=True)
def still(harness: AzureHarness) -> Iterator[None]:
    """The twin's time stands, but for what a test moves it by; no faults are left behind."""
    harness.twin.clock.run_at(0)
    yield
    harness.twin.clock.run_at(1)
    harness.twin.faults.clear()


def names(events: list[dict[str, Any]]) -> list[str]:
    return [one["subject"].partition("/blobs/")[2] for one in events]


def test_each_way_to_store_a_blob_makes_one_event(harness: AzureHarness, pipeline: Pipeline, tmp_path: Path) -> None:
    properties = pipeline.objects.upload_blob("in/ü 1.txt", b"hello").get_blob_properties()
    (put,) = pipeline.taken(1)
    assert (put["topic"], put["eventType"]) == (pipeline.work.id, CREATED)
    assert put["subject"] == "/blobServices/default/containers/objects/blobs/in/ü 1.txt"
    data = put["data"]
    assert (data["api"], data["contentLength"], data["blobType"]) == ("PutBlob", 5, "BlockBlob")
    assert data["eTag"] == properties.etag.strip('"')
    assert data["clientRequestId"]
    blocks = client(harness, pipeline.work, "blob", max_single_put_size=1024, max_block_size=1024).get_container_client("objects")
    blocks.upload_blob("blocks", b"x" * 3000)
    pipeline.objects.get_blob_client("copy").start_copy_from_url(blocks.get_blob_client("blocks").url)
    told = {one["data"]["api"]: one["data"]["contentLength"] for one in pipeline.taken(2)}
    assert told == {"PutBlockList": 3000, "CopyBlob": 3000}
    # What a program puts is stored like any other.
    (tmp_path / "seed").write_bytes(b"seed")
    source = {SIGNATURE: ASSET, "path": str(tmp_path / "seed"), "hash": "h"}
    inside = {**IN_GROUP, "accountName": pipeline.work["name"], "containerName": "objects", "blobName": "seed"}
    harness.make(BLOB, "seed", **inside, source=source)
    (seed,) = pipeline.taken(1)
    assert (seed["data"]["api"], seed["data"]["contentLength"], names([seed])) == ("PutBlob", 4, ["seed"])
    # Properties are no content, and other containers are not asked for.
    pipeline.objects.get_blob_client("seed").set_blob_metadata({"a": "b"})
    pipeline.letters.upload_blob("elsewhere", b"x")
    pipeline.objects.delete_blob("seed")
    assert (pipeline.waiting(), pipeline.take()) == (0, [])


def test_newer_versions_have_greater_sequencers(pipeline: Pipeline) -> None:
    for number in range(5):
        pipeline.objects.upload_blob("often", b"x" * number, overwrite=True)
    data = sorted((one["data"] for one in pipeline.taken(5)), key=lambda one: one["sequencer"].rjust(64, "0"))
    assert [one["contentLength"] for one in data] == [0, 1, 2, 3, 4]
    assert data[-1]["eTag"] == pipeline.objects.get_blob_client("often").get_blob_properties().etag.strip('"')


def test_events_come_twice_and_late_when_a_test_asks_for_it(harness: AzureHarness, pipeline: Pipeline) -> None:
    harness.twin.faults.set({"events": {"duplicates": 1, "delay_s": 200, "seed": 1}})
    for number in range(6):
        pipeline.objects.upload_blob(f"b{number}", b"x")
    assert pipeline.waiting() == 12
    pipeline.forward(200)
    found = pipeline.taken(12)
    assert sorted(names(found)) == sorted([f"b{number}" for number in range(6)] * 2)
    assert names(found) != sorted(names(found))
    assert len({one["id"] for one in found}) == 6


def test_a_queue_that_is_busy_is_tried_again_by_the_schedule(harness: AzureHarness, pipeline: Pipeline) -> None:
    harness.twin.faults.set({"outages": ["queue"]})
    pipeline.objects.upload_blob("late", b"x")
    # 30 s after the first attempt, 30 s after the second, 60 s after the third.
    pipeline.forward(100)
    harness.twin.faults.set({"outages": []})
    assert pipeline.take() == []
    pipeline.forward(25)
    (event,) = pipeline.taken(1)
    assert names([event]) == ["late"]
    assert pipeline.waiting() == 0


def test_nothing_is_brought_nor_lost_while_event_grid_is_out(harness: AzureHarness, pipeline: Pipeline) -> None:
    harness.twin.faults.set({"outages": ["eventgrid"]})
    pipeline.objects.upload_blob("out", b"x")
    pipeline.forward(HOUR_S)
    assert (pipeline.take(), pipeline.waiting()) == ([], 1)
    harness.twin.faults.set({"outages": []})
    pipeline.forward(5)
    assert names(pipeline.taken(1)) == ["out"]


def test_what_may_not_be_delivered_is_a_dead_letter_after_five_minutes(pipeline: Pipeline) -> None:
    pipeline.without_role()
    for name in ("a", "b"):
        pipeline.objects.upload_blob(name, b"x")
    eventually(lambda: pipeline.waiting() == 2)
    pipeline.forward(4 * MINUTE_S)
    assert pipeline.dead() == []
    pipeline.forward(2 * MINUTE_S)
    letters = [letter for blob in pipeline.dead() for letter in blob]
    assert sorted(names(letters)) == ["a", "b"]
    assert {(one["deadLetterReason"], one["deliveryAttempts"], one["lastDeliveryOutcome"]) for one in letters} == {
        ("UndeliverableDueToHttpForbidden", 1, "Forbidden")
    }
    assert {one.name.split("/")[0] for one in pipeline.letters.list_blobs()} == {"OBJECTS-1"}
    assert pipeline.waiting() == 0


def test_attempts_and_time_to_live_end(harness: AzureHarness) -> None:
    few = Pipeline(harness, retryPolicy={"maxDeliveryAttempts": 3})
    short = Pipeline(harness, retryPolicy={"eventTimeToLiveInMinutes": 2})
    harness.twin.faults.set({"outages": ["queue"]})
    few.objects.upload_blob("few", b"x")
    short.objects.upload_blob("short", b"x")
    few.forward(20 * MINUTE_S)
    harness.twin.faults.set({"outages": []})
    ((letter,),) = few.dead()
    assert (letter["deadLetterReason"], letter["deliveryAttempts"], letter["lastDeliveryOutcome"]) == (
        "MaxDeliveryAttemptsExceeded",
        3,
        "Busy",
    )
    # Tried at 0, 30, 60 and, being 120 s old by then, not at 120 s.
    ((letter,),) = short.dead()
    assert (letter["deadLetterReason"], letter["deliveryAttempts"]) == ("TimeToLiveExceeded", 3)
    for one in (few, short):
        assert one.waiting() == 0
        harness.remove(one.topic)


def test_a_container_for_dead_letters_that_is_out_is_waited_for(harness: AzureHarness, pipeline: Pipeline) -> None:
    pipeline.without_role()
    for name, out_s, kept in (("waited", HOUR_S, True), ("dropped", 5 * HOUR_S, False)):
        pipeline.objects.upload_blob(name, b"x")
        harness.twin.faults.set({"outages": ["blob"]})
        pipeline.forward(out_s)
        harness.twin.faults.set({"outages": []})
        pipeline.forward(10 * MINUTE_S)
        assert (name in names([letter for blob in pipeline.dead() for letter in blob])) is kept
        assert pipeline.waiting() == 0


def test_without_a_place_for_dead_letters_events_are_dropped(harness: AzureHarness) -> None:
    made = Pipeline(harness, deadLetterWithResourceIdentity=None)
    made.without_role()
    made.objects.upload_blob("gone", b"x")
    eventually(lambda: made.waiting() == 0)
    assert made.dead() == []
    harness.remove(made.topic)


def test_events_of_a_subscription_that_is_gone_go_with_it(harness: AzureHarness, pipeline: Pipeline) -> None:
    harness.twin.faults.set({"outages": ["eventgrid"]})
    pipeline.objects.upload_blob("gone", b"x")
    assert pipeline.waiting() == 1
    harness.remove(pipeline.subscription)
    assert pipeline.waiting() == 0
    pipeline.objects.upload_blob("unheard", b"x")
    assert pipeline.waiting() == 0


def test_messages_end_when_the_subscription_says_so(harness: AzureHarness) -> None:
    made = Pipeline(harness)
    to = {"endpointType": "StorageQueue", "resourceId": made.work.id, "queueName": "events", "queueMessageTimeToLiveInSeconds": 60}
    harness.change(made.subscription, deliveryWithResourceIdentity={"identity": OWN, "destination": to})
    made.objects.upload_blob("short", b"x")
    eventually(lambda: made.events.get_queue_properties().approximate_message_count == 1)
    (seen,) = made.events.peek_messages()
    assert round((seen.expires_on - seen.inserted_on).total_seconds()) == 60
    harness.remove(made.topic)


def test_events_outlive_the_twin(tmp_path: Path) -> None:
    first = harness_in(tmp_path)
    made = Pipeline(first)
    first.twin.faults.set({"outages": ["queue"]})
    for name in ("one", "two"):
        made.objects.upload_blob(name, b"x")
    eventually(lambda: made.waiting() == 2)
    made.forward(20)
    now = first.clock.now()
    first.down()
    second = harness_in(tmp_path, Clock(now + 60))
    try:
        again = client(second, made.work, "queue").get_queue_client("events")
        eventually(lambda: again.get_queue_properties().approximate_message_count == 2)
        bodies = [json.loads(base64.b64decode(one.content)) for one in again.receive_messages(messages_per_page=32)]
        assert sorted(names(bodies)) == ["one", "two"]
        # It listens again.
        client(second, made.work, "blob").get_container_client("objects").upload_blob("three", b"x")
        eventually(lambda: again.get_queue_properties().approximate_message_count == 3)
    finally:
        second.down()
