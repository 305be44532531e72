"""Schedule expressions: against dateutil's recurrence rules, on the days the clocks change, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule

from pilotlight.twin.aws.recurrence import is_once, recurrence, utc
from pilotlight.twin.local_times import BadExpression

START = datetime(2026, 1, 30, 12, 34, 56, tzinfo=UTC)
COUNT = 60


def dues(expression: str, count: int = COUNT, start: datetime = START, timezone: str = "UTC", anchor: float = 0.0) -> list[str]:
    following, instant, found = recurrence(expression, timezone, anchor), start.timestamp(), []
    for _ in range(count):
        due = following(instant)
        if due is None:
            break
        found.append(utc(due))
        instant = due
    return found


def ruled(**rule: Any) -> list[str]:
    rule = {"bysecond": 0, **rule}
    moments = rrule.rrule(rrule.MINUTELY if "freq" not in rule else rule.pop("freq"), dtstart=START, **rule)
    return [utc(moment.timestamp()) for moment, _ in zip(moments, range(COUNT), strict=False)]


WORKDAYS = (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR)
AT_8 = {"freq": rrule.DAILY, "byhour": 8, "byminute": 0}


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("cron(* * * * ? *)", {}),
        ("cron(0/15 * ? * * *)", {"freq": rrule.HOURLY, "byminute": (0, 15, 30, 45)}),
        ("cron(*/25 * * * ? *)", {"freq": rrule.HOURLY, "byminute": (0, 25, 50)}),
        ("cron(5-20/5,59 1,23 * * ? *)", {"freq": rrule.DAILY, "byhour": (1, 23), "byminute": (5, 10, 15, 20, 59)}),
        ("cron(0 8 ? * MON-FRI *)", {**AT_8, "byweekday": WORKDAYS}),
        ("cron(0 8 ? * 2-6 *)", {**AT_8, "byweekday": WORKDAYS}),
        ("cron(0 8 ? * sun,7 *)", {**AT_8, "byweekday": (rrule.SU, rrule.SA)}),
        ("cron(0 8 ? * L *)", {**AT_8, "byweekday": rrule.SA}),
        ("cron(0 8 ? * 6L *)", {**AT_8, "freq": rrule.MONTHLY, "byweekday": rrule.FR(-1)}),
        ("cron(0 8 ? * 3#2 *)", {**AT_8, "freq": rrule.MONTHLY, "byweekday": rrule.TU(2)}),
        ("cron(0 8 ? * FRI#5 *)", {**AT_8, "freq": rrule.MONTHLY, "byweekday": rrule.FR(5)}),
        ("cron(0 8 L * ? *)", {**AT_8, "freq": rrule.MONTHLY, "bymonthday": -1}),
        ("cron(0 8 31 * ? *)", {**AT_8, "freq": rrule.MONTHLY, "bymonthday": 31}),
        ("cron(0 8 1,15-17 JAN,MAR/3 ? *)", {**AT_8, "bymonthday": (1, 15, 16, 17), "bymonth": (1, 3, 6, 9, 12)}),
        ("cron(0 8 29 2 ? *)", {**AT_8, "freq": rrule.YEARLY, "bymonth": 2, "bymonthday": 29}),
    ],
)
def test_a_cron_is_due_when_the_rule_says(expression: str, rule: dict[str, Any]) -> None:
    found = dues(expression)
    assert found == ruled(**rule)[: len(found)]
    # The 29th of February comes 42 times before 2200, the last year that a schedule knows.
    assert len(found) == (42 if " 2 ?" in expression else COUNT)


def test_the_nearest_workday_stays_within_its_month() -> None:
    # 2026: 1 February and 1 March are Sundays, 1 August is a Saturday, 31 May a Sunday; 15 August a Saturday.
    first = dues("cron(0 0 1W * ? 2026)", start=datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert [text[:10] for text in first][:7] == [
        "2026-02-02",
        "2026-03-02",
        "2026-04-01",
        "2026-05-01",
        "2026-06-01",
        "2026-07-01",
        "2026-08-03",
    ]
    assert [text[:10] for text in dues("cron(0 0 31W 5 ? 2026)")] == ["2026-05-29"]
    assert [text[:10] for text in dues("cron(0 0 15W 8 ? 2026)")] == ["2026-08-14"]


def test_a_year_ends_a_schedule() -> None:
    assert dues("cron(0 0 1 1 ? 2027)") == ["2027-01-01T00:00:00Z"]
    assert dues("cron(0 0 1 1 ? 2020)") == []


def test_a_local_time_that_the_clocks_skip_is_passed_over() -> None:
    # 2026-03-29 in Berlin: 02:00 becomes 03:00.
    start = datetime(2026, 3, 27, 12, tzinfo=UTC)
    assert dues("cron(30 2 * * ? *)", 3, start, "Europe/Berlin") == ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
    assert dues("cron(0 8 * * ? *)", 3, start, "Europe/Berlin") == ["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z", "2026-03-30T06:00:00Z"]
    night = datetime(2026, 3, 29, 0, 40, tzinfo=UTC)
    assert dues("cron(0/15 * * * ? *)", 3, night, "Europe/Berlin") == [
        "2026-03-29T00:45:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:15:00Z",
    ]


def test_a_local_time_that_comes_twice_counts_once() -> None:
    # 2026-10-25 in Berlin: 03:00 becomes 02:00, so 02:30 comes at 00:30 and at 01:30 UTC.
    start = datetime(2026, 10, 23, 12, tzinfo=UTC)
    assert dues("cron(30 2 * * ? *)", 3, start, "Europe/Berlin") == ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert dues("cron(0/30 * * * ? *)", 2, second, "Europe/Berlin") == ["2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"]


def test_a_rate_counts_seconds_from_its_anchor() -> None:
    anchor = datetime(2026, 3, 28, 7, 0, 5, tzinfo=UTC).timestamp()
    before = datetime(2026, 3, 28, 7, tzinfo=UTC)
    assert dues("rate(1 day)", 3, before, "Europe/Berlin", anchor) == [
        "2026-03-28T07:00:05Z",
        "2026-03-29T07:00:05Z",
        "2026-03-30T07:00:05Z",
    ]
    assert dues("rate(90 minutes)", 2, datetime(2026, 3, 28, 9, tzinfo=UTC), "UTC", anchor)[0] == "2026-03-28T10:00:05Z"


def test_an_at_is_due_once_in_its_time_zone() -> None:
    assert dues("at(2026-07-01T08:00:00)", timezone="Europe/Berlin") == ["2026-07-01T06:00:00Z"]
    assert dues("at(2026-01-01T08:00:00)") == []
    assert is_once(" at(2026-01-01T08:00:00)")
    assert not is_once("rate(1 day)")


def test_due_times_of_a_cron_match_a_calendar_of_local_minutes_over_both_changes() -> None:
    zone = ZoneInfo("America/New_York")
    start = datetime(2026, 3, 1, tzinfo=zone)
    found = dues("cron(30 1,2 ? * SUN *)", 79, start, "America/New_York")
    local = [datetime.fromisoformat(text).astimezone(zone) for text in found]
    assert all((moment.hour, moment.minute, moment.weekday()) in ((1, 30, 6), (2, 30, 6)) for moment in local)
    days = [moment.date() for moment in local]
    assert [days.count(day) for day in sorted(set(days))].count(1) == 1  # 8 March has no 02:30
    assert days.count(datetime(2026, 11, 1).date()) == 2  # the second 01:30 of that day is left out


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("every day", "use at"),
        ("rate(5 seconds)", "unit"),
        ("rate(0 minutes)", "1 or more"),
        ("rate(minutes)", "1 or more"),
        ("cron(0 8 * * *)", "5 fields"),
        ("cron(0 8 * * * *)", "exactly one"),
        ("cron(0 8 ? * ? *)", "exactly one"),
        ("cron(60 8 * * ? *)", "0 to 59"),
        ("cron(0 24 * * ? *)", "0 to 23"),
        ("cron(0 8 32 * ? *)", "1 to 31"),
        ("cron(0 8 * 13 ? *)", "1 to 12"),
        ("cron(0 8 ? * FUN *)", "SUN"),
        ("cron(0 8 ? * FRI-MON *)", "rises"),
        ("cron(0 8 ? * 2#6 *)", "1 to 5"),
        ("cron(0 8 ? * 0 *)", "1 to 7"),
        ("cron(0/0 8 * * ? *)", "step"),
        ("cron(0 8 * * ? 1969)", "1970"),
        ("at(2026-01-01 08:00)", "yyyy"),
        ("at(2026-01-01T08:00:00Z)", "without an offset"),
    ],
)
def test_what_aws_does_not_take_is_refused_with_what_it_takes(expression: str, said: str) -> None:
    with pytest.raises(BadExpression, match=said):
        recurrence(expression)


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(BadExpression, match="Europe/Berlin"):
        recurrence("rate(1 day)", "Europe/Muenchen")
