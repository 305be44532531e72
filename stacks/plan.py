"""The warming plan of the settings, and the instant that a program runs at."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pulumi

from components.warming_plan import Ping, Plan, Provisioned, Rule, Scheduled
from stacks.settings_warming import PingRule, ProvisionedRule, ScheduledRule

NOW = "PILOTLIGHT_NOW"


def plan_of(rules: Sequence[PingRule | ScheduledRule | ProvisionedRule]) -> Plan:
    """The rules as the plan takes them; a lease that is no date counts as none, which the check of the settings tells."""
    return Plan(rules=tuple(_rule(each) for each in rules))


def now() -> datetime:
    """The instant whose floor the program declares: real time, or `PILOTLIGHT_NOW` where a clock of somebody else's rules."""
    told = os.environ.get(NOW)
    if told is None:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(told)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise pulumi.RunError(f"{NOW}: {told!r}: use an ISO 8601 time with its offset, 2027-01-31T08:00:00+01:00, say.")
    return instant


def date_of(text: str | None) -> date | None:
    """The date that an ISO 8601 text means, None for none."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        return None


def _rule(rule: PingRule | ScheduledRule | ProvisionedRule) -> Rule:
    if isinstance(rule, ProvisionedRule):
        return Provisioned(instances=rule.instances)
    lease = date_of(rule.lease_until)
    if isinstance(rule, ScheduledRule):
        return Scheduled(cron=rule.cron, until=rule.until, timezone=rule.timezone, instances=rule.instances, lease_until=lease)
    return Ping(
        every_minutes=rule.every_minutes,
        parallel=rule.parallel,
        cron=rule.cron,
        until=rule.until,
        timezone=rule.timezone,
        lease_until=lease,
    )
