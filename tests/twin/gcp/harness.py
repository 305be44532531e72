"""A whole twin in this process, with Google Cloud's rows: `make` creates as an engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilotlight.twin import gcp
from pilotlight.twin.docker_build import ROWS as IMAGES
from pilotlight.twin.gcp import registry
from pilotlight.twin.gcp.settings import CONFIGURATION
from pilotlight.twin.gcp.types import ENABLED, IDENTITY, PROJECT_MEMBER
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.world import Resource
from tests.twin.compute.harness import Harness
from tests.twin.gcp.conftest import PROJECT, REGION

ROOT = Path(__file__).parents[3]
IMAGE = Path(__file__).parent / "run_image"
HOST = f"{REGION}-docker.pkg.dev"


class GoogleHarness(Harness):
    def up(self) -> GoogleHarness:
        super().up()
        table = {**gcp.rows(), **{row.token: row for row in IMAGES}}
        self.life = Lifecycle(self.twin, lambda: table, self.home, Locks())
        self.settings = CONFIGURATION.settings({"project": PROJECT, "region": REGION})
        # In a home of before they are on already.
        if not self.twin.world.find(ENABLED):
            self.enable("run", "iam", "artifactregistry", "cloudresourcemanager")
        return self

    def enable(self, *names: str) -> None:
        for name in names:
            self.make(ENABLED, f"api-{name}", service=f"{name}.googleapis.com")

    def grant(self, role: str, email: str, condition: dict[str, str] | None = None) -> Resource:
        """The role on the whole project."""
        given = {"condition": condition} if condition else {}
        key = f"{role}-{email}"
        return self.make(PROJECT_MEMBER, key, project=PROJECT, role=role, member=f"serviceAccount:{email}", **given)

    def agent(self, *names: str) -> None:
        """Google's own identity of each API, with its role."""
        for name in names:
            made = self.make(IDENTITY, f"{name}-agent", service=f"{name}.googleapis.com")
            self.grant(f"roles/{name}.serviceAgent", str(made["email"]))

    def make(self, token: str, key: str, **inputs: Any) -> Resource:
        urn = f"urn:pulumi:test::tried::{token}::{key}"
        checked, problems = self.life.check(token, urn, key.encode(), inputs, {}, self.settings)
        assert not problems, problems
        made = self.life.create(token, urn, checked, self.settings, lambda: True)
        self.twin.world.confirm(token, made.id)
        return made

    def change(self, resource: Resource, **inputs: Any) -> Resource:
        return self.life.update(resource.token, resource.id, resource.urn, {**resource.inputs, **inputs}, self.settings, resource.outputs)

    def remove(self, resource: Resource) -> None:
        self.life.delete(resource.token, resource.id, resource.urn)

    def account(self, name: str) -> str:
        return str(self.make("gcp:serviceaccount/account:Account", name, accountId=name)["email"])

    def pushed(self, folder: Path = IMAGE) -> str:
        """The test's image in a repository; its address by digest."""
        return self._built("server", folder, folder / "Dockerfile", "cpu")

    def functions(self) -> str:
        """The image of Google Cloud's functions, in a repository; its address by digest."""
        return self._built("functions", ROOT, ROOT / "containers" / "Dockerfile", "function-gcp")

    def _built(self, name: str, context: Path, dockerfile: Path, target: str) -> str:
        self.make("gcp:artifactregistry/repository:Repository", f"{name}-images", repositoryId=f"{name}-images", format="DOCKER")
        login = {"address": HOST, "username": registry.USER, "password": registry.access_token(self.twin)}
        address = f"{HOST}/{PROJECT}/{name}-images/{name}"
        image = self.make(
            "docker-build:index:Image",
            name,
            push=False,
            exports=[{"registry": {"ociMediaTypes": True}}],
            context={"location": str(context)},
            dockerfile={"location": str(dockerfile)},
            target=target,
            tags=[f"{address}:one"],
            registries=[login],
        )
        return f"{address}@{image['digest']}"
