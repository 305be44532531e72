"""What programs declare of Cloud Storage: objects, what becomes of buckets, lifecycle rules, and who is told of what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.gcp import agents
from pilotlight.twin.gcp.pubsub_plane import PubsubPlane
from pilotlight.twin.gcp.storage_events import RETRY_S, ObjectEvent
from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.gcp.types import BUCKET, BUCKET_OBJECT, NOTIFICATION, SUBSCRIPTION, TOPIC, TOPIC_MEMBER
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import ASSET, SIGNATURE
from pilotlight.twin.world import Resource
from tests.twin.gcp.conftest import PROJECT, REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.objects import NUMBERS, PIECE, Cloud
from tests.twin.gcp.services import harness_in
from tests.twin.gcp.test_storage import begin, piece

DAY_S = 86_400


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("storage"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def cloud(harness: GoogleHarness) -> Cloud:
    return Cloud(harness)


def source(path: Path) -> dict[str, str]:
    return {SIGNATURE: ASSET, "path": str(path), "hash": path.read_text()}


def declared(cloud: Cloud, bucket: Resource, name: str, **given: Any) -> Resource:
    return cloud.harness.make(BUCKET_OBJECT, f"object-{next(NUMBERS)}", bucket=bucket.id, name=name, **given)


def live(cloud: Cloud, resource: Resource) -> tuple[dict[str, Any], dict[str, Any]] | None:
    return cloud.harness.life.read(resource.token, resource.id, resource.urn, resource.inputs)


def test_a_programs_object_is_there_changes_drifts_and_goes(cloud: Cloud, tmp_path: Path) -> None:
    bucket, file = cloud.bucket(versioning={"enabled": True}), tmp_path / "model"
    file.write_text("one")
    made = declared(cloud, bucket, "models/m", source=source(file), contentType="application/gzip", metadata={"a": "b"})
    found = cloud.object("GET", bucket, "models/m").json()
    assert (int(found["generation"]), found["md5Hash"], found["crc32c"]) == (made["generation"], made["md5hash"], made["crc32c"])
    assert (found["contentType"], found["metadata"]) == ("application/gzip", {"a": "b"})
    assert cloud.read(bucket, "models/m").text == "one"
    assert live(cloud, made) == (made.outputs, made.inputs)
    held = cloud.harness.change(made, temporaryHold=True)
    assert held["generation"] == made["generation"], "its bytes are the same"
    assert cloud.object("GET", bucket, "models/m").json()["temporaryHold"] is True
    cloud.harness.change(held, temporaryHold=False)
    cloud.put(bucket, "models/m", b"by hand")
    drifted = live(cloud, made)
    assert drifted is not None
    assert drifted[1]["source"] != made.inputs["source"]
    mended = cloud.harness.change(made)
    assert cloud.read(bucket, "models/m").text == "one"
    assert mended["generation"] > made["generation"]
    cloud.object("DELETE", bucket, "models/m")
    assert live(cloud, made) is None
    cloud.harness.remove(mended)
    assert cloud.generations(bucket) == []


def test_content_that_a_program_gives_is_an_objects_too(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    made = declared(cloud, bucket, "text", content="grüße")
    answer = cloud.read(bucket, "text")
    assert (answer.text, answer.headers["content-type"]) == ("grüße", "text/plain; charset=utf-8")
    cloud.put(bucket, "text", b"other")
    drifted = live(cloud, made)
    assert drifted is not None
    assert drifted[1]["content"] != "grüße"
    cloud.harness.remove(made)
    assert cloud.read(bucket, "text").status_code == 404
    with pytest.raises(Refusal, match="retention: the twin keeps none of these"):
        declared(cloud, bucket, "held", content="x", retention={"mode": "Locked", "retainUntilTime": "2030-01-01T00:00:00Z"})


def test_a_bucket_with_objects_stays_unless_it_is_forced(cloud: Cloud) -> None:
    bucket = cloud.bucket(versioning={"enabled": True})
    made = declared(cloud, bucket, "o", content="x")
    with pytest.raises(Refusal, match=r"holds objects \(1\)"):
        cloud.harness.remove(bucket)
    cloud.harness.remove(made)
    with pytest.raises(Refusal, match=r"holds objects \(1, noncurrent versions included\)"):
        cloud.harness.remove(bucket)
    cloud.put(bucket, "by-hand")
    begin(cloud, bucket, "unfinished")
    forced = cloud.harness.change(bucket, forceDestroy=True)
    files = cloud.files()
    cloud.harness.remove(forced)
    assert cloud.files() == files - 3
    assert cloud.call("GET", f"/storage/v1/b/{bucket.id}").status_code == 404
    again = cloud.harness.make(BUCKET, "again", name=bucket.id, location=REGION)
    assert cloud.generations(again, versions="true") == []
    cloud.plane.store.put(Version(bucket="left", name="o", generation=1, blob="x", size=1, created=0, updated=0))
    assert cloud.generations(cloud.bucket(name="left"), versions="true") == [], "nothing comes from one that was there before"
    empty = cloud.bucket()
    gone = declared(cloud, empty, "o", content="x")
    cloud.object("DELETE", empty, "o")
    cloud.harness.remove(empty)
    assert cloud.twin.world.get(BUCKET_OBJECT, gone.id) is None


def test_declared_rules_delete_on_the_twins_clock(cloud: Cloud) -> None:
    def rule(**condition: Any) -> dict[str, Any]:
        return {"action": {"type": "Delete"}, "condition": condition}

    versions = cloud.bucket(versioning={"enabled": True}, lifecycleRules=[rule(daysSinceNoncurrentTime=30, withState="ARCHIVED")])
    newer = cloud.bucket(versioning={"enabled": True}, lifecycleRules=[rule(numNewerVersions=2)])
    old = cloud.bucket(lifecycleRules=[rule(age=3, matchesPrefixes=["in/"])])
    moved = cloud.bucket(lifecycleRules=[{"action": {"type": "SetStorageClass", "storageClass": "NEARLINE"}, "condition": {"age": 1}}])
    made = {bucket.id: [cloud.put(bucket, "in/o").json()["generation"] for _ in range(3)] for bucket in (versions, newer, old, moved)}
    cloud.put(old, "out/o")

    def forward(days: float) -> list[str]:
        until = cloud.twin.clock.now() + days * DAY_S
        return [one.said for one in cloud.harness.wait(cloud.twin.timers.forward(until)) if "lifecycle" in one.name]

    said = forward(0.1)
    assert said == [f"deleted or moved: 1 of {newer.id}"]
    assert cloud.generations(newer, versions="true") == made[newer.id][1:]
    forward(2.8)
    assert [one["name"] for one in cloud.listed(old)["items"]] == ["in/o", "out/o"]
    assert cloud.object("GET", moved, "in/o").json()["storageClass"] == "NEARLINE"
    forward(0.2)
    assert [one["name"] for one in cloud.listed(old)["items"]] == ["out/o"]
    assert len(cloud.generations(versions, versions="true")) == 3
    forward(28)
    assert cloud.generations(versions, versions="true") == made[versions.id][2:]


@pytest.fixture
def events(cloud: Cloud) -> Iterator[list[ObjectEvent]]:
    heard: list[ObjectEvent] = []
    cloud.plane.listeners.append(heard.append)
    yield heard
    cloud.plane.listeners.remove(heard.append)


def test_listeners_hear_everything_that_happens_to_objects(cloud: Cloud, events: list[ObjectEvent]) -> None:
    versions, plain = cloud.bucket(versioning={"enabled": True}), cloud.bucket()
    for bucket in (versions, plain):
        first, second = (cloud.put(bucket, "o", body).json()["generation"] for body in (b"one", b"two"))
        cloud.object("PATCH", bucket, "o", json={"metadata": {"a": "b"}})
        cloud.object("DELETE", bucket, "o")
        kind = "archived" if bucket is versions else "deleted"
        heard = [(one.kind, one.resource["generation"]) for one in events if one.bucket == bucket.id]
        assert heard == [("finalized", first), (kind, first), ("finalized", second), ("metadataUpdated", second), (kind, second)]
        replaced, made = events[-4], events[-3]
        assert (replaced.overwritten_by, made.overwrote) == (int(second), int(first))
        assert ("timeDeleted" in replaced.resource, made.resource["size"], made.resource["metageneration"]) == (True, "3", "1")
        assert events[-2].resource["metadata"] == {"a": "b"}
        assert "~" not in made.resource["mediaLink"]
    cloud.object("DELETE", versions, "o", params={"generation": events[0].resource["generation"]})
    assert events[-1].kind == "deleted"
    assert len({one.id for one in events}) == len(events)


def test_an_event_that_was_not_taken_comes_again(cloud: Cloud) -> None:
    bucket, heard, failing = cloud.bucket(), [], [True]

    def listener(event: ObjectEvent) -> None:
        heard.append(event.id)
        if failing[0]:
            raise RuntimeError("not now")

    cloud.plane.listeners.append(listener)
    try:
        assert cloud.put(bucket, "o").status_code == 200, "whoever stores does not see it"
        assert len(heard) == 1
        failing[0] = False
        cloud.harness.wait(cloud.twin.timers.forward(cloud.twin.clock.now() + RETRY_S + 1))
        assert heard == [heard[0]] * 2
        cloud.harness.wait(cloud.twin.timers.forward(cloud.twin.clock.now() + RETRY_S + 1))
        assert len(heard) == 2
    finally:
        cloud.plane.listeners.remove(listener)


def test_events_come_twice_and_late_where_a_test_asks_for_it(cloud: Cloud, events: list[ObjectEvent]) -> None:
    bucket = cloud.bucket()
    cloud.twin.faults.set({"events": {"duplicates": 1, "delay_s": 100, "seed": 3}})
    try:
        for number in range(5):
            cloud.put(bucket, f"o{number}")
    finally:
        cloud.twin.faults.clear()
    assert events == []
    cloud.harness.wait(cloud.twin.timers.forward(cloud.twin.clock.now() + 101))
    names = [one.resource["name"] for one in events]
    assert sorted(names) == sorted([f"o{number}" for number in range(5)] * 2)
    assert names != sorted(names), "they overtake each other"
    assert len({one.id for one in events}) == 5


def test_a_notification_publishes_to_its_topic(cloud: Cloud) -> None:
    harness, bucket = cloud.harness, cloud.bucket()
    for name in ("pubsub", "storage"):
        harness.make("gcp:projects/service:Service", f"api-{name}", service=f"{name}.googleapis.com")
    topic = harness.make(TOPIC, "told", name="told")
    held = harness.make(SUBSCRIPTION, "held", name="held", topic=topic.id)
    agents.make(cloud.twin.world, PROJECT, agents.STORAGE)
    member = f"serviceAccount:{agents.agent(PROJECT, agents.STORAGE)}"
    harness.make(TOPIC_MEMBER, "publishes", topic=topic.id, role="roles/pubsub.publisher", member=member)
    given = {"bucket": bucket.id, "topic": topic.id, "payloadFormat": "JSON_API_V1", "objectNamePrefix": "in/"}
    notification = harness.make(NOTIFICATION, "notification", eventTypes=["OBJECT_FINALIZE"], customAttributes={"team": "search"}, **given)
    made = cloud.put(bucket, "in/o").json()
    cloud.put(bucket, "out/o")
    cloud.object("DELETE", bucket, "in/o")
    plane = cloud.twin.gcp.planes.of(cloud.twin, TOPIC)
    assert isinstance(plane, PubsubPlane)
    store = plane.service.store

    async def take() -> Any:
        return store.take(held.id, 10)

    (delivery,) = harness.wait(take())
    attributes = dict(delivery.message.attributes)
    assert json.loads(delivery.message.data)["generation"] == made["generation"]
    assert attributes.pop("eventTime").endswith("Z")
    assert attributes == {
        "team": "search",
        "notificationConfig": f"projects/_/buckets/{notification.id}",
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": bucket.id,
        "objectId": "in/o",
        "objectGeneration": made["generation"],
    }


def fails(event: ObjectEvent) -> None:
    raise RuntimeError("the twin ends before this is done")


def test_objects_uploads_and_untold_events_come_back_with_the_twin(tmp_path: Path) -> None:
    first = Cloud(harness_in(tmp_path))
    bucket = first.bucket(versioning={"enabled": True})
    made = [first.put(bucket, "o", body).json()["generation"] for body in (b"one", b"two")]
    address = begin(first, bucket, "large")
    piece(address, bytes(PIECE), f"0-{PIECE - 1}/*")
    first.plane.listeners.append(fails)
    told = first.put(bucket, "told", b"x").json()["generation"]
    (tmp_path / "home" / "storage" / "left-by-a-killed-twin").write_bytes(b"half")
    first.harness.down()

    again = GoogleHarness(tmp_path / "home", tmp_path / "cache")
    again.up()
    try:
        cloud = Cloud(again)
        assert [cloud.read(bucket, "o", generation=one).text for one in made] == ["one", "two"]
        heard: list[ObjectEvent] = []
        plane = cloud.plane

        async def listen() -> None:
            plane.listeners.append(heard.append)
            plane.pending()

        again.wait(listen())
        again.wait(again.twin.timers.forward(again.twin.clock.now() + RETRY_S + 1))
        assert [(one.kind, one.resource["name"], one.resource["generation"]) for one in heard] == [("finalized", "told", told)]
        assert int(cloud.put(bucket, "o", b"three").json()["generation"]) > int(told)
        address = address.replace(first.twin.front_url, again.twin.front_url)
        assert piece(address, b"", "*/*").headers["range"] == f"bytes=0-{PIECE - 1}"
        assert piece(address, b"end", f"{PIECE}-{PIECE + 2}/{PIECE + 3}").status_code == 200
        assert cloud.read(bucket, "large").content == bytes(PIECE) + b"end"
        assert cloud.files() == len(cloud.generations(bucket, versions="true"))
    finally:
        again.down()
