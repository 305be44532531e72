"""When firings are due and what they leave, told by a local clock that is stepped minute by minute, in the cron of each cloud.

It knows nothing of windows or edges. With it, plans whose windows lie where clocks change.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from components.warming_plan import Plan, Provisioned, Rule, Scheduled, floor_at
from components.warming_schedule import Firing, assertions

MINUTE = timedelta(minutes=1)
BERLIN = "Europe/Berlin"
# Local clocks that change by an hour, by half an hour, at midnight, into the day before, and not at all.
CHANGES = {
    BERLIN: ["2027-03-28T01:00Z", "2027-10-31T01:00Z"],
    "America/New_York": ["2027-03-14T07:00Z", "2027-11-07T06:00Z"],
    "Australia/Lord_Howe": ["2027-04-03T15:00Z", "2027-10-02T15:30Z"],
    "Africa/Cairo": ["2027-04-29T22:00Z", "2027-10-28T21:00Z"],
    "Atlantic/Azores": ["2027-03-28T01:00Z", "2027-10-31T01:00Z"],
    "Asia/Kolkata": ["2027-03-28T01:00Z"],
}
# How a firing is written: what is deployed on AWS (`Firing.cron`), and on Google Cloud (`Firing.unix_cron`).
CRONS = ("cron", "unix_cron")
# In every cron a week begins with Sunday; its numbers are 0 to 6 in Unix's.
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIRST = frozenset({0})


def field(text: str, clock: int, names: tuple[str, ...] = ()) -> bool:
    """Whether a field of a cron takes what the clock shows."""

    def number(word: str) -> int:
        return names.index(word) if word in names else int(word)

    ends = [part.split("-") for part in text.split(",")]
    return text in "*?" or any(number(first) <= clock <= number(rest[-1] if rest else first) for first, *rest in ends)


def due(firing: Firing, moment: datetime, cron: str = "cron", comings: Collection[int] = FIRST) -> bool:
    """Whether it is, and may still do anything: on Google Cloud a job has no end, but the right of who sets the floor has.

    A time that is skipped is skipped. Of one that comes twice `comings` count (0 is the first): as EventBridge Scheduler's guide says,
    one, and we take the first; Cloud Scheduler goes by the wall clock, and promises nothing ("Daylight Saving Time").
    """
    clock = moment.astimezone(ZoneInfo(firing.timezone))
    minute, hour, day, month, weekday, *year = getattr(firing, cron).split()
    return (
        (clock.fold in comings or not comes_twice(clock))
        and (firing.before is None or moment < firing.before)
        and field(minute, clock.minute)
        and field(hour, clock.hour)
        and field(day, clock.day)
        and field(month, clock.month)
        and field(weekday, (clock.weekday() + 1) % 7, DAYS)
        and all(field(each, clock.year) for each in year)
    )


def comes_twice(clock: datetime) -> bool:
    """Whether the local clock shows this time a second time, or has shown it before."""
    return clock.replace(fold=0).utcoffset() != clock.replace(fold=1).utcoffset()


def replayed(
    of: Plan, start: datetime, minutes: int, cron: str = "cron", comings: Collection[int] = FIRST
) -> Iterator[tuple[datetime, int, int]]:
    """Per minute: the instant, the floor that the firings left, the floor that the plan says."""
    floor, every = floor_at(of, start), assertions(of)
    for step in range(minutes):
        moment = start + step * MINUTE
        fired = {each.floor for each in every if due(each.firing, moment, cron, comings)}
        assert len(fired) <= 1, f"{moment}: firings disagree: {fired}"
        floor = fired.pop() if fired else floor
        yield moment, floor, floor_at(of, moment)


@st.composite
def scheduled_plans(draw: st.DrawFn) -> Plan:
    """Windows of one day each, apart or touching, mostly at night, where clocks change; leases and a floor outside."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    marks = sorted(draw(st.lists(st.one_of(st.integers(0, 5 * 60), st.integers(0, 1439)), min_size=2, max_size=6, unique=True)))
    marks = marks[: len(marks) // 2 * 2]
    days = ",".join(sorted(draw(st.sets(st.sampled_from(DAYS), min_size=1))))
    lease = draw(st.none() | st.sampled_from([datetime.fromisoformat(each).astimezone(ZoneInfo(zone)).date() for each in CHANGES[zone]]))
    rules: list[Rule] = [
        Scheduled(
            cron=f"{start % 60} {start // 60} * * {days}",
            until=f"{end % 60} {end // 60} * * {days}",
            timezone=zone,
            instances=draw(st.integers(2, 4)),
            lease_until=lease,
        )
        for start, end in (pairwise(marks) if draw(st.booleans()) else zip(marks[::2], marks[1::2], strict=True))
    ]
    if draw(st.booleans()):  # a window over midnight, every day, where no other lies
        rules = [
            Scheduled(
                cron="30 22 * * *",
                until=f"{draw(st.integers(0, 59))} {draw(st.integers(0, 3))} * * *",
                timezone=zone,
                instances=2,
                lease_until=lease,
            )
        ]
    return Plan(rules=(*rules, *draw(st.sampled_from([(), (Provisioned(instances=1),)]))))
