"""The ready stacks that the suite holds to the same promises. A new stack joins by one line."""

from dataclasses import dataclass
from typing import Any

import yaml

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
        """Its `pilotlight:service` as it is committed."""
        text = (ROOT / "stacks" / f"Pulumi.{self.name}.yaml").read_text()
        settings: dict[str, Any] = yaml.safe_load(text)["config"]["pilotlight:service"]
        return settings

    @property
    def pattern(self) -> str:
        return str(self.service["pattern"])

    @property
    def cloud(self) -> str:
        return str(self.service.get("cloud", "aws"))

    @property
    def facts(self) -> PlatformFacts:
        return PLATFORM_FACTS[self.service["endpoint"]["platform"]]


STACKS = (
    ReadyStack(name="aws-sagemaker-api", steady=10),
    ReadyStack(name="aws-lambda-api", steady=10, rolls=True),
    ReadyStack(name="aws-sagemaker-events", steady=5, rolls=True),
    ReadyStack(name="aws-lambda-events", steady=5),
    ReadyStack(name="gcp-cloud-run-api", steady=10, rolls=True),
    ReadyStack(name="gcp-cloud-run-gpu-api", steady=10),
    ReadyStack(name="gcp-cloud-run-events", steady=5),
    ReadyStack(name="gcp-cloud-run-gpu-events", steady=5, rolls=True),
)
