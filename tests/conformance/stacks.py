"""The ready stacks that the suite holds to the same promises. A new stack joins by one line."""

import copy
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from components.capabilities import CLOUD_SETTINGS, PLATFORM_SETTINGS, OfCloud, OfPlatform
from components.limits import Choice
from components.platform_facts import PLATFORM_FACTS, PlatformFacts
from tests.support.deployment import ROOT


@dataclass(frozen=True, kw_only=True)
class ReadyStack:
    """`steady` is how many calls or uploads a second an update must not fail, with the sizes of the ready stack. `rolls`: its updates
    under use are part of every run, those of the others (the same parts in the other pattern) of `make test-all`.
    """

    name: str
    steady: float
    rolls: bool = False

    @property
    def service(self) -> dict[str, Any]:
        """Its `pilotlight:service` as it is committed, for whoever asks to change."""
        return copy.deepcopy(_committed(self.name))

    @property
    def pattern(self) -> str:
        return str(self.service["pattern"])

    @property
    def cloud(self) -> str:
        return str(self.service.get("cloud", "aws"))

    @property
    def facts(self) -> PlatformFacts:
        return PLATFORM_FACTS[self.service["endpoint"]["platform"]]

    def resized(self, more: int = 1) -> dict[str, Any]:
        """Settings of an endpoint that has so many GB more than the committed one; takes so many requests more at a time where a GPU comes
        with one size alone."""
        endpoint, instance = self.service["endpoint"], self.facts.instance
        gpu = None if instance is None else instance.gpus.get(endpoint.get("gpu"))
        if gpu is not None and isinstance(gpu.memory_mb, Choice):
            return {"endpoint": {"requestsPerInstance": endpoint.get("requestsPerInstance", gpu.requests) + more}}
        return {"endpoint": {"memoryMb": endpoint["memoryMb"] + 1024 * more}}

    def has(self, setting: str) -> bool:
        """Whether cloud and platform honour a dotted setting, in all its values."""
        where = {self.cloud, self.service["endpoint"]["platform"]}
        rows: Iterable[OfCloud | OfPlatform] = (*CLOUD_SETTINGS, *PLATFORM_SETTINGS)
        return not any(where & {*row.without} for row in rows if (row.setting, row.value) == (setting, None))


@functools.cache
def _committed(name: str) -> dict[str, Any]:
    """Read once: tests are told apart by it, each in every process that collects them."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{name}.yaml").read_text())["config"]["pilotlight:service"]
    return settings


STACKS = (
    ReadyStack(name="aws-sagemaker-api", steady=10),
    ReadyStack(name="aws-lambda-api", steady=10, rolls=True),
    ReadyStack(name="aws-sagemaker-events", steady=5, rolls=True),
    ReadyStack(name="aws-lambda-events", steady=5),
    ReadyStack(name="gcp-cloud-run-api", steady=10, rolls=True),
    ReadyStack(name="gcp-cloud-run-gpu-api", steady=10),
    ReadyStack(name="gcp-cloud-run-events", steady=5),
    ReadyStack(name="gcp-cloud-run-gpu-events", steady=5),
    ReadyStack(name="azure-container-apps-api", steady=10, rolls=True),
    ReadyStack(name="azure-container-apps-gpu-api", steady=10),
    ReadyStack(name="azure-container-apps-events", steady=5),
    ReadyStack(name="azure-container-apps-gpu-events", steady=5),
)
