"""How many requests are under way on average, and the instances that they want."""

import pytest

from pilotlight.twin.gcp.cloud_run_load import WINDOW_S, Load

# Told at these seconds, asked at 100.
CASES = [
    pytest.param([], 0, id="nothing"),
    pytest.param([(0, 3)], 3, id="longer than the minute"),
    pytest.param([(0, 3), (40, 0)], 0, id="until it begins"),
    pytest.param([(70, 2)], 1, id="for its half"),
    pytest.param([(0, 6), (50, 0)], 1, id="for its first sixth"),
    pytest.param([(0, 1), (55, 2), (70, 0), (85, 4)], 15 / 60 + 2 * 15 / 60 + 4 * 15 / 60, id="more and less"),
]


@pytest.mark.parametrize(("told", "average"), CASES)
def test_the_average_is_that_of_the_last_minute(told: list[tuple[float, int]], average: float) -> None:
    clock = [0.0]
    load = Load(lambda: clock[0])
    for at, count in told:
        clock[0] = at
        load.tell(count)
    clock[0] = 100.0
    assert load.average() == pytest.approx(average)


def test_instances_are_as_many_as_the_share_of_each_wants() -> None:
    clock = [0.0]
    load = Load(lambda: clock[0])
    load.tell(3)
    clock[0] = WINDOW_S
    assert [load.wanted(places) for places in (3.0, 2.9, 1.5, 0.5)] == [1, 2, 2, 6]
