"""The role `warmer`, a job: so many pings go to the endpoint side by side, never through the gateway, and the process ends.

A job's schedule knows UTC alone. So it may begin more often than the plan says, and what the plan says in its own time zone is checked
here: HOURS, DAYS, TIMEZONE, and UNTIL, since a schedule has no end.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from handlers.functions import http_pings, logs
from handlers.functions.azure.endpoint import ContainerAppEndpoint
from handlers.functions.call_settings import endpoint_url, request_timeout_s
from handlers.functions.environment import Environment
from handlers.functions.warming import MOST_PARALLEL, Send, Warmer, WarmingFailed

_HOURS = re.compile(r"(?:1?\d|2[0-3])(?:,(?:1?\d|2[0-3]))*")
_DAYS = re.compile(r"[0-6](?:,[0-6])*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """When pings are sent: in these hours of these days (Monday is 0) in a time zone, and before a moment; None is any."""

    hours: frozenset[int] | None
    days: frozenset[int] | None
    zone: ZoneInfo
    until: datetime | None

    @classmethod
    def read(cls, environment: Environment) -> "Times":
        """Mistakes are collected in the environment."""
        hours = environment.matching("HOURS", _HOURS, "hours from 0 to 23 with commas between")
        days = environment.matching("DAYS", _DAYS, "days from 0 (Monday) to 6 with commas between")
        return cls(
            hours=_numbers(hours),
            days=_numbers(days),
            zone=environment.read("TIMEZONE", ZoneInfo, "a time zone, Europe/Berlin, say") or ZoneInfo("UTC"),
            until=environment.read("UNTIL", http_pings.moment, "a moment with its offset, 2027-01-31T23:00:00Z, say"),
        )

    def hold(self, now: datetime) -> bool:
        """Whether this is one of them."""
        there = now.astimezone(self.zone)
        in_window = (self.hours is None or there.hour in self.hours) and (self.days is None or there.weekday() in self.days)
        return in_window and (self.until is None or now < self.until)


@dataclass(frozen=True, kw_only=True)
class WarmerRole:
    """One run: `parallel` pings within `timeout_s` seconds, which `instances` should answer (None: as many)."""

    send: Send
    service: str | None
    parallel: int
    instances: int | None
    timeout_s: float
    times: Times
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self) -> int:
        """The exit status: 1 when no ping was answered."""
        if not self.times.hold(self.now()):
            logs.write("not_warmed", reason="The plan has no pings at this time.")
            return 0
        try:
            warmer = Warmer(self.send, self.service)
            warmer.warm(self.parallel, batch_id=str(uuid.uuid4()), seconds=self.timeout_s, instances=self.instances)
        except WarmingFailed as error:
            logs.write("warming_failed", level="ERROR", message=str(error))
            return 1
        return 0


def _numbers(text: str | None) -> frozenset[int] | None:
    return None if text is None else frozenset(map(int, text.split(",")))


def make(variables: Mapping[str, str]) -> WarmerRole:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    url, timeout_s = endpoint_url(environment), request_timeout_s(environment, http_pings.TIMEOUT_S)
    parallel = environment.whole("PARALLEL", 1, least=1, most=MOST_PARALLEL)
    instances = environment.whole("INSTANCES", 0, least=1, most=MOST_PARALLEL) or None
    times = Times.read(environment)
    environment.check()
    return WarmerRole(
        send=http_pings.to_service(ContainerAppEndpoint(url), timeout_s),
        service=environment.text("SERVICE"),
        parallel=parallel,
        instances=instances,
        timeout_s=timeout_s,
        times=times,
    )
