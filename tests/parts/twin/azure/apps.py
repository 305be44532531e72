"""An environment of Container Apps and what an app needs there, for tests of its rows."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.azure import registry
from pilotlight.twin.azure.types import ENVIRONMENT, REGISTRY
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP, Account
from tests.parts.twin.azure.people import assign, identity

DIGEST = "sha256:" + "1" * 64
PROFILES = [
    {"name": "Consumption", "workloadProfileType": "Consumption"},
    {"name": "gpu", "workloadProfileType": "Consumption-GPU-NC8as-T4"},
]
PROBE = {"type": "Startup", "httpGet": {"port": 8080, "path": "/health/startup"}, "periodSeconds": 1, "failureThreshold": 10}
CONTAINER: dict[str, Any] = {"name": "server", "resources": {"cpu": 0.5, "memory": "1Gi"}, "probes": [PROBE]}
INGRESS = {"external": True, "targetPort": 8080, "transport": "http"}


class Place:
    """A group with an environment, a registry with an image, and an identity that may pull it."""

    def __init__(self, account: Account) -> None:
        account.group()
        self.account = account
        self.who = identity(account, "server")
        self.registry = account.make(REGISTRY, "images", {**IN_GROUP, "registryName": "triedimages", "sku": {"name": "Basic"}})
        self.environment = account.make(ENVIRONMENT, "apps", {**IN_GROUP, "environmentName": "apps", "workloadProfiles": PROFILES})
        registry.PUSHED.push(account.twin, self.registry.id, "server", "one", DIGEST, "application/json")
        account.twin.images = Images()
        self.image = f"{self.registry['loginServer']}/server@{DIGEST}"

    def allow(self) -> Resource:
        return assign(self.account, self.who, "AcrPull", self.registry.id)

    def inputs(self, **more: Any) -> dict[str, Any]:
        """An app's; `container`, `scale` and `ingress` replace a part of it, anything else an input."""
        container, scale, ingress = more.pop("container", {}), more.pop("scale", {}), more.pop("ingress", INGRESS)
        registries = [{"server": self.registry["loginServer"], "identity": self.who.id}]
        given = {
            **IN_GROUP,
            "containerAppName": "server",
            "environmentId": self.environment.id,
            "workloadProfileName": "Consumption",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": [self.who.id]},
            "configuration": {"activeRevisionsMode": "Single", "ingress": ingress, "registries": registries},
            "template": {"containers": [{**CONTAINER, "image": self.image, **container}], "scale": scale},
        }
        return {**given, **more}


class Images:
    """Instead of the images of a twin with processes."""

    def find(self, digest: str) -> None:
        return None
