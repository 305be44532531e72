"""Services on a whole twin, for tests: made of one image, called as one account, gone at the end of a test."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import httpx
import platformdirs

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp.tokens import Tokens
from pilotlight.twin.gcp.types import RUN_MEMBER, RUN_SERVICE
from pilotlight.twin.world import Resource
from tests.twin.gcp.conftest import REGION
from tests.twin.gcp.harness import GoogleHarness

PROBE = {"httpGet": {"path": "/health/startup"}, "periodSeconds": 1, "failureThreshold": 20}
NUMBERS = itertools.count()
CLIENT = httpx.Client(trust_env=False, verify=False, timeout=60)


def harness_in(folder: Path, clock: Clock | None = None) -> GoogleHarness:
    """A twin that is up, with the images' environments of the user's cache."""
    envs, held = platformdirs.user_cache_path("pilotlight") / "envs", folder / "cache" / "envs"
    envs.mkdir(parents=True, exist_ok=True)
    if not held.exists():
        held.parent.mkdir()
        held.symlink_to(envs)
    return GoogleHarness(folder / "home", folder / "cache", clock).up()


class Run:
    """Services of one test, deleted at its end; `caller` may invoke each."""

    def __init__(self, harness: GoogleHarness, image: str, caller: str, runner: str) -> None:
        self.harness, self.image, self.caller, self.runner = harness, image, caller, runner
        self.made: list[Resource] = []
        self.tokens = Tokens(harness.home)

    def template(self, envs: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
        container = {
            "image": self.image,
            "args": ["api"],
            "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
            "envs": [{"name": name, "value": value} for name, value in (envs or {}).items()],
            "startupProbe": PROBE,
        }
        scaling = {"maxInstanceCount": 2}
        return {
            "serviceAccount": self.runner,
            "timeout": "20s",
            "maxInstanceRequestConcurrency": 2,
            "scaling": scaling,
            "containers": [container],
            **given,
        }

    def __call__(self, envs: dict[str, str] | None = None, *, floor: int = 0, ingress: str | None = None, **given: Any) -> Resource:
        name = f"server-{next(NUMBERS)}"
        more = {"ingress": ingress} if ingress else {}
        service = self.harness.make(
            RUN_SERVICE,
            name,
            name=name,
            location=REGION,
            deletionProtection=False,
            scaling={"minInstanceCount": floor},
            template=self.template(envs, **given),
            **more,
        )
        self.made.append(service)
        member = f"serviceAccount:{self.caller}"
        self.harness.make(RUN_MEMBER, f"{name}-in", name=name, location=REGION, role="roles/run.invoker", member=member)
        return service

    def bearer(self, service: Resource, email: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.identity(email or self.caller, service['uri'])}"}

    def ask(self, service: Resource, path: str = "/predict", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        given = self.bearer(service) if headers is None else headers
        return CLIENT.post(service["uri"] + path, json=body, headers=given)

    def seen(self, service: Resource) -> list[dict[str, Any]]:
        """The requests that its instance has had; to be asked of services with one."""
        return list(CLIENT.get(f"{service['uri']}/seen", headers=self.bearer(service)).json())

    def processes(self, service: Resource) -> list[int]:
        return [one.pid for one in self.harness.twin.processes.running() if one.name == f"service {service['name']}"]

    def clear(self) -> None:
        for service in self.made:
            if self.harness.twin.world.get(RUN_SERVICE, service.id):
                self.harness.remove(service)
            assert self.processes(service) == []
