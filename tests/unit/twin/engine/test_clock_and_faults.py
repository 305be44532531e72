"""Time that tests move, faults that tests ask for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pilotlight.twin.clock import Clock
from pilotlight.twin.faults import Faults


def test_the_clock_is_the_machines_until_it_is_moved() -> None:
    clock = Clock()
    assert abs(clock.now() - time.time()) < 1
    before = clock.now()
    assert clock.advance(3600) >= before + 3600
    assert clock.datetime().timestamp() >= before + 3600


def test_time_can_stop_and_run_faster() -> None:
    clock = Clock()
    clock.run_at(0)
    stopped = clock.now()
    time.sleep(0.02)
    assert clock.now() == stopped
    clock.run_at(1000)
    time.sleep(0.02)
    assert clock.now() >= stopped + 10
    assert clock.speed == 1000


def test_time_never_runs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() >= before


@pytest.mark.parametrize("wrong", [-1, float("inf"), float("nan")])
def test_a_move_that_makes_no_sense_is_refused(wrong: float) -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="clock"):
        clock.advance(wrong)
    with pytest.raises(ValueError, match="clock"):
        clock.run_at(wrong)


def test_faults_are_off_by_default() -> None:
    faults = Faults()
    assert faults.create_delay("urn") == 0
    assert not faults.take_failure("t")
    assert not faults.is_out("s3")


def test_a_delay_depends_on_the_urn_and_the_seed_alone() -> None:
    faults = Faults()
    faults.set({"create_delay": {"min": 1, "max": 2, "seed": 5}})
    first = [faults.create_delay(urn) for urn in "abc"]
    assert all(1 <= delay <= 2 for delay in first)
    assert [faults.create_delay(urn) for urn in "abc"] == first
    faults.set({"create_delay": {"min": 1, "max": 2, "seed": 6}})
    assert [faults.create_delay(urn) for urn in "abc"] != first


def test_as_many_creations_fail_as_were_asked_for() -> None:
    faults = Faults()
    faults.set({"fail_creates": {"t": 2}})
    assert [faults.take_failure("t") for _ in range(3)] == [True, True, False]
    assert not faults.take_failure("other")


def test_one_fault_is_set_without_the_others_and_all_are_cleared() -> None:
    faults = Faults()
    faults.set({"outages": ["s3"], "fail_creates": {"t": 1}})
    faults.set({"create_delay": {"max": 3}})
    assert faults.state() == {"create_delay": {"min": 0.0, "max": 3.0, "seed": 0}, "fail_creates": {"t": 1}, "outages": ["s3"]}
    faults.set({"outages": None})
    assert not faults.is_out("s3")
    faults.clear()
    assert faults.state() == {"create_delay": None, "fail_creates": {}, "outages": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay": 1},
        {"create_delay": 3},
        {"create_delay": {"min": 1}},
        {"create_delay": {"min": 2, "max": 1}},
        {"create_delay": {"max": 10_000}},
        {"create_delay": {"max": "3"}},
        {"create_delay": {"max": 1, "seed": 0.5}},
        {"fail_creates": {"t": -1}},
        {"fail_creates": {"t": True}},
        {"fail_creates": ["t"]},
        {"outages": "s3"},
        {"outages": [1]},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_and_nothing_is_set(wrong: dict[str, Any]) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match="faults"):
        faults.set({"outages": ["sqs"], **wrong})
    assert faults.state() == {"create_delay": None, "fail_creates": {}, "outages": []}
