"""Schedules of Cloud Scheduler: against dateutil's recurrence rules, on the days the clocks change, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule

from pilotlight.twin.local_times import BadExpression
from pilotlight.twin.unix_cron import UnixCron

START = datetime(2026, 1, 30, 12, 34, 56, tzinfo=UTC)
COUNT = 40


def dues(expression: str, zone: str = "UTC", start: datetime = START, count: int = COUNT) -> list[datetime]:
    cron, instant, found = UnixCron.of(expression, ZoneInfo(zone)), start.timestamp(), []
    for _ in range(count):
        due = cron.next_after(instant)
        if due is None:
            break
        found.append(datetime.fromtimestamp(due, ZoneInfo(zone)))
        instant = due
    return found


WORKDAYS = (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR)
AT_8 = {"freq": rrule.DAILY, "byhour": 8, "byminute": 0}


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("* * * * *", {"freq": rrule.MINUTELY}),
        ("*/25 * * * *", {"freq": rrule.HOURLY, "byminute": (0, 25, 50)}),
        ("5-20/5,59 1,23 * * *", {"freq": rrule.DAILY, "byhour": (1, 23), "byminute": (5, 10, 15, 20, 59)}),
        ("0 8 * * mon-fri", {**AT_8, "byweekday": WORKDAYS}),
        ("0 8 * * 1-5", {**AT_8, "byweekday": WORKDAYS}),
        ("0 8 * * 0", {**AT_8, "byweekday": rrule.SU}),
        ("0 8 * * 7", {**AT_8, "byweekday": rrule.SU}),
        ("0 8 * * 5-7", {**AT_8, "byweekday": (rrule.FR, rrule.SA, rrule.SU)}),
        ("0 8 31 * *", {**AT_8, "bymonthday": 31}),
        ("0 8 1,15-17 JAN,mar *", {**AT_8, "bymonthday": (1, 15, 16, 17), "bymonth": (1, 3)}),
        ("0 8 29 2 *", {**AT_8, "bymonth": 2, "bymonthday": 29}),
    ],
)
def test_a_job_is_due_when_the_rule_says(expression: str, rule: dict[str, Any]) -> None:
    wanted = rrule.rrule(dtstart=START, bysecond=0, count=COUNT, **rule)
    assert dues(expression) == list(wanted)


def test_a_day_matches_by_its_number_or_its_weekday_where_both_are_given() -> None:
    found = dues("0 8 1 * sat", count=8)
    assert all(one.day == 1 or one.weekday() == 5 for one in found)
    assert [one.day for one in found] == [31, 1, 7, 14, 21, 28, 1, 7]


def test_on_the_days_when_the_clocks_change() -> None:
    spring, autumn = datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert [one.isoformat() for one in dues("30 2 * * *", "Europe/Berlin", spring, 2)] == [
        "2026-03-30T02:30:00+02:00",
        "2026-03-31T02:30:00+02:00",
    ], "half past two is skipped that night"
    assert [one.isoformat() for one in dues("30 2 * * *", "Europe/Berlin", autumn, 2)] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ], "it comes twice, and counts once"
    assert [one.astimezone(UTC).hour for one in dues("0 8 * * *", "Europe/Berlin", spring, 1)] == [6], "the wall clock's eight"


def test_a_day_that_never_comes_is_never_due() -> None:
    assert dues("0 8 31 2 *") == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 8 * *", "has 4 fields"),
        ("0 8 * * ? *", "has 6 fields"),
        ("60 * * * *", "'60' is no minute: use 0 to 59"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day"),
        ("* * L * *", "'L' is no day"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * * 8", "'8' is no weekday"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("5-1 * * * *", "'5-1' is no minute"),
        ("1,,2 * * * *", "'' is no minute"),
    ],
)
def test_what_is_no_schedule_is_refused(expression: str, said: str) -> None:
    with pytest.raises(BadExpression) as caught:
        UnixCron.of(expression, ZoneInfo("UTC"))
    assert said in str(caught.value)
