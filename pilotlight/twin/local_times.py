"""Due times on a local clock: the fields of cron dialects, and the moments that match them on the days when the clocks change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_WORDS = re.compile(r"(?P<from>\w+)(?:-(?P<to>\w+))?(?:/(?P<step>\d+))?|\*(?:/(?P<each>\d+))?")
_LAST_YEAR = 2199


class BadExpression(ValueError):
    """The expression, or its time zone, is not one that the cloud takes; the message says which part."""


# The first due instant after an instant, both in seconds since the epoch; None when there is none.
Recurrence = Callable[[float], float | None]


def zone_of(name: str) -> ZoneInfo:
    """BadExpression for a name that the IANA time zone database does not have."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadExpression(f"time zone {name!r}: use a name of the IANA time zone database, as Europe/Berlin.") from None


@dataclass(frozen=True, kw_only=True)
class LocalTimes:
    """What matches, but for the days, which a dialect says."""

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int] = field(default=frozenset(range(1970, _LAST_YEAR + 1)))
    zone: ZoneInfo

    def days(self, year: int, month: int) -> list[int]:
        """The days of a month that match."""
        raise NotImplementedError

    def next_after(self, instant: float) -> float | None:
        """The first match after an instant. Local times that the clocks skip are passed over; those that come twice count once."""
        for moment in self._moments(datetime.fromtimestamp(instant, self.zone).replace(tzinfo=None)):
            due = moment.replace(tzinfo=self.zone).timestamp()
            if due > instant and datetime.fromtimestamp(due, self.zone).replace(tzinfo=None) == moment:
                return due
        return None

    @cached_property
    def _times(self) -> list[tuple[int, int]]:
        return [(hour, minute) for hour in sorted(self.hours) for minute in sorted(self.minutes)]

    def _moments(self, start: datetime) -> Iterator[datetime]:
        """Matching local times from `start` on."""
        for year in range(start.year, _LAST_YEAR + 1):
            for month in sorted(self.months) if year in self.years else ():
                if (year, month) < (start.year, start.month):
                    continue
                for day in self.days(year, month):
                    if (year, month, day) >= (start.year, start.month, start.day):
                        yield from self._day(year, month, day, start)

    def _day(self, year: int, month: int, day: int, start: datetime) -> Iterator[datetime]:
        first = (start.hour, start.minute) if (year, month, day) == (start.year, start.month, start.day) else (0, 0)
        return (datetime(year, month, day, *time) for time in self._times if time >= first)


def values(text: str, low: int, high: int, field: str, names: Mapping[str, int] | None = None) -> frozenset[int]:
    """The numbers that a field of a cron expression names. BadExpression, which names the field."""
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
