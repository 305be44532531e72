"""When a schedule must fire so that the floor is the plan's: at every edge, and again and again between them. Pure, no cloud.

An `up` that begins before an edge and writes after it leaves the floor of its beginning; a swap can be refused while an update
runs. The next assertion mends both: every quarter of an hour inside windows and for an hour after an edge, else every hour, which
mends what a changed plan leaves behind. No firing has a start date, because application auto scaling performs an action at its start
time, whatever its cron says (user guide, "Schedule recurring scaling actions using cron expressions").
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from components.warming_plan import Ping, Plan, Rule, Scheduled, floor_at, lease_end
from components.warming_window import DAY, DAYS, WEEK, windows

QUARTER = 15
HOUR = 60
# An `up` takes minutes until it writes.
UP = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Firing:
    """Due at each of `minutes` of each of `hours`, on `days` of every week (0 is Monday) or `on` one date; not from `before` on."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] = ()
    on: date | None = None
    timezone: str
    before: datetime | None = None

    def is_declared(self, now: datetime) -> bool:
        """Whether an `up` that begins at `now` declares it: what is past by then, or ends too soon, AWS may not take."""
        if self.on is None:
            return outlasts(self.before, now)
        return datetime.combine(self.on, time(self.hours[0], self.minutes[0]), ZoneInfo(self.timezone)) > now

    @property
    def cron(self) -> str:
        """Six fields as AWS reads them: minutes, hours, day of month, month, day of week, year."""
        if self.on is not None:
            return f"{self._times} {self.on.day} {self.on.month} ? {self.on.year}"
        return f"{self._times} ? * {self._week} *"

    @property
    def unix_cron(self) -> str:
        """Five fields as Unix reads them, which knows no year: a date comes again every year."""
        if self.on is not None:
            return f"{self._times} {self.on.day} {self.on.month} *"
        return f"{self._times} * * {self._week}"

    @property
    def _times(self) -> str:
        return f"{_ranges(self.minutes, 60)} {_ranges(self.hours, 24)}"

    @property
    def _week(self) -> str:
        # Sunday is the first day there: a range must not run into it.
        week = _ranges([day for day in self.days if day < 6], 7, DAYS)
        sunday = ["SUN"] if 6 in self.days else []
        return "*" if len(self.days) == 7 else ",".join([*filter(None, [week]), *sunday])


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """`firing` sets the floor to `floor`; `edge` where that changes it, else it only asserts what should be so."""

    floor: int
    edge: bool
    firing: Firing


def assertions(plan: Plan) -> list[Assertion]:
    """Every firing of a plan with scheduled rules, one time zone and windows apart (`warming_checks.py`); none without."""
    if not plan.scheduled:
        return []
    zone, timeline = plan.scheduled[0].timezone, _timeline(plan)
    edges = {minute for minute in range(WEEK) if timeline[minute - 1][0] != timeline[minute][0]}
    soon = {(edge + past) % WEEK for edge in edges for past in range(HOUR + 1)}
    found: dict[tuple[int, datetime | None, bool], set[int]] = defaultdict(set)
    for minute, (floor, lease) in enumerate(timeline):
        every = QUARTER if floor > plan.base or minute in soon else HOUR
        if minute in edges or minute % every == 0:
            found[floor, lease, minute in edges].add(minute)
    recurring = [
        Assertion(floor=floor, edge=edge, firing=firing)
        for (floor, lease, edge), minutes in sorted(found.items(), key=lambda item: (item[0][0], not item[0][2], str(item[0][1])))
        for firing in _weekly(minutes, zone, lease)
    ]
    return recurring + [each for rule in plan.scheduled for each in _end_of_lease(plan, rule)]


def ping_firings(rule: Ping) -> list[Firing]:
    """The firings of a ping that has windows."""
    if rule.cron is None or rule.until is None:
        return []
    due = {minute % WEEK for window in windows(rule.cron, rule.until) for minute in range(window.start, window.end, rule.every_minutes)}
    return _weekly(due, rule.timezone, lease_end(rule))


