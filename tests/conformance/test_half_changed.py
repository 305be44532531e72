"""A Lambda model whose reserved concurrency is refused after the rest of a change was written, with plain `pulumi`, which asks no quota
first: callers never get an old version that an `up` calls new."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.stacks import STACKS
from tests.conformance.use import ApiUse
from tests.support.clients import client
from tests.support.deployment import Deployment

READY = next(ready for ready in STACKS if ready.name == "aws-lambda-api")
FUNCTION = "pilotlight-aws-lambda-api-model"
# Concurrent executions of the account: Service Quotas. Of so few, of which 100 stay unreserved, 10 can be reserved and 12 can not.
QUOTA, FEW = "L-B99A9384", 111
UP = ("up", "--yes", "--skip-preview", "-s", READY.name)


@dataclass(frozen=True)
class Half:
    deployment: Deployment

    def aws(self) -> Any:
        return client(self.deployment.variables(), "lambda")

    def live(self) -> tuple[str, int]:
        """The version that callers get, and its memory."""
        found = self.aws().get_function_configuration(FunctionName=FUNCTION, Qualifier="live")
        return found["Version"], found["MemorySize"]

    def reserved(self) -> int | None:
        found = self.aws().get_function(FunctionName=FUNCTION).get("Concurrency", {}).get("ReservedConcurrentExecutions")
        return None if found is None else int(found)

    def change(self, memory_mb: int, reserved: int | None) -> None:
        self.deployment.configure(READY.name, {"endpoint": {"memoryMb": memory_mb, "maxConcurrency": reserved}})

    def refused(self) -> None:
        """An `up` whose reservation the account has no room for."""
        self.deployment.twin("faults", {"account": {"quotas": {QUOTA: FEW}}})
        assert "UnreservedConcurrentExecution" in self.deployment.pulumi(*UP, code=1)

    def answers(self) -> None:
        assert ApiUse(self.deployment.outputs(READY.name)).answer("after it")


@pytest.fixture
def half(deployment: Deployment) -> Iterator[Half]:
    yield Half(deployment)
    deployment.twin("faults", {"account": None})
    deployment.report("destroy", READY.name, "--local")


def test_a_change_that_was_half_written_is_published_or_told(half: Half) -> None:
    assert half.deployment.up(READY.name)["result"] == "succeeded"
    assert half.live() == ("1", 2048)
    half.change(3072, 12)
    half.refused()
    half.answers()
    assert half.live() == ("1", 2048)
    assert half.aws().get_function_configuration(FunctionName=FUNCTION)["MemorySize"] == 3072, "the change is written, for nobody"
    # The setting is mended: what was written before is published with it.
    half.change(3072, 10)
    half.deployment.pulumi(*UP)
    assert (half.live(), half.reserved()) == (("2", 3072), 10)
    # The quota is mended, and the settings stay: nothing is left to write, so nothing would be published.
    half.change(4096, 12)
    half.refused()
    half.answers()
    half.deployment.twin("faults", {"account": None})
    reserved = []
    for again in ((), ("--refresh",)):
        said = half.deployment.pulumi(*UP, *again, code=1)
        reserved.append(half.reserved())
        assert f"where it says this again, run `aws lambda publish-version --function-name {FUNCTION}`" in said
    assert reserved == [10, 12], "to the provider the state has it, until it is refreshed"
    assert half.live() == ("2", 3072)
    half.answers()
    assert half.aws().publish_version(FunctionName=FUNCTION)["Version"] == "3"
    half.deployment.pulumi(*UP, "--refresh")
    assert (half.live(), half.reserved()) == (("3", 4096), 12)
    half.answers()


def test_a_first_up_whose_reservation_is_refused_leaves_a_function_that_a_refresh_reserves_for(half: Half) -> None:
    half.deployment.report("preview", READY.name, "--local")
    half.change(2048, 12)
    half.refused()
    assert half.reserved() is None
    half.deployment.twin("faults", {"account": None})
    # As docs/first-contact.md tells: to the provider all is done.
    half.deployment.pulumi(*UP)
    assert (half.live(), half.reserved()) == (("1", 2048), None)
    half.answers()
    half.deployment.pulumi(*UP, "--refresh")
    assert (half.live(), half.reserved()) == (("1", 2048), 12)
    half.answers()
