"""A gateway of another tier, on a whole stack with tracing: another family's is another service, which answers with everything behind it,
and the old one is gone. Only with PILOTLIGHT_ALL=1."""

from collections.abc import Iterator

import pytest

from tests.conformance.stacks import STACKS
from tests.support.deployment import Deployment, followed, post
from tests.support.size import only_all

[STACK] = [ready.name for ready in STACKS if ready.name == "azure-container-apps-api"]
pytestmark = only_all


@pytest.fixture
def up(deployment: Deployment) -> Iterator[Deployment]:
    deployment.configure(STACK, {"tracing": True})
    assert deployment.up(STACK)["result"] == "succeeded"
    yield deployment
    deployment.run("destroy", STACK, code=None)


def answered(deployment: Deployment) -> str:
    """The gateway's address, once it has answered."""
    outputs = deployment.outputs(STACK)
    answer = followed(outputs, post(outputs, {"inputs": "a tier"}))
    assert answer.status_code == 200, answer.text
    return str(outputs["url"])


def test_another_family_is_another_service_and_another_tier_of_it_the_same(up: Deployment) -> None:
    first = answered(up)
    up.configure(STACK, {"gateway": {"tier": "basic"}})
    assert up.up(STACK)["result"] == "succeeded"
    second = answered(up)
    assert second != first
    up.configure(STACK, {"gateway": {"tier": "standard"}})
    assert up.up(STACK)["result"] == "succeeded"
    assert answered(up) == second
    for auth in ({"dailyQuota": None}, {"dailyQuota": 1000}):
        up.configure(STACK, {"auth": auth})
        assert up.up(STACK)["result"] == "succeeded"
        assert answered(up) == second
    assert up.report("destroy", STACK)["result"] == "succeeded"
