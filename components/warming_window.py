"""Weekly windows on a local clock, and what that clock shows on the days it changes. Pure.

A local time that the clocks skip is taken as the first instant after the gap, one that comes twice as its first coming. EventBridge
Scheduler skips the former and runs the latter once (user guide, "Schedule types": daylight saving time; it does not say which of the
two, nor does application auto scaling's guide).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
DAY = 24 * 60
WEEK = 7 * DAY
# Years whose clocks are looked at, the same whenever one looks: as far as what zones have in law today is good for.
YEARS = range(2026, 2041)
ALLOWED = "use five fields M H * * DOW, one minute, one hour, and days as *, names, ranges or lists: 0 8 * * MON-FRI"
_CRON = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\S+)")


@dataclass(frozen=True)
class Window:
    """From `start` to `end`, in minutes of the local week (Monday 00:00 is 0); `end` lies beyond the week where it wraps."""

    start: int
    end: int


@lru_cache
def weekly(cron: str) -> tuple[int, ...]:
    """The minutes of the week at which `cron` is due. Raises ValueError with what is allowed."""
    match = _CRON.fullmatch(" ".join(cron.split()))
    if match is None or int(match[1]) > 59 or int(match[2]) > 23:
        raise ValueError(f"{cron!r}: {ALLOWED}")
    time = int(match[2]) * 60 + int(match[1])
    return tuple(sorted({day * DAY + time for part in match[3].upper().split(",") for day in _days(part, cron)}))


def _days(part: str, cron: str) -> list[int]:
    if part == "*":
        return list(range(7))
    first, _, last = part.partition("-")
    # Numbers are refused: Sunday is 0 in one cron, 1 in another, 7 in a third.
    if first not in DAYS or (last or first) not in DAYS or part.endswith("-"):
        raise ValueError(f"{cron!r}: {part!r} is no day of the week: {ALLOWED}")
    start = DAYS.index(first)
    return [(start + step) % 7 for step in range((DAYS.index(last or first) - start) % 7 + 1)]


@lru_cache
def windows(cron: str, until: str) -> tuple[Window, ...]:
    """Each start with its end. Raises ValueError for crons that are none, and for ends that do not take turns with the starts."""
    starts, ends = weekly(cron), weekly(until)
    if len(starts) != len(ends):
        raise ValueError(f"{until!r}: comes {len(ends)} times a week and cron {len(starts)} times: name one end for each start")
    days, last_days = {start // DAY for start in starts}, {end // DAY for end in ends}
    # Every day, a window over midnight is plain; on some days it would last until the next of them.
    if days == last_days and ends[0] % DAY <= starts[0] % DAY and (len(days) < 7 or starts == ends):
        raise ValueError(f"{until!r}: is not after cron {cron!r}: for a window over midnight name the days that follow")
    found = []
    for start, following in zip(starts, (*starts[1:], starts[0] + WEEK), strict=True):
        inside = [end + wrapped for end in ends for wrapped in (0, WEEK) if start < end + wrapped < following]
        if len(inside) != 1:
            raise ValueError(f"{until!r}: does not take turns with cron {cron!r}: end each window before the next one starts")
        found.append(Window(start, inside[0]))
    return tuple(found)


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the clock of `zone` first shows `local` (naive), or the end of the gap that skips it."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == local:
        return first
    # In a gap, the offsets before and after it lay `local` on either side of the change.
    return _change(local.replace(tzinfo=zone, fold=1).astimezone(UTC), first, zone)


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first minute after `low` at which the zone is as far from UTC as at `high`; there is one change between them."""
    after = high.astimezone(zone).utcoffset()
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) // 2 // timedelta(minutes=1) * timedelta(minutes=1)
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == after else (middle, high)
    return high


@lru_cache
def gaps(timezone: str) -> tuple[tuple[datetime, datetime], ...]:
    """What the zone's clock skips in `YEARS` (naive): from the first time that it does not show to the one that it shows instead."""
    zone, day, found = ZoneInfo(timezone), timedelta(days=1), []
    moment = datetime(YEARS[0], 1, 1, tzinfo=UTC)
    while moment.year <= YEARS[-1]:
        before, after = (each.astimezone(zone).utcoffset() or timedelta() for each in (moment, moment + day))
        if after > before:
            change = _change(moment, moment + day, zone).replace(tzinfo=None)
            found.append((change + before, change + after))
        moment += day
    return tuple(found)


def falls_in(cron: str, gap: tuple[datetime, datetime]) -> bool:
    """Whether a time at which `cron` is due is one that the gap skips. Raises ValueError for a cron that is none."""
    start, end = gap
    week = start.replace(hour=0, minute=0) - timedelta(days=start.weekday())
    return any(start <= week + timedelta(minutes=minute + wrapped) < end for minute in weekly(cron) for wrapped in (0, WEEK))


def monday(moment: datetime, zone: ZoneInfo) -> datetime:
    """Monday 00:00 (naive) of the local week that `moment` lies in."""
    day = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return day - timedelta(days=day.weekday())
