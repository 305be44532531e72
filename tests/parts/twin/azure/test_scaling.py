"""How many replicas an app is to have, decided on given readings."""

from __future__ import annotations

import pytest

from pilotlight.twin.azure.scaling import Reading, Scale, Scaler

IDLE: list[Reading] = []


def scaler(**scale: float) -> Scaler:
    return Scaler(Scale.of({"scale": scale}), 0.0)


def test_what_a_scale_does_not_say_is_as_documented() -> None:
    assert Scale.of({}) == Scale(low=0, high=10, polling_s=30, cooldown_s=300)
    assert Scale.of({"scale": {"minReplicas": 0, "maxReplicas": 3, "pollingInterval": 5, "cooldownPeriod": 0}}) == Scale(
        low=0, high=3, polling_s=5, cooldown_s=0
    )


def test_the_first_replica_comes_alone_then_steps_of_four_and_of_twice_as_many() -> None:
    scaling, busy = scaler(maxReplicas=30), [Reading(value=290, target=10)]
    counts = [0]
    for tick in range(1, 6):
        counts.append(scaling.decide(15.0 * tick, counts[-1], busy))
    assert counts == [0, 1, 4, 8, 16, 29]


def test_no_more_than_the_maximum_and_no_fewer_than_the_minimum() -> None:
    scaling = scaler(minReplicas=2, maxReplicas=5)
    assert scaling.decide(1, 4, [Reading(value=1_000, target=10)]) == 5
    assert scaling.decide(2_000, 0, IDLE) == 2
    assert scaling.decide(2_000, 0, [Reading(value=1, target=10)]) == 2


def test_a_replica_for_every_target_that_is_begun() -> None:
    assert [scaler().decide(1, 2, [Reading(value=value, target=5)]) for value in (10, 11, 15, 15.5)] == [2, 3, 3, 4]


def test_the_rule_that_asks_for_most_decides() -> None:
    assert scaler().decide(1, 2, [Reading(value=1, target=10), Reading(value=3), Reading(value=0)]) == 3


def test_fewer_replicas_only_when_the_smaller_number_held_for_five_minutes() -> None:
    scaling = scaler(minReplicas=1)
    assert scaling.decide(0, 3, [Reading(value=4)]) == 4
    assert scaling.decide(150, 4, [Reading(value=2)]) == 4
    assert scaling.decide(299, 4, [Reading(value=1)]) == 4
    assert scaling.lower_at() == 300
    assert scaling.decide(301, 4, [Reading(value=1)]) == 2
    assert scaling.decide(460, 2, IDLE) == 1


def test_the_last_goes_when_nothing_was_active_for_the_cooldown() -> None:
    scaling = scaler(cooldownPeriod=60)
    assert scaling.decide(30, 1, [Reading(value=1)]) == 1
    assert scaling.zero_at() == 90
    assert scaling.decide(89, 1, IDLE) == 1
    assert scaling.decide(90, 1, IDLE) == 0


def test_all_go_at_once_when_the_cooldown_is_over() -> None:
    scaling = scaler()
    assert scaling.decide(10, 4, [Reading(value=5)]) == 5
    assert scaling.decide(200, 5, IDLE) == 5
    assert scaling.decide(310, 5, IDLE) == 0


def test_a_new_revision_has_the_cooldown_before_its_first_replica_goes() -> None:
    scaling = scaler()
    assert scaling.decide(299, 1, IDLE) == 1
    assert scaling.decide(300, 1, IDLE) == 0


def test_nothing_comes_from_zero_without_a_rule_that_is_active() -> None:
    scaling = scaler()
    assert scaling.decide(1_000, 0, IDLE) == 0
    assert scaling.decide(1_001, 0, [Reading(value=0)]) == 0


@pytest.mark.parametrize("low", [0, 1])
def test_a_cron_rule_asks_for_its_number_whatever_else_there_is(low: int) -> None:
    scaling = scaler(minReplicas=low, maxReplicas=6)
    assert scaling.decide(1, 1, [Reading(value=3), Reading(value=0, target=10)]) == 3