def always(rule: Ping) -> Firing:
    """Of a ping that has no windows, on a clock's face: the pauses that it allows, and none longer than asked; at the full hour they may
    be shorter."""
    apart = rule.every_minutes
    minutes, hours = (range(0, HOUR, apart), range(24)) if apart < HOUR else ((0,), range(0, 24, apart // HOUR))
    return Firing(minutes=tuple(minutes), hours=tuple(hours), days=tuple(range(len(DAYS))), timezone=rule.timezone)


def in_force(plan: Plan, now: datetime) -> Plan:
    """The plan without the rules that are over at `now`."""
    return Plan(rules=tuple(rule for rule in plan.rules if not is_over(plan, rule, now)))


def is_over(plan: Plan, rule: Rule, now: datetime) -> bool:
    """Whether the rule's lease has ended by `now` and nothing is left to do for it.

    Where the end changes the floor, that is so when it has been asserted for its hour: a program that takes the assertions away
    before they have run leaves the floor as it was, and its own floor does not help where the state has the same one already.
    """
    end = lease_end(rule)
    if end is not None and isinstance(rule, Scheduled) and _changes_floor(plan, end):
        end += timedelta(minutes=HOUR)
    return end is not None and end <= now


def outlasts(end: datetime | None, now: datetime) -> bool:
    """Whether an `up` that begins at `now` has written what ends then before it ends.

    An end that has passed may be refused: EventBridge Scheduler refuses a start in the past (API reference, CreateSchedule), and
    neither it nor application auto scaling says what it does with an end. So close to the end the program's own floor is enough.
    """
    return end is None or end > now + UP


def _timeline(plan: Plan) -> list[tuple[int, datetime | None]]:
    """Per minute of the local week: the floor, and until when a window with a lease gives it."""
    timeline: list[tuple[int, datetime | None]] = [(plan.base, None)] * WEEK
    for rule in plan.scheduled:
        here = (max(plan.base, rule.instances), lease_end(rule))
        for window in windows(rule.cron, rule.until):
            for minute in range(window.start, window.end):
                timeline[minute % WEEK] = here
    return timeline


def _end_of_lease(plan: Plan, rule: Scheduled) -> list[Assertion]:
    """A lease that ends inside a window, which then lies over midnight, is an edge of its own, asserted for an hour."""
    end = lease_end(rule)
    if end is None or not _changes_floor(plan, end):
        return []
    moments = [(end + timedelta(minutes=past)).astimezone(ZoneInfo(rule.timezone)) for past in range(0, HOUR + 1, QUARTER)]
    # The second coming of an hour is not due.
    return [
        Assertion(
            floor=floor_at(plan, moment),
            edge=moment == moments[0],
            firing=Firing(minutes=(moment.minute,), hours=(moment.hour,), on=moment.date(), timezone=rule.timezone),
        )
        for moment in moments
        if not moment.fold
    ]


def _changes_floor(plan: Plan, end: datetime) -> bool:
    return floor_at(plan, end - timedelta(minutes=1)) != floor_at(plan, end)


def _weekly(minutes: Iterable[int], zone: str, before: datetime | None) -> list[Firing]:
    """The fewest firings that are due at just these minutes of the week: equal hours of a day, then equal days, go together."""
    by_hour: dict[tuple[int, int], set[int]] = defaultdict(set)
    for minute in minutes:
        by_hour[minute // DAY, minute % DAY // HOUR].add(minute % HOUR)
    by_day: dict[tuple[int, tuple[int, ...]], set[int]] = defaultdict(set)
    for (day, hour), within in by_hour.items():
        by_day[day, tuple(sorted(within))].add(hour)
    together: dict[tuple[tuple[int, ...], tuple[int, ...]], set[int]] = defaultdict(set)
    for (day, due), hours in by_day.items():
        together[due, tuple(sorted(hours))].add(day)
    return [
        Firing(minutes=due, hours=hours, days=tuple(sorted(days)), timezone=zone, before=before)
        for (due, hours), days in sorted(together.items())
    ]


def _ranges(values: Iterable[int], size: int, names: tuple[str, ...] | None = None) -> str:
    """`0-7,19,20`: three or more in a row as a range, `*` for all."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    if runs and len(runs[0]) == size:
        return "*"
    text = names or tuple(str(value) for value in range(size))
    return ",".join(f"{text[run[0]]}-{text[run[-1]]}" if len(run) > 2 else ",".join(text[value] for value in run) for run in runs)
