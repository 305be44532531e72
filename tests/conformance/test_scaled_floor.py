"""A scheduled floor above one that is always there: on SageMaker Serverless application auto scaling moves it, as it does a function's.

Days go by here, so that all of it is in the large run. What a plan without a floor outside its windows promises: `test_warming.py`.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.conformance.stacks import STACKS
from tests.conformance.warmed import SOON, WINDOW, Warmed, brought_up, local_now, next_monday
from tests.support.deployment import Deployment
from tests.support.size import only_all

pytestmark = only_all
# One stack of each platform: there the floor is the platform's.
READY = [ready for ready in reversed(STACKS) if ready.pattern == "api" and ready.has("warming.scheduled")]
APIS = {ready.service["endpoint"]["platform"]: ready.name for ready in READY}
OUTSIDE, INSIDE = 1, 3
PLAN = [{"kind": "provisioned", "instances": OUTSIDE}, {**WINDOW, "instances": INSIDE}]


@pytest.fixture(scope="module", params=APIS.values())
def warmed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Warmed]:
    """Up on a Monday before the window opens."""
    stack = str(request.param)
    yield brought_up(deployment, stack, next_monday(local_now(deployment)), PLAN)
    deployment.report("destroy", stack)


def test_the_floor_is_higher_inside_the_window_and_never_gone(warmed: Warmed) -> None:
    assert (warmed.floor(), warmed.declared()) == (OUTSIDE, OUTSIDE)
    # On AWS a target and its actions, on SageMaker too, where schedules swap configurations only between floors and none; rules on Azure.
    assert bool(warmed.scaled()) is (warmed.ready.cloud != "gcp")
    cold = [warmed.is_cold(fresh=True)]
    for clock, floor in (("08:00", INSIDE), ("10:00", INSIDE), ("11:55", INSIDE), ("12:00", OUTSIDE), ("23:00", OUTSIDE)):
        warmed.goes_to(warmed.at(clock) + (warmed.lowered if clock == "12:00" else SOON))
        assert warmed.floor() == floor, clock
        cold.append(warmed.is_cold(fresh=clock == "08:00"))
    assert not any(cold)


def test_a_change_of_memory_inside_the_window_leaves_its_floor(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("09:00", days=1))
    assert (warmed.floor(), warmed.declared()) == (INSIDE, OUTSIDE)
    for changed_gb in (1, 0):
        warmed.resize(changed_gb)
        warmed.up()
        assert (warmed.floor(), warmed.declared()) == (INSIDE, INSIDE)
        assert not warmed.is_cold(fresh=True)
    warmed.deployment.report("refresh", warmed.stack)
    warmed.up()
    assert (warmed.floor(), warmed.declared()) == (INSIDE, INSIDE)
    warmed.goes_to(warmed.at("12:00", days=1) + warmed.lowered)
    assert (warmed.floor(), warmed.declared()) == (OUTSIDE, INSIDE)


def test_a_change_outside_leaves_the_floor_that_is_always_there(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("14:00", days=1))
    warmed.resize(1)
    warmed.up()
    assert (warmed.floor(), warmed.declared()) == (OUTSIDE, OUTSIDE)
    warmed.goes_to(warmed.at("08:00", days=2) + SOON)
    assert warmed.floor() == INSIDE


@pytest.mark.parametrize(("edge", "days", "after"), [("12:00", 2, OUTSIDE), ("08:00", 3, INSIDE)])
def test_an_up_across_an_edge_is_mended(warmed: Warmed, edge: str, days: int, after: int) -> None:
    moment = warmed.at(edge, days=days)
    warmed.goes_to(moment + (2 * SOON if after == INSIDE else max(2 * SOON, warmed.lowered + SOON)))
    assert warmed.floor() == after
    warmed.resize(2 if after == OUTSIDE else 1)
    before = (moment - timedelta(seconds=5)).isoformat()
    assert warmed.deployment.report("up", warmed.stack, "--local", "--at", before)["result"] == "succeeded"
    assert warmed.declared() != after, "the program wrote the floor of its start"
    warmed.goes_to(moment + timedelta(minutes=20))
    assert warmed.floor() == after
