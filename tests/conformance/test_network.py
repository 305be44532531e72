"""A stack that moves into a network of its own, and out of it again, while it is used.

An environment can't move: there is another one each time, with all that runs in it, and the old one goes when nobody calls it any more.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import USES, assert_right, use_of
from tests.support.deployment import Deployment
from tests.support.size import only_all
from tests.support.vectors import TEXTS

ENGLISH = TEXTS["english"]["text"]
ENVIRONMENT = "azure-native:app:ManagedEnvironment"
SUBNET = "azure-native:network:Subnet"
# The use goes on for a while, so that what is new is used too.
AFTERWARDS_S = 6


class Placed:
    """A stack that is up."""

    def __init__(self, deployment: Deployment, ready: ReadyStack) -> None:
        self.deployment, self.ready = deployment, ready

    def changed_under_use(self, network: dict[str, Any] | None) -> None:
        """`up` with that setting while the stack is used at a steady rate: no use fails."""
        self.deployment.configure(self.ready.name, {"network": network})
        with use_of(self.ready.pattern, self.deployment, self.deployment.outputs(self.ready.name)).steadily(self.ready.steady) as done:
            assert self.deployment.up(self.ready.name)["result"] == "succeeded"
            time.sleep(AFTERWARDS_S)
        assert done.failed == [], f"{done}\n{self.deployment.run('logs', self.ready.name, '--tail', '200').stdout}"
        assert done.right >= USES

    def assert_used(self) -> None:
        """A text comes through everything in front to the model, and its answer back."""
        answer = use_of(self.ready.pattern, self.deployment, self.deployment.outputs(self.ready.name)).answer(ENGLISH)
        assert_right(self.ready, "english", answer)

    def assert_unchanged(self) -> None:
        """Another `up` does nothing."""
        changes = self.deployment.up(self.ready.name)["changes"]
        assert set(changes) == {"unchanged"}, changes

    def all(self, type_: str) -> list[dict[str, Any]]:
        """The engine's resources of a type, those that wait for their deletion too."""
        told = json.loads(self.deployment.pulumi("stack", "export", "-s", self.ready.name))
        return [each for each in told["deployment"]["resources"] if each["type"] == type_]

    def subnet(self) -> str | None:
        """The id of the subnet that the only environment is in."""
        [environment] = self.all(ENVIRONMENT)
        placed: dict[str, str] = environment["outputs"].get("vnetConfiguration") or {}
        return placed.get("infrastructureSubnetId")


@pytest.fixture(params=[pytest.param(ready, marks=only_all, id=ready.name) for ready in STACKS if ready.cloud == "azure"])
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Placed]:
    ready: ReadyStack = request.param
    assert deployment.up(ready.name)["result"] == "succeeded"
    yield Placed(deployment, ready)
    deployment.run("destroy", ready.name, code=None)


def test_a_stack_moves_into_a_network_and_out_of_it_without_a_failed_use(up: Placed) -> None:
    up.assert_used()
    assert (up.subnet(), up.all(SUBNET)) == (None, [])
    up.changed_under_use({"addresses": "10.8.0.0/26"})
    [subnet] = up.all(SUBNET)
    assert up.subnet() == subnet["id"]
    assert re.fullmatch(r"/subscriptions/.+/virtualNetworks/pilotlight-.+/subnets/apps", subnet["id"])
    up.assert_used()
    up.assert_unchanged()
    up.changed_under_use(None)
    assert (up.subnet(), up.all(SUBNET)) == (None, [])
    up.assert_used()
    assert up.deployment.report("destroy", up.ready.name)["result"] == "succeeded"
