"""Time that tests move, faults that tests ask for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.clock import Clock, Reading
from pilotlight.twin.clock_file import FILE, clock_of
from pilotlight.twin.faults import Faults
from pilotlight.twin.state import TwinError


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


@pytest.mark.parametrize("speed", [1.0, 60.0, 0.0])
def test_a_clock_that_is_taken_up_again_has_run_on_meanwhile(speed: float) -> None:
    before = Reading(now=5e9, machine=time.time() - 100, speed=speed)
    after = Clock.resumed(before)
    assert 0 <= after.now() - (5e9 + 100 * speed) <= 5 * speed
    assert after.speed == speed
    again = after.reading()
    assert Clock.resumed(again).now() >= again.now


def test_a_machine_whose_clock_was_set_back_takes_no_time_from_the_twins() -> None:
    assert Clock.resumed(Reading(now=5e9, machine=time.time() + 1000, speed=1.0)).now() >= 5e9


def test_a_home_remembers_every_move_of_its_clock(tmp_path: Path) -> None:
    first = clock_of(tmp_path)
    assert not (tmp_path / FILE).exists(), "a clock that was never moved is the machine's"
    first.advance(86400)
    assert abs(clock_of(tmp_path).now() - time.time() - 86400) < 5
    first.run_at(0)
    stopped = first.now()
    assert (clock_of(tmp_path).now(), clock_of(tmp_path).speed) == (stopped, 0)
    second = clock_of(tmp_path)
    second.advance(0.5)
    assert clock_of(tmp_path).now() == stopped + 0.5
    assert len((tmp_path / FILE).read_bytes()) == 128


def test_a_shorter_record_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    clock = clock_of(tmp_path)
    clock.run_at(0.123456789)
    clock.run_at(0)
    assert clock_of(tmp_path).speed == 0


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"now": "x", "machine": 1, "speed": 1}', '{"now": 1}'])
def test_a_damaged_record_of_the_clock_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(TwinError, match=r"clock\.json is damaged .* Delete the file"):
        clock_of(tmp_path)


@pytest.mark.parametrize("wrong", [-1, float("inf"), float("nan")])
def test_a_move_that_makes_no_sense_is_refused(wrong: float) -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="clock"):
        clock.advance(wrong)
    with pytest.raises(ValueError, match="clock"):
        clock.run_at(wrong)


OFF = {"create_delay": None, "fail_creates": {}, "outages": [], "executions": None, "events": None, "account": None}


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
    assert faults.state() == {
        "create_delay": {"min": 0.0, "max": 3.0, "seed": 0},
        "fail_creates": {"t": 1},
        "outages": ["s3"],
        "executions": None,
        "events": None,
        "account": None,
    }
    faults.set({"outages": None})
    assert not faults.is_out("s3")
    faults.clear()
    assert faults.state() == OFF


def test_about_the_asked_share_of_executions_goes_wrong_in_the_order_of_the_seed() -> None:
    faults = Faults()

    def drawn(seed: int) -> list[str | None]:
        faults.set({"executions": {"sagemaker": {"error": 0.2, "timeout": 0.1}, "seed": seed}})
        draws = [faults.execution("sagemaker") for _ in range(1000)]
        assert all(draw is None or 0 <= draw[1] < 1 for draw in draws)
        return [None if draw is None else draw[0] for draw in draws]

    first = drawn(1)
    assert 150 < first.count("error") < 250
    assert 60 < first.count("timeout") < 140
    assert drawn(1) == first
    assert drawn(2) != first
    assert faults.execution("lambda") is None
    faults.clear()
    assert faults.execution("sagemaker") is None


def test_no_more_executions_go_wrong_than_were_asked_for() -> None:
    faults = Faults()
    faults.set({"executions": {"sagemaker": {"timeout": 1}, "times": 2}})
    assert faults.execution("lambda") is None
    assert [faults.execution("sagemaker") is not None for _ in range(4)] == [True, True, False, False]
    assert faults.state()["executions"] == {"sagemaker": {"timeout": 1}, "times": 0}


def test_what_a_fault_has_met_is_counted_until_all_are_cleared() -> None:
    faults = Faults()
    assert not faults.is_out("s3")
    assert faults.met() == {}
    faults.set({"outages": ["s3"], "events": {"duplicates": 1}, "executions": {"run:events": {"kill": 1}, "lambda": {"kill": 0}}})
    assert [faults.is_out(name) for name in ("s3", "sqs", "s3")] == [True, False, True]
    assert len(faults.event_delays()) == 2
    assert [faults.execution(*one) is not None for one in (("run", "events"), ("run", "endpoint"), ("lambda", ""))] == [True, False, False]
    faults.set({"outages": None, "events": None, "executions": None})
    assert not faults.is_out("s3")
    assert faults.met() == {"outages.s3": 2, "events.duplicates": 1, "executions.run:events.kill": 1}
    faults.clear()
    assert faults.met() == {}


def test_one_service_of_cloud_run_is_meant_by_its_name() -> None:
    faults = Faults()
    faults.set({"executions": {"run:events": {"kill": 1}, "run:endpoint": {"error": 1}}})
    found = [faults.execution("run", name) for name in ("events", "endpoint", "events-2", "")]
    assert [wrong and wrong[0] for wrong in found] == ["kill", "error", None, None]
    assert faults.execution("lambda", "events") is None
    faults.set({"executions": {"run": {"timeout": 1}}})
    assert [wrong and wrong[0] for wrong in (faults.execution("run", "any"), faults.execution("run"))] == ["timeout", "timeout"]


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
        {"outages": ["s3", "s4"]},
        {"executions": {"lambda": 0.5}},
        {"executions": {"lambda": {"hang": 0.5}}},
        {"executions": {"sagemaker": {"error": 0.6, "timeout": 0.6}}},
        {"executions": {"sagemaker": {"error": -0.1}}},
        {"executions": {"hold_s": 100_000}},
        {"executions": {"times": -1}},
        {"executions": {"times": "once"}},
        {"executions": {"s3": {"kill": 1}}},
        {"executions": {"run": {"hang": 1}}},
        {"executions": {"run:": {"kill": 1}}},
        {"executions": {"run:events": 1}},
        {"executions": {"lambda:events": {"kill": 1}}},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_and_nothing_is_set(wrong: dict[str, Any]) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match="faults"):
        faults.set({"outages": ["sqs"], **wrong})
    assert faults.state() == OFF


def test_an_account_can_be_another_than_the_usual_one() -> None:
    faults = Faults()
    assert (faults.quota("L-B99A9384"), faults.denies("iam:CreateRole"), faults.listed("confirmed")) == (1000, False, [])
    account = {"quotas": {"L-B99A9384": 10}, "denied": ["iam:CreateRole"], "inactive_tags": ["stack"], "confirmed": ["a@example.com"]}
    faults.set({"account": account})
    assert faults.state()["account"] == account
    assert (faults.quota("L-B99A9384"), faults.denies("iam:CreateRole"), faults.listed("inactive_tags")) == (10, True, ["stack"])
    faults.set({"account": None})
    assert faults.quota("L-B99A9384") == 1000


def test_projects_on_google_cloud_can_be_others_too() -> None:
    faults, l4 = Faults(), "nvidia_l4_gpu_allocation_no_zonal_redundancy"
    assert (faults.said("billing"), faults.said("project"), faults.listed("open_keys"), faults.regional_quotas(l4)) == ("", "", [], {"": 3})
    account = {
        "quotas": {l4: 0, f"{l4}:europe-west1": 9},
        "billing": "closed",
        "project": "DELETE_REQUESTED",
        "open_keys": ["maps"],
    }
    faults.set({"account": account})
    assert faults.state()["account"] == account
    assert (faults.said("billing"), faults.said("project"), faults.listed("open_keys")) == ("closed", "DELETE_REQUESTED", ["maps"])
    assert faults.regional_quotas(l4) == {"": 0, "europe-west1": 9}
    assert faults.regional_quotas("nvidia_l4_gpu_allocation") == {"": 0}
    assert faults.quota("L-B99A9384") == 1000


def test_subscriptions_on_azure_can_be_others_too() -> None:
    faults, t4 = Faults(), "SubscriptionConsumptionT4Gpus"
    assert (faults.said("subscription"), faults.listed("unregistered"), faults.regional_quotas(t4)) == ("", [], {"": 2})
    account = {"quotas": {f"{t4}:westeurope": 0}, "subscription": "Disabled", "unregistered": ["Microsoft.App"], "lacking": ["Consumption"]}
    faults.set({"account": account})
    assert faults.state()["account"] == account
    assert (faults.said("subscription"), faults.listed("lacking")) == ("Disabled", ["Consumption"])
    assert faults.regional_quotas(t4) == {"": 2, "westeurope": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"quota": {}},
        {"quotas": {"L-1": 3}},
        {"quotas": {"L-B99A9384": -1}},
        {"quotas": {"L-B99A9384:us-east-1": 1}},
        {"quotas": {"nvidia_l4_gpu_allocation": True}},
        {"quotas": {"nvidia_l4_gpu_allocation:": 1}},
        {"denied": "iam:*"},
        {"confirmed": [3]},
        {"open_keys": "maps"},
        {"billing": "open"},
        {"project": ["DELETE_REQUESTED"]},
        {"subscription": "Enabled"},
        {"unregistered": "Microsoft.App"},
        {"quotas": {"SubscriptionConsumptionT4Gpus:": 1}},
    ],
)
def test_an_account_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="account"):
        Faults().set({"account": wrong})
