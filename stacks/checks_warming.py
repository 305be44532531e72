"""What of a warming plan and a budget hangs on other settings. Pure."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from stacks.messages import Problem, meant, shown, told

if TYPE_CHECKING:
    from stacks.settings import Settings

_SOURCE = {
    "aws-sagemaker": "SageMaker API reference, ProductionVariantServerlessConfig",
    "aws-lambda": "Lambda developer guide, provisioned concurrency",
}


def warming_problems(settings: "Settings") -> Iterator[Problem]:
    """Every problem of the plan's rules and of the budget."""
    yield from _instances(settings)
    for position, rule in enumerate(settings.warming or ()):
        yield from _zone(f"warming.{position}.timezone", getattr(rule, "timezone", None))
        yield from _date(f"warming.{position}.leaseUntil", getattr(rule, "lease_until", None))
    if settings.budget is not None and settings.budget.email is None and settings.alarms is not None and settings.alarms.email is None:
        yield told("budget.email: missing: use one address, name@example.com, here or in alarms.email: a budget tells somebody")
    if settings.budget is not None and settings.budget.on_exceeded == "drop-warming" and not settings.warming:
        yield told("budget.onExceeded: 'drop-warming': there is no warming to drop: use notify, or set warming")


def _instances(settings: "Settings") -> Iterator[Problem]:
    endpoint = settings.endpoint
    if endpoint is None or endpoint.max_concurrency is None or endpoint.platform not in _SOURCE:
        return
    for position, rule in enumerate(settings.warming or ()):
        instances = getattr(rule, "instances", None)
        if instances is not None and instances > endpoint.max_concurrency:
            yield told(
                f"warming.{position}.instances: {instances}: more than endpoint.maxConcurrency: "
                f"use 1 to {endpoint.max_concurrency} ({_SOURCE[endpoint.platform]})"
            )


def _date(key: str, value: str | None) -> Iterator[Problem]:
    try:
        date.fromisoformat(value or "2000-01-01")
    except ValueError:
        yield told(f"{key}: {shown(value)}: use a date that exists, 2027-01-31, say")


def _zone(key: str, value: str | None) -> Iterator[Problem]:
    try:
        ZoneInfo(value or "UTC")
    except (LookupError, ValueError, OSError):
        known = meant(value or "", sorted(available_timezones()))
        yield told(f"{key}: {shown(value)}: {known}use a name of the time zone database, Europe/Berlin, say")
