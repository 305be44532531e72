"""An account of Google Cloud without engine and processes: rows called as a provider server calls them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pilotlight.twin import gcp
from pilotlight.twin.clock import Clock
from pilotlight.twin.faults import Faults
from pilotlight.twin.gcp.cloud import GoogleCloud
from pilotlight.twin.gcp.planes import Planes
from pilotlight.twin.gcp.settings import CONFIGURATION
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource, World

PROJECT = "tried-project"
REGION = "europe-west1"
DIGEST = f"sha256:{'a' * 64}"


class Account:
    """What programs of one project make. `make` checks as an engine does before it creates."""

    def __init__(self, folder: Path, planes: Planes | None = None) -> None:
        self.world = World(folder / "world.sqlite3")
        clock = Clock()
        self.twin: Any = SimpleNamespace(
            home=folder,
            cache=folder / "cache",
            front_url="http://127.0.0.1:1",
            world=self.world,
            clock=clock,
            faults=Faults(),
            gcp=GoogleCloud(self.world, clock.now, planes or Planes({})),
        )
        self.settings = CONFIGURATION.settings({"project": PROJECT, "region": REGION})
        self.life = Lifecycle(self.twin, gcp.rows, folder, Locks())

    def check(self, token: str, name: str, inputs: dict[str, Any], olds: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
        return self.life.check(token, urn(token, name), name.encode(), inputs, olds or {}, self.settings)

    def make(self, token: str, name: str, inputs: dict[str, Any]) -> Resource:
        checked, problems = self.check(token, name, inputs)
        assert problems == []
        made = self.life.create(token, urn(token, name), checked, self.settings, lambda: True)
        self.world.confirm(token, made.id)
        return made

    def change(self, resource: Resource, inputs: dict[str, Any]) -> Resource:
        """The resource with some of its inputs changed."""
        given = {**resource.inputs, **inputs}
        return self.life.update(resource.token, resource.id, resource.urn, given, self.settings)

    def delete(self, resource: Resource) -> None:
        self.life.delete(resource.token, resource.id, resource.urn)

    def refused(self, token: str, inputs: dict[str, Any]) -> str:
        """What the creation is refused with."""
        try:
            self.make(token, "refused", inputs)
        except Refusal as refusal:
            return str(refusal)
        raise AssertionError(f"{token} was created")

    def enable(self, *names: str) -> None:
        for name in names:
            self.make("gcp:projects/service:Service", f"api-{name}", {"service": f"{name}.googleapis.com"})

    def push(self, repository: str, image: str = "server") -> str:
        """An image in a repository, as if a build had pushed it; its address by digest."""
        where = f"projects/{PROJECT}/locations/{REGION}/repositories/{repository}"
        outputs = {"repository": where, "image": image, "digest": DIGEST, "tags": ["one"], "mediaType": "x"}
        self.world.put(Resource(token="twin:artifactregistry/image:Image", id=f"{where}/{image}", urn="", outputs=outputs))
        return f"{REGION}-docker.pkg.dev/{PROJECT}/{repository}/{image}@{DIGEST}"

    def set(self, resource: Resource, **outputs: Any) -> None:
        """As if somebody had changed it by hand."""
        self.world.put(replace(resource, outputs={**resource.outputs, **outputs}))


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::tried::{token}::{name}"
