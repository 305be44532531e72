"""What a platform can't honour of a plan: one good plan, and each case breaks one thing."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from components.warming_checks import Facts, ended, problems
from components.warming_plan import Ping, Plan, Provisioned, Rule, Scheduled

NOW = datetime(2027, 1, 27, 12, tzinfo=UTC)
LAMBDA, SAGEMAKER = (Facts(platform=platform, most=5) for platform in ("aws-lambda", "aws-sagemaker"))
OFFICE = Scheduled(cron="0 8 * * MON-FRI", until="0 18 * * MON-FRI", timezone="Europe/Berlin", instances=2, lease_until=date(2027, 1, 27))
PING = Ping(every_minutes=5, parallel=2, cron="0 6 * * *", until="0 8 * * *", timezone="Asia/Tokyo")
ALWAYS = Provisioned(instances=1)


def told(*rules: Rule, facts: Facts = SAGEMAKER) -> list[str]:
    return problems(Plan(rules=rules), facts, NOW)


@pytest.mark.parametrize("facts", [LAMBDA, SAGEMAKER])
def test_a_good_plan_has_no_problem(facts: Facts) -> None:
    night = replace(OFFICE, cron="0 18 * * MON-FRI", until="0 20 * * MON-FRI", instances=4 if facts is LAMBDA else 5)
    assert told(OFFICE, PING, ALWAYS, night, facts=facts) == []
    assert told(facts=facts) == []


@pytest.mark.parametrize("rule", [replace(OFFICE, instances=5), Provisioned(instances=5)])
def test_a_floor_on_lambda_leaves_the_next_version_a_place(rule: Rule) -> None:
    (found,) = told(rule, facts=LAMBDA)
    assert found == (
        "warming.0.instances: 5: use 1 to 4, which is endpoint.maxConcurrency less 1, or raise that: a floor that is all of what is "
        "reserved leaves the next version no place to start in (Lambda developer guide, provisioned concurrency)"
    )
    assert told(rule, facts=replace(LAMBDA, most=6)) == []
    (found,) = told(replace(rule, instances=1), facts=replace(LAMBDA, most=1))
    assert found.startswith("warming.0.instances: 1: raise endpoint.maxConcurrency to 2 or more: a floor that is all")
    assert told(replace(PING, parallel=5), facts=LAMBDA) == []


def test_one_function_sends_so_many_pings_and_no_more() -> None:
    (found,) = told(Ping(every_minutes=5, parallel=96), facts=Facts(platform="aws-lambda", most=None))
    assert found == "warming.0.parallel: 96: use 1 to 95: one function sends them all"


def test_several_pings_at_a_time_are_refused_where_one_instance_answers_them_all() -> None:
    facts = Facts(platform="azure-container-apps", most=5)
    (found,) = told(replace(PING, parallel=2), facts=facts)
    assert found.startswith("warming.0.parallel: 2: use 1: one instance answers them all; a provisioned or scheduled rule keeps several")
    assert told(replace(PING, parallel=1), facts=facts) == []


CONTAINER_APPS = Facts(platform="azure-container-apps", most=5)
NIGHT = Scheduled(cron="0 22 * * *", until="30 2 * * *", timezone="Europe/Berlin")


def test_an_edge_that_clocks_skip_is_refused_where_windows_are_rules_of_a_cron() -> None:
    (found,) = told(NIGHT, facts=CONTAINER_APPS)
    assert found == (
        "warming.0.until: '30 2 * * *': Europe/Berlin skips 02:00 to 03:00 on 2026-03-29, say, and a rule of a cron misses what clocks "
        "skip (KEDA documentation, cron): use a time before 02:00 or from 03:00 on, or timezone UTC"
    )
    both = replace(NIGHT, cron="30 1 * * SUN", until="59 1 * * SUN", timezone="Europe/London")
    assert [text.split(": ")[0] for text in told(both, facts=CONTAINER_APPS)] == ["warming.0.cron", "warming.0.until"]
    assert told(NIGHT, facts=SAGEMAKER) == []


@pytest.mark.parametrize(
    "rule",
    [
        replace(NIGHT, until="0 3 * * *"),
        replace(NIGHT, until="59 1 * * *"),
        replace(NIGHT, timezone="Europe/London"),
        replace(NIGHT, timezone="UTC"),
        replace(NIGHT, cron="0 22 * * MON-THU", until="30 2 * * TUE-FRI"),  # clocks change on Sundays
        replace(NIGHT, lease_until=date(2027, 3, 27)),  # and then at last on the 28th
        replace(PING, parallel=1, cron="30 2 * * *", until="30 4 * * *", timezone="Europe/Berlin"),  # a job, which nothing waits for
    ],
)
def test_an_edge_that_no_clock_change_meets_is_taken(rule: Rule) -> None:
    assert told(rule, facts=CONTAINER_APPS) == []


def test_of_a_lease_the_clock_changes_to_come_count() -> None:
    lease = replace(NIGHT, lease_until=date(2027, 3, 28))
    (found,) = told(lease, facts=CONTAINER_APPS)
    assert "Europe/Berlin skips 02:00 to 03:00 on 2027-03-28" in found
    assert problems(Plan(rules=(lease,)), CONTAINER_APPS, datetime(2027, 3, 28, 1, tzinfo=UTC)) == []


def test_a_ping_needs_no_bound_of_its_own_where_the_pool_is_shared() -> None:
    assert told(Ping(every_minutes=1440, parallel=40), facts=Facts(platform="aws-lambda", most=None)) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cron": "0 8 * *"}, "warming.0.cron: '0 8 * *': use five fields"),
        ({"until": "0 18 * * 1-5"}, "warming.0.until: '0 18 * * 1-5': '1-5' is no day of the week"),
        ({"until": "0 7 * * MON-FRI"}, "warming.0.until: '0 7 * * MON-FRI': is not after cron"),
        ({"until": "0 18 * * FRI"}, "warming.0.until: '0 18 * * FRI': comes 1 times a week"),
        ({"timezone": "Europe/Bonn"}, "warming.0.timezone: 'Europe/Bonn': use UTC or the name of a place in the time zone database"),
        ({"timezone": "localtime"}, "warming.0.timezone: 'localtime': use UTC or the name of a place"),
        ({"timezone": "Factory"}, "warming.0.timezone: 'Factory': use UTC or the name of a place"),
        ({"timezone": "EST5EDT"}, "warming.0.timezone: 'EST5EDT': use UTC or the name of a place"),
        ({"timezone": "GB"}, "warming.0.timezone: 'GB': use UTC or the name of a place"),
        (
            {"instances": 6},
            "warming.0.instances: 6: use 1 to 5, which is endpoint.maxConcurrency, or raise that: no more can be provisioned than",
        ),
        ({"instances": 0}, "warming.0.instances: 0: use 1 to 5"),
    ],
)
def test_each_fault_of_a_window_is_told_with_what_is_allowed(change: dict[str, Any], text: str) -> None:
    found = told(replace(OFFICE, **change))
    assert len(found) == 1
    assert found[0].startswith(text)


def test_the_last_day_of_a_lease_is_over_at_its_local_midnight_and_then_told_of() -> None:
    plan = Plan(rules=(ALWAYS, replace(OFFICE, lease_until=date(2027, 1, 27))))
    midnight = datetime(2027, 1, 27, 23, tzinfo=UTC)
    assert ended(plan, midnight - timedelta(seconds=1)) == []
    assert ended(plan, midnight) == [
        "warming.1.leaseUntil: '2027-01-27': ended at 2027-01-28T00:00:00+01:00, the rule keeps nothing warm any more"
    ]


OVER = replace(OFFICE, lease_until=date(2027, 1, 26))


@pytest.mark.parametrize(
    "others",
    [(OFFICE,), (replace(OFFICE, timezone="America/New_York"),), (Provisioned(instances=2),), (replace(OFFICE, cron="30 8 * * MON-FRI"),)],
)
def test_a_rule_that_is_over_is_no_problem_and_in_nobodys_way(others: tuple[Rule, ...]) -> None:
    assert told(OVER, *others) == told(*others, OVER) == []
    assert told(replace(OVER, lease_until=None), *others) != []


def test_what_is_wrong_with_a_rule_by_itself_is_told_when_it_is_over_too() -> None:
    assert [each.split(":")[0] for each in told(replace(OVER, instances=9, cron="x"))] == ["warming.0.cron", "warming.0.instances"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"every_minutes": 0}, "warming.0.everyMinutes: 0: use 1 to 1440 minutes"),
        ({"every_minutes": 1441}, "warming.0.everyMinutes: 1441: use 1 to 1440 minutes"),
        ({"every_minutes": 7}, "warming.0.everyMinutes: 7: within a window use 1, 2, 3"),
        ({"until": None}, "warming.0.until: missing beside cron"),
        ({"cron": None}, "warming.0.cron: missing beside until"),
        ({"parallel": 6}, "warming.0.parallel: 6: use 1 to 5, which is endpoint.maxConcurrency"),
        ({"parallel": 0}, "warming.0.parallel: 0: use 1 to 5"),
    ],
)
def test_each_fault_of_a_ping_is_told_with_what_is_allowed(change: dict[str, Any], text: str) -> None:
    found = told(replace(PING, **change))
    assert len(found) == 1
    assert found[0].startswith(text)


@pytest.mark.parametrize("rule", [OFFICE, ALWAYS])
def test_a_floor_needs_a_bound_that_it_is_part_of(rule: Rule) -> None:
    (found,) = told(rule, facts=Facts(platform="aws-lambda", most=None))
    assert "endpoint.maxConcurrency is null" in found
    assert "or use a ping rule" in found


def test_two_floors_that_are_always_there_are_one_too_many() -> None:
    (found,) = told(ALWAYS, Provisioned(instances=2))
    assert found.startswith("warming.1.kind: a second provisioned rule beside warming.0: keep one")


@pytest.mark.parametrize("always", [2, 3])
def test_a_window_that_adds_nothing_is_refused(always: int) -> None:
    (found,) = told(OFFICE, Provisioned(instances=always))
    assert found == f"warming.0.instances: 2: {always} are warm always: use {always + 1} or more, or take the rule out"


@pytest.mark.parametrize(
    ("cron", "until"), [("0 17 * * FRI", "0 19 * * FRI"), ("0 7 * * *", "0 19 * * *"), ("0 20 * * SUN", "1 8 * * MON")]
)
def test_windows_that_overlap_are_refused(cron: str, until: str) -> None:
    (found,) = told(OFFICE, replace(OFFICE, cron=cron, until=until))
    assert found.startswith(f"warming.1.cron: {cron!r}: overlaps with warming.0: end one window before or where the other starts")


def test_windows_on_two_clocks_are_refused_with_the_way_to_write_them() -> None:
    (found,) = told(OFFICE, replace(OFFICE, timezone="America/New_York"))
    assert found.startswith("warming.1.timezone: 'America/New_York': warming.0 is in 'Europe/Berlin'")


def test_windows_that_touch_share_their_lease() -> None:
    (found,) = told(OFFICE, replace(OFFICE, cron="0 18 * * MON-FRI", until="0 20 * * MON-FRI", lease_until=None))
    assert found.startswith("warming.1.leaseUntil: touches warming.0, which has another lease")
    assert told(OFFICE, replace(OFFICE, cron="1 18 * * MON-FRI", until="0 20 * * MON-FRI", lease_until=None)) == []


def test_all_problems_come_at_once() -> None:
    assert len(told(replace(OFFICE, cron="x", timezone="y", instances=9), replace(PING, every_minutes=0), ALWAYS, ALWAYS)) == 5
