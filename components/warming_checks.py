"""What a platform can't honour of a warming plan, each problem with the alternatives. Pure."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from zoneinfo import ZoneInfo, available_timezones

from components.limits import Range
from components.warming_plan import Ping, Plan, Provisioned, Rule, Scheduled, lease_end
from components.warming_schedule import is_over
from components.warming_window import WEEK, Window, falls_in, gaps, weekly, windows

EVERY_MINUTES = Range(low=1, high=24 * 60, unit="minutes", source="EventBridge Scheduler user guide, rate-based schedules", noted="2026-11")
# Within a window a ping is a cron: the same minutes every hour, or the same hours every day.
IN_WINDOW = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)
# Each ping keeps its instance until the last of them has come, which takes as long as one may be kept (`handlers/functions/warming.py`).
MOST_PARALLEL = 95
# Rules with their positions in the stack's file.
Placed = Sequence[tuple[int, Rule]]
TAKE_OUT = "take the rule out, or move leaseUntil"
ABOVE = {
    "aws-lambda": "a floor that is all of what is reserved leaves the next version no place to start in (Lambda developer guide, "
    "provisioned concurrency)",
    "aws-sagemaker": "no more can be provisioned than the maximum (SageMaker API reference, ProductionVariantServerlessConfig)",
    "gcp-cloud-run": "no more can be kept than may run (Cloud Run documentation, minimum instances)",
    "azure-container-apps": "no more can be kept than may run (Container Apps documentation, set scaling rules)",
}
# Places that no floor may hold. On Lambda a floor that is all of what is reserved throttles every other version of the function (its
# developer guide, provisioned concurrency), so the next `up` too, which asks a new version by its number before it takes traffic.
BESIDE = {"aws-lambda": 1}
# Where a window is a cron rule, which knows no year: beyond so many months a lease's first dates would come again within it.
YEARLESS = {"azure-container-apps": "KEDA documentation, cron"}
MOST_MONTHS = 11
# Where requests at once bring another instance only when they go on for much longer than a ping: one instance answers them all.
AVERAGED = {"azure-container-apps": "Container Apps documentation, set scaling rules: HTTP"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The endpoint that is to be kept warm.

    most     instances that it may have (None: the account's pool); `bound` is where that comes from, in words
    requests that an instance takes at a time, so that as many pings keep it
    minutes  between pings: what a schedule can do, or less, where the platform says how long it keeps an instance that nobody asks
    """

    platform: str
    most: int | None
    bound: str = "endpoint.maxConcurrency"
    requests: int = 1
    minutes: Range = EVERY_MINUTES


def problems(plan: Plan, facts: Facts, now: datetime) -> list[str]:
    """Every problem as a sentence that begins with its key, `warming.0.until: …`.

    What is over at `now` (aware) is in nobody's way: such a rule is compared with no other.
    """
    found = [
        text
        for position, rule in enumerate(plan.rules)
        for text in (
            *_times(f"warming.{position}", rule),
            *_sizes(f"warming.{position}", rule, facts),
            *_lease(f"warming.{position}", rule, facts, now),
            *_skipped(f"warming.{position}", rule, facts, now),
        )
    ]
    # Whether a rule is over, and windows that meet, can be told only where each can be read by itself.
    placed = [(position, rule) for position, rule in enumerate(plan.rules) if found or not is_over(plan, rule, now)]
    return [*found, *_together(placed, plan.base)] + ([] if found else list(_windows(placed)))


def ended(plan: Plan, now: datetime) -> list[str]:
    """A sentence for each rule of a good plan that is over at `now` (aware), which is no problem; `TAKE_OUT` is what to do."""
    found = []
    for position, rule in enumerate(plan.rules):
        end = lease_end(rule)
        if end is not None and is_over(plan, rule, now) and not isinstance(rule, Provisioned):
            local = end.astimezone(ZoneInfo(rule.timezone)).isoformat()
            found.append(f"warming.{position}.leaseUntil: '{rule.lease_until}': ended at {local}, the rule keeps nothing warm any more")
    return found


