"""What calls an endpoint to keep it warm, and what sets its floor at the edges of the plan's windows and between them."""

import math
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pulumi

from components.args import FunctionArgs, WarmingArgs
from components.contract import Principal
from components.gcp import schedules
from components.gcp.cloud_run import CloudRunEndpoint
from components.gcp.context import GcpContext
from components.gcp.function import FunctionService, Live, function_service
from components.gcp.run_service import let_in
from components.gcp.service_accounts import account, member
from components.gcp.watch import Alarm, errors
from components.measures import PINGS_SENT
from components.naming import short_hash
from components.timeouts import HOP_S
from components.warming_plan import Ping, lease_end, utc
from components.warming_schedule import Assertion, Firing, always, assertions, ping_firings
from components.warming_window import instant

WARMER, PINGS, FLOOR = "warmer", "pings", "floors"
HELD_S = 0.1


class Warming(pulumi.ComponentResource):
    """Pings: jobs that call a function, which may do nothing but call this endpoint. Windows: jobs that set the endpoint's minimum, under
    accounts that may update this one service and run it as its own account. Cloud Run has no narrower right: whoever gets hold of such an
    account could deploy another revision with it. The floor of the moment is the endpoint's own."""

    schedule_group: None
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def __init__(
        self,
        name: str,
        home: GcpContext,
        endpoint: CloudRunEndpoint,
        args: WarmingArgs,
        function: FunctionArgs,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("pilotlight:index:Warming", name, None, opts)
        self._home, self._endpoint, self._function, self._plan = home, endpoint, function, args.plan
        self._now = args.now
        self.schedule_group, self.log_groups, self.alarms = None, [], []
        self.jobs: list[pulumi.Output[str]] = []
        if args.plan.pings:
            self._pings(f"{name}-ping")
        if args.plan.scheduled:
            self._floors(f"{name}-floor")
        # Whoever drops the floor must stop these.
        endpoint.jobs += self.jobs
        self.register_outputs({"jobs": self.jobs})

    def _pings(self, name: str) -> None:
        live, timeout_s = self._warmer(name)
        self.alarms.append(errors(WARMER, "No ping was answered.", live.service.name))
        caller = account(f"{name}-caller", self._home, PINGS, "Calls the warmer", self)
        ready = [let_in(live.service, Principal(name=f"{name}-caller", identity=caller.email, parent=self))]
        for position, ping in enumerate(self._plan.pings):
            due = schedules.ping(live.service.uri, caller.email, self._order(ping), timeout_s + HOP_S)
            for step, firing in enumerate(ping_firings(ping) or [always(ping)]):
                self._job(f"{name}-{position}-{step}", f"{PINGS}-{position}-{step}", firing, due, ready)

    def _order(self, ping: Ping) -> dict[str, Any]:
        """What the warmer is told. So many requests an instance takes: fewer pings would all fit into the first one."""
        end = lease_end(ping)
        until = {} if end is None else {"until": utc(end)}
        return {"parallel": ping.parallel * self._endpoint.requests, "instances": ping.parallel, **until}

    def _warmer(self, name: str) -> tuple[Live, int]:
        """The function that sends the pings, and for how many seconds it may."""
        home, endpoint, pings = self._home, self._endpoint, self._plan.pings
        most = max(ping.parallel for ping in pings) * endpoint.requests
        # Pings that are sent together keep their instances the longer, the more they are.
        timeout_s = endpoint.cold_start_budget_s + self._function.timeouts.model_s + math.ceil(most * HELD_S) + HOP_S
        of = FunctionService(
            role=WARMER,
            name=home.names.service(WARMER),
            purpose="Pings the endpoint",
            memory_mb=self._function.memory_mb,
            timeout_s=timeout_s,
            requests=1,
            max_instances=len(pings),
            variables={"ENDPOINT_URL": endpoint.invoke_target, "SERVICE": home.stack, "GOOGLE_CLOUD_PROJECT": home.project},
            counts=PINGS_SENT,
        )
        return function_service(name, home, of, endpoint, self), timeout_s

    def _floors(self, name: str) -> None:
        setters: dict[datetime | None, tuple[pulumi.Output[str], list[pulumi.Resource]]] = {}
        for position, each in enumerate(assertions(self._plan)):
            if not each.firing.is_declared(self._now):
                # A date that is past would come again in a year.
                continue
            before = ends(each)
            if before not in setters:
                setters[before] = self._setter(name, before)
            email, granted = setters[before]
            due = schedules.set_floor(self._endpoint.service.id, email, each.floor)
            self._job(f"{name}-{each.floor}-{position}", f"{FLOOR}-{each.floor}-{position}", each.firing, due, granted)

    def _setter(self, name: str, before: datetime | None) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
        """The account of jobs that set the floor until a lease ends, and its grants."""
        own = _named(name, before)
        identity = account(own, self._home, _named(FLOOR, before), "Sets the endpoint's floor", self)
        return identity.email, self._endpoint.setter.let(own, member(identity.email), self, before)

    def _job(self, name: str, role: str, firing: Firing, due: schedules.Call, ready: Sequence[pulumi.Resource]) -> None:
        self.jobs.append(schedules.job(name, self._home, role, firing, due, self, ready).id)


def ends(assertion: Assertion) -> datetime | None:
    """When the grant behind an assertion ends: with the lease, or with its date, which a job would else keep every year."""
    firing = assertion.firing
    if firing.on is None:
        return firing.before
    return instant(datetime.combine(firing.on + timedelta(days=1), time()), ZoneInfo(firing.timezone))


def _named(role: str, before: datetime | None) -> str:
    """A role's name, and which lease it is for."""
    return role if before is None else f"{role}-{short_hash(utc(before), 4)}"
