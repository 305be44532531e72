"""When a schedule is due: the at, rate and cron expressions of EventBridge Scheduler and of application auto scaling.

Sources: EventBridge Scheduler user guide, "Schedule types" (expressions, time zones, daylight saving time), EventBridge user guide,
"Cron expressions reference" (fields and wildcards); application auto scaling takes the same expressions (API reference,
PutScheduledAction).
"""

from __future__ import annotations

import calendar
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pilotlight.twin.local_times import BadExpression, LocalTimes, Recurrence, values, zone_of

_FORM = re.compile(r"(at|rate|cron)\((.*)\)", re.DOTALL)
_UNITS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86400, "days": 86400}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
# AWS counts from Sunday, 1; Python from Monday, 0.
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_FIELDS = ("minutes", "hours", "day-of-month", "month", "day-of-week", "year")


def recurrence(expression: str, timezone: str = "UTC", anchor: float = 0.0) -> Recurrence:
    """When an expression is due. `anchor` is the first due instant of a rate. BadExpression."""
    match = _FORM.fullmatch(expression.strip())
    if match is None:
        raise BadExpression(f"{expression!r}: use at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(minutes hours day month weekday year).")
    zone = zone_of(timezone)
    if match[1] == "at":
        return _at(match[2], zone)
    return _rate(match[2], anchor) if match[1] == "rate" else Cron.of(match[2], zone).next_after


def is_once(expression: str) -> bool:
    """Whether it is an at expression, which is due a single time."""
    return expression.strip().startswith("at(")


def within(expression: str, timezone: str | None, anchor: float, start: str | None, end: str | None) -> Recurrence:
    """When an expression is due from `start` to `end` (ISO 8601; one that is due a single time ignores them).

    `anchor` is the first due instant of a rate without a start, the time zone is UTC without one. BadExpression, ValueError.
    """
    earliest = instant_of(start) if start else None
    following = recurrence(expression, timezone or "UTC", anchor if earliest is None else earliest)
    if is_once(expression):
        return following
    latest = instant_of(end) if end else float("inf")

    def bounded(instant: float) -> float | None:
        due = following(instant if earliest is None else max(instant, earliest - 0.001))
        return due if due is not None and due <= latest else None

    return bounded


def _at(text: str, zone: ZoneInfo) -> Recurrence:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone).timestamp()
    except ValueError:
        raise BadExpression(f"at({text}): use at(yyyy-mm-ddThh:mm:ss), without an offset: the time zone is a field of its own.") from None
    return lambda instant: moment if instant < moment else None


def _rate(text: str, anchor: float) -> Recurrence:
    """In seconds that pass: a day has 24 hours also where the clocks change."""
    value, _, unit = text.strip().partition(" ")
    if not value.isdigit() or int(value) < 1 or unit.strip() not in _UNITS:
        raise BadExpression(f"rate({text}): use a whole number of 1 or more and a unit: {', '.join(_UNITS)}.")
    every = int(value) * _UNITS[unit.strip()]
    return lambda instant: anchor if instant < anchor else anchor + (math.floor((instant - anchor) / every) + 1) * every


@dataclass(frozen=True, kw_only=True)
class Cron(LocalTimes):
    """The six fields, as sets of what matches; `day` and `weekday` are texts, None for the one that is `?`."""

    day: str | None
    weekday: str | None

    @classmethod
    def of(cls, text: str, zone: ZoneInfo) -> Cron:
        """BadExpression names the field that is wrong."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise BadExpression(f"cron({text}): has {len(fields)} fields: use the six {' '.join(_FIELDS)}.")
        if (fields[2] == "?") == (fields[4] == "?"):
            raise BadExpression(f"cron({text}): exactly one of day-of-month and day-of-week must be ?.")
        cron = cls(
            minutes=values(fields[0], 0, 59, "minutes"),
            hours=values(fields[1], 0, 23, "hours"),
            day=None if fields[2] == "?" else fields[2].upper(),
            months=values(fields[3], 1, 12, "month", _MONTHS),
            weekday=None if fields[4] == "?" else fields[4].upper(),
            years=values(fields[5], 1970, 2199, "year"),
            zone=zone,
        )
        for month in range(1, 13):
            cron.days(2024, month)  # a leap year, so that nothing is missed; raises for what is wrong in the two day fields
        return cron

    def days(self, year: int, month: int) -> list[int]:
        length = calendar.monthrange(year, month)[1]
        if self.weekday is not None:
            return sorted({day for part in self.weekday.split(",") for day in _weekdays(part, year, month, length)})
        assert self.day is not None
        return sorted({day for part in self.day.split(",") for day in _month_days(part, year, month, length)})


def _month_days(part: str, year: int, month: int, length: int) -> list[int]:
    if part == "L":
        return [length]
    if part.endswith("W") and part[:-1].isdigit() and 1 <= int(part[:-1]) <= 31:
        return [] if int(part[:-1]) > length else [_nearest_workday(year, month, int(part[:-1]), length)]
    return [day for day in values(part, 1, 31, "day-of-month") if day <= length]


def _nearest_workday(year: int, month: int, day: int, length: int) -> int:
    """Monday to Friday, and within the month."""
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _weekdays(part: str, year: int, month: int, length: int) -> list[int]:
    def on(weekday: int) -> list[int]:
        return [day for day in range(1, length + 1) if (calendar.weekday(year, month, day) + 1) % 7 + 1 == weekday]

    if part == "L":
        return on(7)
    name, _, nth = part.partition("#")
    last = not nth and name.endswith("L") and name not in _DAYS
    if nth or last:
        (weekday,) = values(name.removesuffix("L") if last else name, 1, 7, "day-of-week", _DAYS)
        if nth and (not nth.isdigit() or not 1 <= int(nth) <= 5):
            raise BadExpression(f"day-of-week {part!r}: after # use 1 to 5.")
        return on(weekday)[-1:] if last else on(weekday)[int(nth) - 1 : int(nth)]
    return [day for weekday in values(part, 1, 7, "day-of-week", _DAYS) for day in on(weekday)]


def utc(instant: float) -> str:
    """`2026-03-29T01:00:00Z`: an instant as AWS's schedules write it."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_of(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time. ValueError where it is none, or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: add Z.")
    return moment.timestamp()
