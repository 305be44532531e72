"""The windows of a warming plan as rules of KEDA's, each of which knows when it is in force by itself. Pure.

So there is nothing that a schedule would have to set or that an `up` could undo: the program declares the same rules at every moment of a
month. A cron knows no year: the dates of a lease are told one by one, from the month of the `up` on, since the rules of months that are
past would only come again; those of the others do so in a year, should no `up` take them out by then.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from components.args import WarmingArgs
from components.azure.container_app import Rule
from components.warming_plan import Scheduled, lease_end
from components.warming_schedule import Firing
from components.warming_window import DAY, monday, weekly, windows

Span = tuple[datetime, datetime]


def window_rules(warming: WarmingArgs | None) -> list[Rule]:
    """A rule for each window of each week, or of each month that a lease has; none without windows."""
    if warming is None:
        return []
    return [
        _rule(each, start, end)
        for each in warming.plan.scheduled
        for start, end in ([_weeks(each)] if lease_end(each) is None else _months(each, warming.now))
    ]


def _rule(of: Scheduled, start: str, end: str) -> Rule:
    return Rule(kind="cron", metadata={"timezone": of.timezone, "start": start, "end": end, "desiredReplicas": str(of.instances)})


def _weeks(rule: Scheduled) -> tuple[str, str]:
    return _weekly(rule.cron), _weekly(rule.until)


def _weekly(cron: str) -> str:
    """With days as every cron reads them: names may be ranges over the end of the week, which KEDA's parser refuses."""
    due = weekly(cron)
    hour, minute = divmod(due[0] % DAY, 60)
    return Firing(minutes=(minute,), hours=(hour,), days=tuple(sorted({each // DAY for each in due})), timezone="").unix_cron


def _months(rule: Scheduled, now: datetime) -> Iterator[tuple[str, str]]:
    """Starts and ends by their dates: of each month those that lie in it, apart from a window over its end, and from one that the lease
    cuts off. In each pair the ends take turns with the starts, which is what makes a rule of the two."""
    found: dict[tuple[object, ...], list[Span]] = defaultdict(list)
    for start, end in _spans(rule, now):
        found[start.year, start.month, end.month, start.time(), end.time()].append((start, end))
    for spans in found.values():
        yield _dates([start for start, _ in spans]), _dates([end for _, end in spans])


def _dates(of: list[datetime]) -> str:
    first = of[0]
    return f"{first.minute} {first.hour} {','.join(str(each.day) for each in of)} {first.month} *"


def _spans(rule: Scheduled, now: datetime) -> Iterator[Span]:
    """The windows from the first of the month of `now` to the end of the lease, on the local clock."""
    zone, lease = ZoneInfo(rule.timezone), lease_end(rule)
    last = now.replace(tzinfo=None) if lease is None else lease.astimezone(zone).replace(tzinfo=None)
    first = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    week = monday(first, zone) - timedelta(weeks=1)
    while week < last:
        for window in windows(rule.cron, rule.until):
            start, end = (week + timedelta(minutes=minute) for minute in (window.start, window.end))
            if start < last and end > first.replace(tzinfo=None):
                yield start, min(end, last)
        week += timedelta(weeks=1)
