"""A whole twin in this process, with Azure's rows: `make` creates as an engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import platformdirs

from pilotlight.twin import azure
from pilotlight.twin.azure.account import PRINCIPAL, SUBSCRIPTION
from pilotlight.twin.azure.settings import CONFIGURATION
from pilotlight.twin.azure.types import GROUP, IDENTITY, ROLE_ASSIGNMENT
from pilotlight.twin.clock import Clock
from pilotlight.twin.docker_build import ROWS as IMAGES
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.people import assignment
from tests.twin.compute.harness import Harness

REGION = "westeurope"
NAME = "tried"
IN_GROUP = {"resourceGroupName": NAME}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{NAME}"
# What is fetched once for all tests and twins of this user: interpreters' environments, Azurite.
_SHARED = ("envs", "node")


class AzureHarness(Harness):
    def up(self) -> AzureHarness:
        super().up()
        table = {**azure.rows(), **{row.token: row for row in IMAGES}}
        self.life = Lifecycle(self.twin, lambda: table, self.home, Locks())
        self.settings = CONFIGURATION.settings({"location": REGION})
        if not self.twin.world.find(GROUP):
            self.make(GROUP, NAME, **IN_GROUP)
        return self

    def make(self, token: str, key: str, **inputs: Any) -> Resource:
        urn = f"urn:pulumi:test::tried::{token}::{key}"
        checked, problems = self.life.check(token, urn, key.encode(), inputs, {}, self.settings)
        assert not problems, problems
        made = self.life.create(token, urn, checked, self.settings, lambda: True)
        self.twin.world.confirm(token, made.id)
        return made

    def problems(self, token: str, **inputs: Any) -> list[str]:
        return self.life.check(token, f"urn:pulumi:test::tried::{token}::x", b"seed", inputs, {}, self.settings)[1]

    def change(self, resource: Resource, **inputs: Any) -> Resource:
        return self.life.update(resource.token, resource.id, resource.urn, {**resource.inputs, **inputs}, self.settings, resource.outputs)

    def remove(self, resource: Resource) -> None:
        self.life.delete(resource.token, resource.id, resource.urn)

    def read(self, resource: Resource) -> dict[str, Any] | None:
        found = self.life.read(resource.token, resource.id, resource.urn, resource.inputs)
        return None if found is None else found[0]

    def identity(self, name: str) -> Resource:
        return self.make(IDENTITY, name, **IN_GROUP, resourceName=name)

    def grant(self, who: Resource, role: str, scope: str) -> Resource:
        """A built-in role, by its name."""
        inputs = assignment(who, role, scope)
        return self.make(ROLE_ASSIGNMENT, inputs["roleAssignmentName"], **inputs)

    def token(self, who: Resource | None, resource: str) -> str:
        """An access token of an identity; the developer's for None."""
        tokens = self.twin.azure.tokens(self.twin)
        return tokens.access(who["principalId"], who["clientId"], resource) if who else tokens.access(PRINCIPAL, PRINCIPAL, resource)

    @property
    def ca_file(self) -> str:
        return str(self.twin.azure.ca_file(self.twin))


def harness_in(folder: Path, clock: Clock | None = None) -> AzureHarness:
    """A twin that is up, with what the user's cache holds."""
    for name in _SHARED:
        held = folder / "cache" / name
        if not held.exists():
            (shared := platformdirs.user_cache_path("pilotlight") / name).mkdir(parents=True, exist_ok=True)
            held.parent.mkdir(exist_ok=True)
            held.symlink_to(shared)
    return AzureHarness(folder / "home", folder / "cache", clock).up()
