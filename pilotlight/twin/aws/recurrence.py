"""When a schedule is due: the at, rate and cron expressions of EventBridge Scheduler and of application auto scaling.

Sources: EventBridge Scheduler user guide, "Schedule types" (expressions, time zones, daylight saving time), EventBridge user guide,
"Cron expressions reference" (fields and wildcards); application auto scaling takes the same expressions (API reference,
PutScheduledAction).
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FORM = re.compile(r"(at|rate|cron)\((.*)\)", re.DOTALL)
_UNITS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86400, "days": 86400}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
# AWS counts from Sunday, 1; Python from Monday, 0.
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_FIELDS = ("minutes", "hours", "day-of-month", "month", "day-of-week", "year")
_WORDS = re.compile(r"(?P<from>\w+)(?:-(?P<to>\w+))?(?:/(?P<step>\d+))?|\*(?:/(?P<each>\d+))?")


class BadExpression(ValueError):
    """The expression, or its time zone, is not one that AWS takes; the message says which part."""


# The first due instant after an instant, both in seconds since the epoch; None when there is none.
Recurrence = Callable[[float], float | None]


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


def zone_of(name: str) -> ZoneInfo:
    """BadExpression for a name that the IANA time zone database does not have."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadExpression(f"time zone {name!r}: use a name of the IANA time zone database, as Europe/Berlin.") from None


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
class Cron:
    """The six fields, as sets of what matches; `day` and `weekday` are texts, None for the one that is `?`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    day: str | None
    months: frozenset[int]
    weekday: str | None
    years: frozenset[int]
    zone: ZoneInfo

    @classmethod
    def of(cls, text: str, zone: ZoneInfo) -> Cron:
        """BadExpression names the field that is wrong."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise BadExpression(f"cron({text}): has {len(fields)} fields: use the six {' '.join(_FIELDS)}.")
        if (fields[2] == "?") == (fields[4] == "?"):
            raise BadExpression(f"cron({text}): exactly one of day-of-month and day-of-week must be ?.")
        cron = cls(
            minutes=_values(fields[0], 0, 59, "minutes"),
            hours=_values(fields[1], 0, 23, "hours"),
            day=None if fields[2] == "?" else fields[2].upper(),
            months=_values(fields[3], 1, 12, "month", _MONTHS),
            weekday=None if fields[4] == "?" else fields[4].upper(),
            years=_values(fields[5], 1970, 2199, "year"),
            zone=zone,
        )
        for month in range(1, 13):
            cron.days(2024, month)  # a leap year, so that nothing is missed; raises for what is wrong in the two day fields
        return cron

    def next_after(self, instant: float) -> float | None:
        """The first match after an instant. Local times that the clocks skip are passed over; those that come twice count once."""
        for moment in self._moments(datetime.fromtimestamp(instant, self.zone).replace(tzinfo=None)):
            due = moment.replace(tzinfo=self.zone).timestamp()
            if due > instant and datetime.fromtimestamp(due, self.zone).replace(tzinfo=None) == moment:
                return due
        return None

    def days(self, year: int, month: int) -> list[int]:
        """The days of a month that match."""
        length = calendar.monthrange(year, month)[1]
        if self.weekday is not None:
            return sorted({day for part in self.weekday.split(",") for day in _weekdays(part, year, month, length)})
        assert self.day is not None
        return sorted({day for part in self.day.split(",") for day in _month_days(part, year, month, length)})

    @cached_property
    def _times(self) -> list[tuple[int, int]]:
        return [(hour, minute) for hour in sorted(self.hours) for minute in sorted(self.minutes)]

    def _moments(self, start: datetime) -> Iterator[datetime]:
        """Matching local times from `start` on."""
        for year in range(start.year, 2200):
            for month in sorted(self.months) if year in self.years else ():
                if (year, month) < (start.year, start.month):
                    continue
                for day in self.days(year, month):
                    if (year, month, day) >= (start.year, start.month, start.day):
                        yield from self._day(year, month, day, start)

    def _day(self, year: int, month: int, day: int, start: datetime) -> Iterator[datetime]:
        first = (start.hour, start.minute) if (year, month, day) == (start.year, start.month, start.day) else (0, 0)
        return (datetime(year, month, day, *time) for time in self._times if time >= first)


def _values(text: str, low: int, high: int, field: str, names: Mapping[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _WORDS.fullmatch(part)
        if match is None:
            raise BadExpression(f"{field} {part!r}: use numbers from {low} to {high}, ranges a-b, steps a/b and *.")
        first = _number(match["from"], field, names) if match["from"] else low
        # "5/10" goes on to the end of the field, "5" does not.
        last = _number(match["to"], field, names) if match["to"] else high if match["step"] or not match["from"] else first
        step = int(match["step"] or match["each"] or 1)
        if not (low <= first <= last <= high) or step < 1:
            raise BadExpression(f"{field} {part!r}: use {low} to {high}, a range that rises and a step of 1 or more.")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, field: str, names: Mapping[str, int] | None) -> int:
    if text.isdigit():
        return int(text)
    number = (names or {}).get(text.upper())
    if number is None:
        raise BadExpression(f"{field} {text!r} is not known: use {', '.join(names) if names else 'a number'}.")
    return number


def _month_days(part: str, year: int, month: int, length: int) -> list[int]:
    if part == "L":
        return [length]
    if part.endswith("W") and part[:-1].isdigit() and 1 <= int(part[:-1]) <= 31:
        return [] if int(part[:-1]) > length else [_nearest_workday(year, month, int(part[:-1]), length)]
    return [day for day in _values(part, 1, 31, "day-of-month") if day <= length]


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
        (weekday,) = _values(name.removesuffix("L") if last else name, 1, 7, "day-of-week", _DAYS)
        if nth and (not nth.isdigit() or not 1 <= int(nth) <= 5):
            raise BadExpression(f"day-of-week {part!r}: after # use 1 to 5.")
        return on(weekday)[-1:] if last else on(weekday)[int(nth) - 1 : int(nth)]
    return [day for weekday in _values(part, 1, 7, "day-of-week", _DAYS) for day in on(weekday)]


def utc(instant: float) -> str:
    """`2026-03-29T01:00:00Z`: an instant as AWS's schedules write it."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_of(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time. ValueError where it is none, or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: add Z.")
    return moment.timestamp()
