"""What calls an endpoint to keep it warm. Its windows are rules of its own (`windows.py`)."""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pulumi

from components.args import FunctionArgs, WarmingArgs
from components.azure.context import AzureContext
from components.azure.endpoint import ContainerAppsEndpoint
from components.azure.identities import identity
from components.azure.job import Job, scheduled_job
from components.azure.watch import Alarm, failed
from components.contract import Principal
from components.limits_azure import CONTAINER_APPS_MB_PER_CPU
from components.measures import PINGS_SENT
from components.timeouts import HOP_S
from components.warming_plan import Ping, lease_end, utc
from components.warming_schedule import HOUR, Firing, always, ping_firings
from components.warming_window import DAY, WEEK, YEARS

WARMER = "warmer"
HELD_S = 0.1


class Warming(pulumi.ComponentResource):
    """Pings: jobs that call the endpoint as an identity that may pull their image and nothing else. A job ends when its pings are
    answered; that none was is told by its execution, which fails, and by its lines."""

    schedule_group: None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self,
        name: str,
        home: AzureContext,
        endpoint: ContainerAppsEndpoint,
        args: WarmingArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:Warming", name, None, opts)
        self._home, self._endpoint, self._function = home, endpoint, function
        self.schedule_group, self.log_groups, self.alarms = None, [], []
        if args.plan.pings:
            self._pings(f"{name}-ping", args.plan.pings)
        self.register_outputs({})

    def _pings(self, name: str, pings: list[Ping]) -> None:
        home, endpoint = self._home, self._endpoint
        home.counted += PINGS_SENT
        who = identity(name, home, WARMER, self)
        ready = [
            endpoint.image.grant_pull(name, home, who, self),
            endpoint.grant_invoke(Principal(name=name, identity=who.principal_id, parent=self)),
            *endpoint.image.ready,
        ]
        for position, ping in enumerate(pings):
            timeout_s = self._timeout_s(ping)
            job = Job(
                name="",
                environment=endpoint.environment.id,
                identity=who,
                image=endpoint.image.functions,
                server=endpoint.image.registry.login_server,
                args=[WARMER],
                variables={},
                cpu=self._function.memory_mb / CONTAINER_APPS_MB_PER_CPU,
                memory_mb=self._function.memory_mb,
                cron="",
                timeout_s=timeout_s + HOP_S,
            )
            order = {**self._order(ping, timeout_s), "AZURE_CLIENT_ID": who.client_id}
            for step, (cron, when) in enumerate(due(ping)):
                role = f"{WARMER}-{position}-{step}"
                of = replace(job, name=home.names.app(role), cron=cron, variables={**order, **when})
                made = scheduled_job(f"{name}-{position}-{step}", home, of, self, ready)
                self.alarms.append(failed(role, "No ping was answered.", made.id))
                endpoint.jobs.append(made.id)

    def _timeout_s(self, ping: Ping) -> int:
        """Pings that are sent together keep their replicas the longer, the more they are."""
        sent = ping.parallel * self._endpoint.requests
        return self._endpoint.cold_start_budget_s + self._function.timeouts.model_s + math.ceil(sent * HELD_S) + HOP_S

    def _order(self, ping: Ping, timeout_s: int) -> dict[str, pulumi.Input[str]]:
        """What the warmer is told. So many requests a replica takes: fewer pings would all fit into the first one."""
        end = lease_end(ping)
        return {
            "ENDPOINT_URL": self._endpoint.invoke_target,
            "REQUEST_TIMEOUT_S": str(timeout_s),
            "SERVICE": self._home.stack,
            "PARALLEL": str(ping.parallel * self._endpoint.requests),
            "INSTANCES": str(ping.parallel),
            **({} if end is None else {"UNTIL": utc(end)}),
        }


def due(ping: Ping) -> list[tuple[str, dict[str, str]]]:
    """When jobs start, in UTC, and how each of them tells which of those starts are inside the plan's windows, which go by a local
    clock: it ends at once at the others."""
    firings = ping_firings(ping)
    if not firings:
        return [(replace(always(ping), timezone="UTC").unix_cron, {})]
    return [(in_utc(each), {"HOURS": _listed(each.hours), "DAYS": _listed(each.days), "TIMEZONE": each.timezone}) for each in firings]


def in_utc(firing: Firing) -> str:
    """A cron that is due whenever the firing is, at every distance that its clock ever has from UTC, and as seldom as may be besides."""
    local = [day * DAY + hour * HOUR + minute for day in firing.days for hour in firing.hours for minute in firing.minutes]
    times = {(minute - offset) % WEEK for minute in local for offset in offsets(firing.timezone)}
    return Firing(
        minutes=_sorted(each % HOUR for each in times),
        hours=_sorted(each % DAY // HOUR for each in times),
        days=_sorted(each // DAY for each in times),
        timezone="UTC",
    ).unix_cron


def offsets(timezone: str) -> set[int]:
    """The minutes that a zone's clock is ahead of UTC, in summer and in winter."""
    zone, days = ZoneInfo(timezone), (datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day) for year in YEARS for day in range(0, 365, 7))
    return {int((day.astimezone(zone).utcoffset() or timedelta()).total_seconds()) // 60 for day in days}


def _sorted(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({*values}))


def _listed(values: Iterable[int]) -> str:
    return ",".join(map(str, values))
