"""The warming plan: what is kept warm, when, and the floor that follows for an instant. Pure, no cloud.

The program declares `floor_at(plan, now)`, and schedules set the same floor at every edge and assert it between them
(`warming_schedule.py`), so that the two agree at every moment (docs/decisions/0006).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from components.warming_window import instant, monday, windows


@dataclass(frozen=True, kw_only=True)
class Ping:
    """A request every `every_minutes`, `parallel` at a time; with `cron` and `until` only inside those weekly windows."""

    every_minutes: int
    parallel: int = 1
    cron: str | None = None
    until: str | None = None
    timezone: str = "UTC"
    lease_until: date | None = None


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """`instances` stay warm from each start of `cron` to the next of `until`, in `timezone`, through the day of `lease_until`."""

    cron: str
    until: str
    timezone: str = "UTC"
    instances: int = 1
    lease_until: date | None = None


@dataclass(frozen=True, kw_only=True)
class Provisioned:
    """`instances` stay warm always."""

    instances: int = 1


Rule = Ping | Scheduled | Provisioned


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All rules of one service."""

    rules: tuple[Rule, ...] = ()

    @property
    def pings(self) -> list[Ping]:
        return [rule for rule in self.rules if isinstance(rule, Ping)]

    @property
    def scheduled(self) -> list[Scheduled]:
        return [rule for rule in self.rules if isinstance(rule, Scheduled)]

    @property
    def base(self) -> int:
        """Instances that are warm outside every window."""
        return max((rule.instances for rule in self.rules if isinstance(rule, Provisioned)), default=0)

    @property
    def levels(self) -> list[int]:
        """Every floor that the plan can ask for, the lowest first."""
        return sorted({self.base, *(max(self.base, rule.instances) for rule in self.scheduled)})

    @property
    def has_floor(self) -> bool:
        """Whether anything is kept warm, at any time."""
        return self.levels != [0]


@dataclass(frozen=True)
class Edge:
    """From `at` (UTC) on, `floor` instances are warm."""

    at: datetime
    floor: int


def lease_end(rule: Rule) -> datetime | None:
    """The instant (UTC) at which the rule's lease is over, if it has one: the end of its last day, in the rule's time zone."""
    if isinstance(rule, Provisioned) or rule.lease_until is None:
        return None
    return instant(datetime.combine(rule.lease_until + timedelta(days=1), time()), ZoneInfo(rule.timezone))


def floor_at(plan: Plan, moment: datetime) -> int:
    """The instances that the plan keeps warm at `moment` (aware). Raises ValueError for a plan that `problems` would refuse."""
    opened = [rule.instances for rule in plan.scheduled if any(start <= moment < end for start, end in _spans(rule, moment, moment))]
    return max([plan.base, *opened])


def edges(plan: Plan, start: datetime, end: datetime) -> list[Edge]:
    """Every change of the floor from `start` on and before `end`, in order."""
    moments = {moment for rule in plan.scheduled for span in _spans(rule, start, end) for moment in span}
    found, floor = [], floor_at(plan, start - timedelta(minutes=1))
    for moment in sorted(each for each in moments if start <= each < end):
        after = floor_at(plan, moment)
        if after != floor:
            found.append(Edge(moment, after))
        floor = after
    return found


def _spans(rule: Scheduled, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The rule's windows, as instants, of every local week that can reach into `start` to `end`, cut off where its lease ends."""
    zone, lease = ZoneInfo(rule.timezone), lease_end(rule)
    week = monday(start, zone) - timedelta(weeks=1)
    while week <= end.astimezone(zone).replace(tzinfo=None):
        for window in windows(rule.cron, rule.until):
            first, last = (instant(week + timedelta(minutes=minute), zone) for minute in (window.start, window.end))
            yield first, last if lease is None else min(last, lease)
        week += timedelta(weeks=1)


def utc(moment: datetime) -> str:
    """`2027-01-31T23:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
