"""The promise of warming: at every moment the live floor is what the plan says, whatever else an `up` changes.

One platform and one edge by default, since days go by here, and only where a schedule sets the floor: rules that are in force by
themselves have their windows in test_bounds.py too. Everything with PILOTLIGHT_ALL=1.
"""

from collections.abc import Iterator
from datetime import UTC, timedelta

import pytest

from tests.conformance.stacks import STACKS
from tests.conformance.warmed import CLOUDS, SOON, WINDOW, GoogleWarmed, Warmed, brought_up, local_now, monday_before_the_clocks_change
from tests.support.deployment import Deployment
from tests.support.size import ALL, only_all

# The first platform of each of those clouds.
APIS = [ready for ready in STACKS if ready.pattern == "api" and ready.has("warming.scheduled")]
FIRSTS = [next(ready for ready in APIS if ready.cloud == cloud) for cloud in CLOUDS if CLOUDS[cloud].drifts]
# By when an `up` that ran across an edge has been mended at the latest: the assertion a quarter of an hour after the edge.
MENDED = timedelta(minutes=20)


@pytest.fixture(scope="module", params=[pytest.param(ready.name, marks=() if ready in FIRSTS else only_all) for ready in APIS])
def warmed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Warmed]:
    """Up on a Monday before the window opens; on the Sunday after it the clocks change."""
    stack = str(request.param)
    yield brought_up(deployment, stack, monday_before_the_clocks_change(local_now(deployment)), [WINDOW])
    deployment.report("destroy", stack)


def test_the_floor_is_up_inside_the_window_and_down_outside(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("07:50"))
    assert warmed.floor() == 0
    assert warmed.is_cold(), "outside a window a call waits for the model, and its answer says so"
    warmed.goes_to(warmed.at("08:00") + SOON)
    assert warmed.floor() == 1
    assert warmed.declared() == 0, "what the program declared before eight"
    cold = [warmed.is_cold(fresh=True)]
    for later in ("10:00", "11:55"):
        warmed.goes_to(warmed.at(later))
        assert warmed.floor() == 1
        cold.append(warmed.is_cold())
    # As a workflow asks every night, and the state says 0 still.
    assert warmed.deployment.report("preview", warmed.stack, "--local", "--refresh", "--expect-no-changes")["result"] == "succeeded"
    assert cold == [False, False, False], "no cold start inside the window"
    warmed.goes_to(warmed.at("12:00") + warmed.lowered)
    assert warmed.floor() == 0


@pytest.mark.parametrize(
    ("change", "edge", "days", "after", "options"),
    [
        ("image", "12:00", 0, 0, ()),
        pytest.param("memory", "08:00", 1, 1, (), marks=only_all),
        pytest.param("memory", "12:00", 1, 0, ("--refresh",), marks=only_all),
        pytest.param("image", "08:00", 2, 1, ("--refresh",), marks=only_all),
    ],
)
def test_an_up_across_an_edge_leaves_the_floor_of_its_end(
    warmed: Warmed, change: str, edge: str, days: int, after: int, options: tuple[str, ...]
) -> None:
    # The program sees the moment before the edge; the engine writes after the schedule did.
    moment = warmed.at(edge, days=days)
    warmed.goes_to(moment + (2 * SOON if after else max(2 * SOON, warmed.lowered + SOON)))
    assert warmed.floor() == after
    if change == "image":
        warmed.rebuild()
    else:
        warmed.resize(2 if after == 0 else 1)
    before = (moment - timedelta(seconds=5)).isoformat()
    report = warmed.deployment.report("up", warmed.stack, "--local", "--at", before, *options)
    assert report["result"] == "succeeded"
    images = [each for each in report["resources"] if each["type"].startswith("docker-build:")]
    built = [each["type"] for each in images if each["operation"] not in ("same", "refresh")]
    assert bool(built) is (change == "image")
    assert warmed.declared() != after, "the program saw the floor of its start"
    if warmed.drifts:
        assert warmed.floor() == warmed.declared(), "and wrote it"
    warmed.goes_to(moment + MENDED)
    assert warmed.floor() == after
    assert not (after and warmed.is_cold(fresh=True))


def test_an_up_inside_a_window_leaves_the_floor_and_another_image(warmed: Warmed) -> None:
    if not (ALL or isinstance(warmed, GoogleWarmed)):
        pytest.skip("PILOTLIGHT_ALL=1 tries it on every stack; by default where the floor is the endpoint's own")
    warmed.goes_to(warmed.at("09:00", days=2))
    assert warmed.floor() == 1
    warmed.rebuild()
    warmed.up()
    assert (warmed.floor(), warmed.declared()) == (1, 1)
    assert not warmed.is_cold(fresh=True)


@only_all
def test_an_up_inside_a_window_leaves_the_floor_whatever_else_it_changes(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("10:00", days=2))
    warmed.resize(0)
    warmed.up()
    assert (warmed.floor(), warmed.declared()) == (1, 1)
    assert not warmed.is_cold(fresh=True)
    warmed.deployment.report("refresh", warmed.stack)
    warmed.up()
    assert warmed.floor() == 1


@only_all
def test_an_up_outside_after_one_inside_leaves_no_floor(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("14:00", days=2))
    assert warmed.floor() == 0
    quiet = warmed.deployment.report("preview", warmed.stack, "--local", "--refresh", "--expect-no-changes")
    assert quiet["result"] == "succeeded", "the state has the floor of the window still"
    warmed.resize(1)
    warmed.up()
    assert (warmed.floor(), warmed.declared()) == (0, 0)
    warmed.goes_to(warmed.at("08:00", days=3) + SOON)
    assert warmed.floor() == 1


@only_all
def test_a_window_in_which_the_clocks_change_opens_and_closes_by_the_local_clock(warmed: Warmed) -> None:
    """The night to Sunday, an hour shorter or longer than others."""
    night = {**WINDOW, "cron": "0 23 * * SAT", "until": "0 6 * * SUN"}
    opens, closes = warmed.at("23:00", days=5), warmed.at("06:00", days=6)
    assert closes.astimezone(UTC) - opens.astimezone(UTC) != timedelta(hours=7)
    warmed.goes_to(warmed.at("12:00", days=5))
    warmed.deployment.configure(warmed.stack, {"warming": [WINDOW, night]})
    warmed.up()
    for moment, floor in (
        (opens - SOON, 0),
        (opens + SOON, 1),
        (warmed.at("01:55", days=6), 1),
        (warmed.at("03:05", days=6), 1),
        (closes - SOON, 1),
        (closes + warmed.lowered, 0),
    ):
        warmed.goes_to(moment)
        assert warmed.floor() == floor, moment


@only_all
def test_the_window_opens_and_closes_by_the_local_clock_after_the_clocks_have_changed(warmed: Warmed) -> None:
    monday = warmed.at("08:00", days=7)
    assert monday.utcoffset() != warmed.day.utcoffset()
    for moment, floor in ((monday - SOON, 0), (monday + SOON, 1), (warmed.at("12:00", days=7) + warmed.lowered, 0)):
        warmed.goes_to(moment)
        assert warmed.floor() == floor, moment
