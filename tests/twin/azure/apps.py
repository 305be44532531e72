"""Container apps on a whole twin, for tests: made of one image, called by a plain client, gone at the end of a test."""

from __future__ import annotations

import itertools
import ssl
from pathlib import Path
from typing import Any

import httpx

from pilotlight.twin.azure import registry
from pilotlight.twin.azure.account import PRINCIPAL
from pilotlight.twin.azure.apps_plane import AppsPlane
from pilotlight.twin.azure.types import APP, APP_AUTH, ENVIRONMENT, JOB, REGISTRY
from pilotlight.twin.rows import Properties
from pilotlight.twin.world import Resource
from tests.twin.azure.harness import IN_GROUP, AzureHarness

IMAGE = Path(__file__).parent / "app_image"
NUMBERS = itertools.count()
PROFILES = [{"name": "Consumption", "workloadProfileType": "Consumption"}]


def probe(kind: str, path: str, **times: int) -> dict[str, Any]:
    return {"type": kind, "httpGet": {"port": 8080, "path": path}, "periodSeconds": 1, **times}


PROBES = [
    probe("Startup", "/health/startup", failureThreshold=10),
    probe("Readiness", "/health/ready", failureThreshold=1),
    probe("Liveness", "/health/alive", failureThreshold=2),
]


class Apps:
    """Everything of one environment; `who` pulls the image and is every app."""

    def __init__(self, harness: AzureHarness) -> None:
        self.harness, self.made = harness, list[Resource]()
        self.environment = self.new_environment()
        self.registry = harness.make(REGISTRY, "images", **IN_GROUP, registryName="triedimages", sku={"name": "Basic"})
        self.who = harness.identity("server")
        harness.grant(self.who, "AcrPull", self.registry.id)
        self.image = self._pushed()
        self.client = httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=harness.ca_file), timeout=60)

    @property
    def plane(self) -> AppsPlane:
        plane = self.harness.twin.azure.planes.made("apps_plane:AppsPlane")
        assert isinstance(plane, AppsPlane)
        return plane

    def new_environment(self) -> Resource:
        name = f"apps{next(NUMBERS)}"
        return self.harness.make(ENVIRONMENT, name, **IN_GROUP, environmentName=name, workloadProfiles=PROFILES)

    def template(self, env: dict[str, str] | None = None, scale: Properties | None = None, **container: Any) -> dict[str, Any]:
        declared = [{"name": name, "value": value} for name, value in {"AZURE_CLIENT_ID": self.who["clientId"], **(env or {})}.items()]
        size = {"cpu": 0.25, "memory": "0.5Gi"}
        one = {"name": "server", "image": self.image, "args": ["api"], "env": declared, "resources": size, "probes": PROBES, **container}
        return {"containers": [one], "scale": {"maxReplicas": 2, **(scale or {})}}

    def app(self, env: dict[str, str] | None = None, *, external: bool = True, ingress: Properties | None = None, **more: Any) -> Resource:
        """`scale`, and parts of the container, else inputs of the app."""
        name = f"server-{next(NUMBERS)}"
        environment = more.pop("environment", self.environment)
        front = {"external": external, "targetPort": 8080, **(ingress or {})} if more.pop("front", True) else None
        made = self.harness.make(
            APP,
            name,
            **self._common(environment),
            containerAppName=name,
            configuration={"ingress": front, "registries": self._registries()},
            template=self.template(env, **more),
        )
        self.made.append(made)
        return made

    def job(self, env: dict[str, str], configuration: Properties) -> Resource:
        name = f"job-{next(NUMBERS)}"
        template = {"containers": self.template(env, args=["job"], probes=[])["containers"]}
        given = {"replicaTimeout": 20, **configuration, "registries": self._registries()}
        made = self.harness.make(JOB, name, **self._common(self.environment), jobName=name, configuration=given, template=template)
        self.made.append(made)
        return made

    def guard(self, app: Resource, **given: Any) -> Resource:
        """Easy Auth in front of an app, for tokens of Azure's management for one identity."""
        entra = {
            "registration": {"clientId": self.who["clientId"], "openIdIssuer": f"https://sts.windows.net/{self.who['tenantId']}/"},
            "validation": {
                "allowedAudiences": ["https://management.azure.com/"],
                "defaultAuthorizationPolicy": {"allowedPrincipals": {"identities": [self.who["principalId"]]}},
            },
            **given.pop("entra", {}),
        }
        validation = {"unauthenticatedClientAction": "Return401", "excludedPaths": ["/health/ready"], **given.pop("validation", {})}
        return self.harness.make(
            APP_AUTH,
            f"{app['name']}-guard",
            **IN_GROUP,
            containerAppName=app["name"],
            authConfigName="current",
            platform={"enabled": True, **given.pop("platform", {})},
            globalValidation=validation,
            identityProviders={"azureActiveDirectory": entra},
        )

    def ask(self, app: Resource, path: str = "/predict", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return self.client.post(url(app) + path, json=body, headers=headers)

    def processes(self, app: Resource) -> list[int]:
        return [one.pid for one in self.harness.twin.processes.running() if one.name == f"replica {app['name']}"]

    def forward(self, seconds: float) -> list[str]:
        """What a fast-forward reports."""
        twin = self.harness.twin
        return [one.said for one in self.harness.wait(twin.timers.forward(twin.clock.now() + seconds))]

    def clear(self) -> None:
        for one in self.made:
            if self.harness.twin.world.get(one.token, one.id):
                self.harness.remove(one)
            assert self.processes(one) == []
        self.made.clear()

    def _common(self, environment: Resource) -> dict[str, Any]:
        identity = {"type": "UserAssigned", "userAssignedIdentities": [self.who.id]}
        return {**IN_GROUP, "environmentId": environment.id, "workloadProfileName": "Consumption", "identity": identity}

    def _registries(self) -> list[dict[str, str]]:
        return [{"server": self.registry["loginServer"], "identity": self.who.id}]

    def _pushed(self) -> str:
        server = self.registry["loginServer"]
        password = registry.refresh_token(self.harness.twin, self.registry, PRINCIPAL)
        image = self.harness.make(
            "docker-build:index:Image",
            "server",
            push=False,
            exports=[{"registry": {"ociMediaTypes": True}}],
            context={"location": str(IMAGE)},
            dockerfile={"location": str(IMAGE / "Dockerfile")},
            target="cpu",
            tags=[f"{server}/server:one"],
            registries=[{"address": server, "username": registry.USER, "password": password}],
        )
        return f"{server}/server@{image['digest']}"


def url(app: Resource) -> str:
    return f"https://{app['configuration']['ingress']['fqdn']}"