@functools.cache
def _zones() -> set[str]:
    """All names of the time zone database; to list them opens each of its files."""
    return available_timezones()


def _times(key: str, rule: Rule) -> Iterator[str]:
    if isinstance(rule, Provisioned):
        return
    if (rule.cron is None) != (rule.until is None):
        missing, there = ("until", "cron") if rule.until is None else ("cron", "until")
        yield f"{key}.{missing}: missing beside {there}: a window has both, a ping without a window neither"
    elif rule.cron is not None and rule.until is not None:
        yield from _crons(key, rule.cron, rule.until)
    if rule.timezone not in _zones() or ("/" not in rule.timezone and rule.timezone != "UTC"):
        # Names without a place (EST5EDT, GB, localtime, Factory) are old, or of this machine: no scheduler lists them.
        yield f"{key}.timezone: {rule.timezone!r}: use UTC or the name of a place in the time zone database, Europe/Berlin, say"


def _lease(key: str, rule: Rule, facts: Facts, now: datetime) -> Iterator[str]:
    source = YEARLESS.get(facts.platform)
    if source is None or not isinstance(rule, Scheduled) or rule.lease_until is None or rule.timezone not in _zones():
        return
    local = now.astimezone(ZoneInfo(rule.timezone))
    months = 12 * (rule.lease_until.year - local.year) + rule.lease_until.month - local.month
    if months > MOST_MONTHS:
        yield (
            f"{key}.leaseUntil: '{rule.lease_until}': {months} months away: use {MOST_MONTHS} at most, or none: a rule of a cron knows no "
            f"year ({source})"
        )


def _skipped(key: str, rule: Rule, facts: Facts, now: datetime) -> Iterator[str]:
    """KEDA looks ahead for a start and an end: where it misses one of them, the window is missing, or in force from the end before."""
    source = YEARLESS.get(facts.platform)
    if source is None or not isinstance(rule, Scheduled) or rule.timezone not in _zones():
        return
    coming = _gaps_to_come(rule, now)
    for name, cron in (("cron", rule.cron), ("until", rule.until)):
        try:
            gap = next((each for each in coming if falls_in(cron, each)), None)
        except ValueError:
            continue  # told of by itself
        if gap is not None:
            first, last = (f"{each:%H:%M}" for each in gap)
            yield (
                f"{key}.{name}: {cron!r}: {rule.timezone} skips {first} to {last} on {gap[0]:%Y-%m-%d}, say, and a rule of a cron misses "
                f"what clocks skip ({source}): use a time before {first} or from {last} on, or timezone UTC"
            )


def _gaps_to_come(rule: Scheduled, now: datetime) -> list[tuple[datetime, datetime]]:
    """Those that the rule may meet: all of them without a lease, so that no rule is taken in one month and refused in another."""
    end, zone = lease_end(rule), ZoneInfo(rule.timezone)
    if end is None:
        return list(gaps(rule.timezone))
    here, last = (each.astimezone(zone).replace(tzinfo=None) for each in (now, end))
    return [gap for gap in gaps(rule.timezone) if here < gap[1] and gap[0] < last]


def _crons(key: str, cron: str, until: str) -> Iterator[str]:
    readable = True
    for name, text in (("cron", cron), ("until", until)):
        try:
            weekly(text)
        except ValueError as error:
            readable = False
            yield f"{key}.{name}: {error}"
    if readable:
        try:
            windows(cron, until)
        except ValueError as error:
            yield f"{key}.until: {error}"


