"""An account of Google Cloud without engine and processes: rows called as a provider server calls them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pilotlight.twin import gcp
from pilotlight.twin.clock import Clock
from pilotlight.twin.faults import Faults
from pilotlight.twin.gcp.cloud import GoogleCloud
from pilotlight.twin.gcp.planes import google_planes
from pilotlight.twin.gcp.settings import CONFIGURATION
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.planes import Planes
from pilotlight.twin.world import Resource, World
from tests.parts.twin.programs import Programs

PROJECT = "tried-project"
REGION = "europe-west1"
DIGEST = f"sha256:{'a' * 64}"


class Account(Programs):
    """What programs of one project make."""

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
            gcp=GoogleCloud(self.world, clock.now, planes or google_planes({})),
        )
        self.settings = CONFIGURATION.settings({"project": PROJECT, "region": REGION})
        self.life = Lifecycle(self.twin, gcp.rows, folder, Locks())

    def enable(self, *names: str) -> None:
        for name in names:
            self.make("gcp:projects/service:Service", f"api-{name}", {"service": f"{name}.googleapis.com"})

    def push(self, repository: str, image: str = "server") -> str:
        """An image in a repository, as if a build had pushed it; its address by digest."""
        where = f"projects/{PROJECT}/locations/{REGION}/repositories/{repository}"
        outputs = {"repository": where, "image": image, "digest": DIGEST, "tags": ["one"], "mediaType": "x"}
        self.world.put(Resource(token="twin:artifactregistry/image:Image", id=f"{where}/{image}", urn="", outputs=outputs))
        return f"{REGION}-docker.pkg.dev/{PROJECT}/{repository}/{image}@{DIGEST}"
