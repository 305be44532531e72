"""Creations delayed in random order: a missing `depends_on` fails here as it would in a real account."""

import pytest

from pilotlight.twin import client
from tests.support.deployment import Deployment, post


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stack_comes_up_whatever_the_order(deployment: Deployment, stack: str, seed: int) -> None:
    running = client.ensure_running(deployment.home)
    client.call(running, "faults", {"create_delay": {"min": 0, "max": 1.5, "seed": seed}})
    report = deployment.up(stack)
    assert report["result"] == "succeeded", report["diagnostics"]
    answer = post(deployment.outputs(stack), {"inputs": "any order"})
    assert answer.status_code == 200, answer.text
    assert deployment.report("destroy", stack)["result"] == "succeeded"