def _sizes(key: str, rule: Rule, facts: Facts) -> Iterator[str]:
    name, value = ("parallel", rule.parallel) if isinstance(rule, Ping) else ("instances", rule.instances)
    most, sent, averaged = facts.most, MOST_PARALLEL // facts.requests, AVERAGED.get(facts.platform)
    beside = 0 if isinstance(rule, Ping) else BESIDE.get(facts.platform, 0)
    if averaged is not None and isinstance(rule, Ping) and value > 1:
        yield f"{key}.parallel: {value}: use 1: one instance answers them all; a provisioned or scheduled rule keeps several ({averaged})"
    elif isinstance(rule, Ping) and value > sent:
        yield f"{key}.parallel: {value}: use 1 to {sent}: one function sends them all"
    elif value < 1 or (most is not None and value > most - beside):
        why = "" if value < 1 or isinstance(rule, Ping) else f": {ABOVE.get(facts.platform, 'no more can be warm than may run')}"
        yield f"{key}.{name}: {value}: {_allowed(most, beside, facts.bound)}{why}"
    if most is None and not isinstance(rule, Ping):
        yield (
            f"{key}.{name}: {value}: endpoint.maxConcurrency is null, so that nothing is reserved that a floor could be part of: "
            "give endpoint.maxConcurrency a number, or use a ping rule"
        )
    if isinstance(rule, Ping):
        yield from _minutes(f"{key}.everyMinutes: {rule.every_minutes}", rule, facts.minutes)


def _minutes(value: str, rule: Ping, minutes: Range) -> Iterator[str]:
    beyond = minutes.problem(rule.every_minutes)
    if beyond is not None and minutes == EVERY_MINUTES:
        yield f"{value}: {beyond}"
        return
    fits = [each for each in IN_WINDOW if each <= minutes.high]
    if rule.cron is not None and rule.every_minutes not in fits:
        use = f"within a window use {', '.join(map(str, fits))}"
        yield f"{value}: {use}, or leave cron and until out" if beyond is None else f"{value}: {use} ({minutes.source})"
    elif beyond is not None:
        yield f"{value}: {beyond} ({minutes.source}), or a scheduled or provisioned rule"


def _allowed(most: int | None, beside: int, bound: str) -> str:
    if most is None:
        return "use 1 or more"
    if most <= beside:
        return f"raise {bound} to {beside + 1} or more"
    less = f" less {beside}" if beside else ""
    return f"use 1 to {most - beside}, which is {bound}{less}, or raise that"


def _together(placed: Placed, base: int) -> Iterator[str]:
    """Problems between the rules' sizes, and between their clocks; `base` instances are warm always."""
    always = [position for position, rule in placed if isinstance(rule, Provisioned)]
    for position in always[1:]:
        yield f"warming.{position}.kind: a second provisioned rule beside warming.{always[0]}: keep one, with all instances"
    for position, rule in placed:
        if isinstance(rule, Scheduled) and 0 < rule.instances <= base:
            yield f"warming.{position}.instances: {rule.instances}: {base} are warm always: use {base + 1} or more, or take the rule out"
    scheduled = [(position, rule) for position, rule in placed if isinstance(rule, Scheduled)]
    for position, rule in scheduled[1:]:
        if rule.timezone != scheduled[0][1].timezone:
            yield (
                f"warming.{position}.timezone: {rule.timezone!r}: warming.{scheduled[0][0]} is in {scheduled[0][1].timezone!r}, "
                "and one clock asserts the floor of all windows: write this window in that time zone"
            )


def _windows(placed: Placed) -> Iterator[str]:
    """Windows that overlap, and windows that touch but end with different leases. One clock is taken for granted."""
    scheduled = [(position, rule) for position, rule in placed if isinstance(rule, Scheduled)]
    if len({rule.timezone for _, rule in scheduled}) > 1:
        return
    for (first, one), (second, other) in combinations(scheduled, 2):
        pairs = [(a, b) for a in windows(one.cron, one.until) for b in windows(other.cron, other.until)]
        if any(_overlap(a, b) for a, b in pairs):
            yield f"warming.{second}.cron: {other.cron!r}: overlaps with warming.{first}: end one window before or where the other starts"
        elif one.lease_until != other.lease_until and any(_touch(a, b) for a, b in pairs):
            yield f"warming.{second}.leaseUntil: touches warming.{first}, which has another lease: give both one, or leave a minute between"


def _overlap(one: Window, other: Window) -> bool:
    return any(one.start < other.end + shift and other.start + shift < one.end for shift in (-WEEK, 0, WEEK))


def _touch(one: Window, other: Window) -> bool:
    return (one.end - other.start) % WEEK == 0 or (other.end - one.start) % WEEK == 0
