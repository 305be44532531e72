"""A subscription without engine and processes: rows called as a provider server calls them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pilotlight.twin import azure
from pilotlight.twin.azure.account import SUBSCRIPTION
from pilotlight.twin.azure.cloud import AzureCloud
from pilotlight.twin.azure.planes import azure_planes
from pilotlight.twin.azure.settings import CONFIGURATION
from pilotlight.twin.azure.types import GROUP
from pilotlight.twin.clock import Clock
from pilotlight.twin.faults import Faults
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.planes import Planes
from pilotlight.twin.world import Resource, World
from tests.parts.twin.programs import Programs

REGION = "westeurope"
NAME = "tried"
IN_GROUP = {"resourceGroupName": NAME}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{NAME}"
PORT = 20_443


class NoFront:
    """Instead of the front that speaks TLS, which needs a loop: its port, and nobody listens there."""

    front = None

    def port(self, twin: Any) -> int:
        return PORT

    def ca_file(self, home: Path) -> Path:
        return home / "ca.pem"


class Account(Programs):
    """What programs of one subscription make."""

    def __init__(self, folder: Path, planes: Planes | None = None) -> None:
        self.world = World(folder / "world.sqlite3")
        cloud: Any = AzureCloud(self.world, planes or azure_planes({}))
        cloud.tls = NoFront()
        self.twin: Any = SimpleNamespace(
            home=folder,
            cache=folder / "cache",
            front_url="http://127.0.0.1:1",
            world=self.world,
            clock=Clock(),
            faults=Faults(),
            azure=cloud,
        )
        self.settings = CONFIGURATION.settings({"location": REGION})
        self.life = Lifecycle(self.twin, azure.rows, folder, Locks())

    def group(self) -> Resource:
        """The group in which `IN_GROUP` makes resources."""
        return self.make(GROUP, NAME, {"resourceGroupName": NAME})
