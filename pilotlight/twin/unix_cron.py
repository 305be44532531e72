"""Cron with five fields on a local clock, as Cloud Scheduler ("Cron job format and time zone") and KEDA's cron scaler read it."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pilotlight.twin.local_times import BadExpression, LocalTimes, values

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
# Sunday is 0 and 7.
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _DAYS),
)
_ANY = "*"


@dataclass(frozen=True, kw_only=True)
class UnixCron(LocalTimes):
    """A day matches by its number or its weekday where both are given; None is the one that is `*`.

    Cloud Scheduler goes by the wall clock and promises nothing for hours that the clocks skip or repeat. Here times that are skipped
    are passed over, as KEDA's parser does too, and those that come twice count once, as with AWS's schedules.
    """

    numbers: frozenset[int] | None
    weekdays: frozenset[int] | None

    @classmethod
    def of(cls, text: str, zone: ZoneInfo) -> UnixCron:
        """BadExpression names the part that is wrong."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            said = f"{text!r} has {len(fields)} fields"
            raise BadExpression(f"{said}: use minute, hour, day, month and weekday, as '0 8 * * mon-fri'.")
        minutes, hours, numbers, months, weekdays = (_field(text, index, field) for index, field in enumerate(fields))
        return cls(
            minutes=minutes,
            hours=hours,
            months=months,
            zone=zone,
            numbers=None if fields[2] == _ANY else numbers,
            weekdays=None if fields[4] == _ANY else frozenset(day % 7 for day in weekdays),
        )

    def days(self, year: int, month: int) -> list[int]:
        return [day for day in range(1, calendar.monthrange(year, month)[1] + 1) if self._matches(year, month, day)]

    def _matches(self, year: int, month: int, day: int) -> bool:
        if self.numbers is None and self.weekdays is None:
            return True
        weekday = (calendar.weekday(year, month, day) + 1) % 7
        return day in (self.numbers or ()) or weekday in (self.weekdays or ())


def _field(text: str, index: int, field: str) -> frozenset[int]:
    name, low, high, names = _FIELDS[index]
    found: set[int] = set()
    for part in field.split(","):
        try:
            found |= values(part, low, high, name, names)
        except BadExpression:
            raise BadExpression(f"{text!r}: {part!r} is no {name}: use {low} to {high}, *, a-b or */n.") from None
    return frozenset(found)
