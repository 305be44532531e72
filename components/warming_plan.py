"""The warming plan: what is kept warm, when. Pure, no cloud."""

from dataclasses import dataclass
from datetime import date


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
