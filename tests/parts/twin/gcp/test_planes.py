"""Hooks of what serves the resources: told of each, in the right order, made once, brought back after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pilotlight.twin.gcp.planes import google_planes
from pilotlight.twin.gcp.types import TOPIC
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.gcp import test_planes
from tests.parts.twin.gcp.account import Account


class Recorded(Plane):
    """Notes what it is told, and gives outputs of its own."""

    told: ClassVar[list[str]] = []
    refuse = False

    async def start(self) -> None:
        self.told.append("start")

    async def close(self) -> None:
        self.told.append("close")

    def create(self, resource: Resource) -> Mapping[str, Any]:
        if self.refuse:
            raise Refusal("Broken", "It does not start.")
        self.told.append(f"create {resource['name']} in {resource['project']}")
        return {"messageStoragePolicy": {"allowedPersistenceRegions": ["europe-west1"]}}

    def update(self, old: Resource, new: Resource) -> None:
        self.told.append(f"update {old.get('messageRetentionDuration')} {new['messageRetentionDuration']}")

    def delete(self, resource: Resource) -> None:
        self.told.append(f"delete {resource['name']}")

    def read(self, resource: Resource) -> dict[str, Any] | None:
        return None if "gone" in self.told else {**resource.outputs, "messageRetentionDuration": "700s"}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    Recorded.told.clear()
    monkeypatch.setattr("pilotlight.twin.planes.import_module", lambda name: test_planes)
    account = Account(tmp_path, google_planes({TOPIC: "recorded:Recorded"}))
    account.twin.wait = asyncio.run
    account.enable("pubsub")
    return account


def test_a_plane_is_told_of_every_resource(served: Account) -> None:
    topic = served.make(TOPIC, "topic", {"name": "topic"})
    assert topic["messageStoragePolicy"] == {"allowedPersistenceRegions": ["europe-west1"]}
    served.change(topic, {"messageRetentionDuration": "600s"})
    other = served.make(TOPIC, "other", {"name": "other"})
    served.delete(other)
    assert Recorded.told == [
        "start",
        "create topic in tried-project",
        "update None 600s",
        "create other in tried-project",
        "delete other",
    ]


def test_what_a_plane_sees_is_what_a_refresh_sees(served: Account) -> None:
    topic = served.make(TOPIC, "topic", {"name": "topic", "messageRetentionDuration": "600s"})
    live, inputs = served.life.read(TOPIC, topic.id, topic.urn, topic.inputs) or ({}, {})
    assert (live["messageRetentionDuration"], inputs["messageRetentionDuration"]) == ("700s", "700s")
    Recorded.told.append("gone")
    assert served.life.read(TOPIC, topic.id, topic.urn, topic.inputs) is None


def test_what_a_plane_refuses_is_not_made(served: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorded, "refuse", True)
    assert served.refused(TOPIC, {"name": "topic"}) == "Broken: It does not start."
    assert served.world.find(TOPIC) == []


def test_a_resource_without_a_promised_output_is_not_made(served: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorded, "create", lambda plane, resource: {"messageStoragePolicy": None})
    assert "gives no messageStoragePolicy: that is an error in the row" in served.refused(TOPIC, {"name": "topic"})
    assert served.world.find(TOPIC) == []
    assert Recorded.told == ["start", "delete topic"]


def test_planes_come_back_with_the_resources_they_serve(served: Account) -> None:
    served.make(TOPIC, "topic", {"name": "topic"})
    Recorded.told.clear()
    again, idle = google_planes({TOPIC: "recorded:Recorded"}), google_planes({"gcp:storage/bucket:Bucket": "recorded:Recorded"})

    async def run() -> None:
        for planes in (again, idle):
            await planes.start(served.twin)
            await planes.close()

    asyncio.run(run())
    assert Recorded.told == ["start", "close"]


def test_a_type_without_a_plane_is_left_alone(served: Account) -> None:
    assert type(google_planes({}).of(served.twin, TOPIC)) is Plane
