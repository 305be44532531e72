"""Events that come twice and late, by a seed."""

from typing import Any

import pytest

from pilotlight.twin.faults import Faults


def test_without_a_fault_an_event_comes_once_and_at_once() -> None:
    assert Faults().event_delays() == [None]


def test_one_seed_gives_one_storm() -> None:
    draws = []
    for seed in (1, 1, 2):
        faults = Faults()
        faults.set({"events": {"duplicates": 0.2, "delay_s": 3, "seed": seed}})
        draws.append([faults.event_delays() for _ in range(500)])
    assert draws[0] == draws[1] != draws[2]
    twice = sum(len(delays) == 2 for delays in draws[0])
    assert 70 < twice < 130
    assert all(0 <= (delay or 0) <= 3 for delays in draws[0] for delay in delays)


def test_the_fault_can_be_seen_and_turned_off() -> None:
    faults = Faults()
    faults.set({"events": {"duplicates": 1}})
    assert faults.state()["events"] == {"duplicates": 1}
    assert faults.event_delays() == [0, 0]
    faults.set({"events": None})
    assert faults.event_delays() == [None]


@pytest.mark.parametrize("wrong", [{"duplicates": 2}, {"delay_s": -1}, {"delay_s": 301}, {"seed": "x"}, {"odd": 1}, ["x"]])
def test_a_storm_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="faults: events"):
        Faults().set({"events": wrong})
