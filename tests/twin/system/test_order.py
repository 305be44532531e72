"""Creations delayed in random order: a missing `depends_on` fails here as it would in a real account."""

import pytest

from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import use_of
from tests.support.deployment import Deployment
from tests.support.size import only_all

SEEDS = (1, 2, 3)
# One stack in one order by default, beside a small program in several (tests/twin/engine); all orders of all stacks in the large run.
USUAL = ("aws-lambda-api", 1)
# Parts that the ready stacks have not.
MORE = {
    "warming": [{"kind": "ping", "everyMinutes": 5}],
    "dashboard": True,
    "alarms": {"email": "ops@example.com"},
    "budget": {"monthlyUsd": 50, "onExceeded": "drop-warming"},
}
RUNS = [
    pytest.param(ready, seed, id=f"{ready.name}-{seed}", marks=[] if (ready.name, seed) == USUAL else only_all)
    for ready in STACKS
    for seed in SEEDS
]


@pytest.mark.parametrize(("ready", "seed"), RUNS)
def test_a_stack_comes_up_whatever_the_order(deployment: Deployment, ready: ReadyStack, seed: int) -> None:
    deployment.twin("faults", {"create_delay": {"min": 0, "max": 1.5, "seed": seed}})
    report = deployment.up(ready.name)
    assert report["result"] == "succeeded", report["diagnostics"]
    assert use_of(ready.pattern, deployment, deployment.outputs(ready.name)).answer("any order")
    # Another endpoint's configuration or revision, a new version, and parts that were not there.
    deployment.configure(ready.name, {**ready.resized(1), **MORE})
    report = deployment.up(ready.name)
    assert report["result"] == "succeeded", report["diagnostics"]
    assert use_of(ready.pattern, deployment, deployment.outputs(ready.name)).answer("any order of an update")
    again = deployment.report("up", ready.name, "--local", "--refresh")["changes"]
    assert {operation for operation, count in again.items() if count} == {"unchanged"}
    assert deployment.report("destroy", ready.name)["result"] == "succeeded"
