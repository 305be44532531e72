"""What calls an endpoint to keep it warm, and what checks that its floor is the plan's."""

import math
from functools import partial
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.args import FunctionArgs, WarmingArgs
from components.aws.context import AwsContext
from components.aws.floor import Warmed
from components.aws.iam import Place, Statement, allow, document
from components.aws.names import ALIAS, WARMED_ALIAS
from components.aws.roles import may
from components.aws.schedules import MAX_AGE_S, RunsAs, Schedules, at, every
from components.aws.zips import Live, Zip, asynchronous, zip_function
from components.contract import Principal
from components.encoding import json_text
from components.timeouts import HOP_S
from components.warming_plan import lease_end
from components.warming_schedule import outlasts, ping_firings

if TYPE_CHECKING:
    from components.aws.endpoint_floor import Levels

WARMER, RECONCILER = "warmer", "reconciler"
RECONCILER_S = 30
RECONCILER_MB = 256
# A ping that comes late warms nothing: the next one is due soon.
PING_AGE_S = 60
HELD_S = 0.1


class Warming(pulumi.ComponentResource):
    """Pings: schedules that call a function of one right, to call this endpoint or alias. Floors that are swapped: checks between
    the edges. The floor itself, and what moves it, is the endpoint's own."""

    schedule_group: pulumi.Output[str] | None

    def __init__(
        self, name: str, home: AwsContext, endpoint: Warmed, args: WarmingArgs, function: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:Warming", name, None, opts)
        self._home, self._endpoint, self._function = home, endpoint, function
        schedules = endpoint.schedules
        self.schedule_group = None if schedules is None else schedules.group
        self.alarms = [] if schedules is None else schedules.alarms
        self.log_groups: list[pulumi.Output[str]] = []
        if schedules is not None and args.plan.pings:
            self._pings(f"{name}-ping", args, schedules)
        if schedules is not None and endpoint.levels is not None:
            self._checks(f"{name}-check", args, endpoint.levels, schedules)
        self.register_outputs({"scheduleGroup": self.schedule_group})

    def _pings(self, name: str, args: WarmingArgs, schedules: Schedules) -> None:
        endpoint, model = self._endpoint, self._endpoint.model_arn
        called = {"ENDPOINT_NAME": endpoint.invoke_target} if model is None else {"MODEL_FUNCTION": model}
        most = max(ping.parallel for ping in args.plan.pings)
        zipped = Zip(
            name=self._home.names.named(WARMER),
            handler="handlers.functions.aws.warmer.handler",
            purpose="Pings the endpoint",
            code=self._function.code,
            memory_mb=self._function.memory_mb,
            # Pings that are sent together keep their instances the longer, the more they are.
            timeout_s=endpoint.cold_start_budget_s + self._function.timeouts.model_s + math.ceil(most * HELD_S) + HOP_S,
            variables={"SERVICE": self._home.names.prefix, **called},
            statements=lambda place: [schedules.leave_dead_letters(place)],
            endpoint=endpoint if model is None else None,
            grants=() if model is None else (partial(_may_call, model, WARMED_ALIAS if args.plan.has_floor else ALIAS),),
        )
        live, runs_as = self._called(name, zipped, schedules, retries=0, age_s=PING_AGE_S)
        for position, ping in enumerate(args.plan.pings):
            end = lease_end(ping)
            if not outlasts(end, args.now):
                continue
            times = [at(each) for each in ping_firings(ping)] or [every(ping.every_minutes, end)]
            for step, when in enumerate(times):
                text = pulumi.Output.json_dumps({"parallel": ping.parallel})
                schedules.add(f"{name}-{position}-{step}", when, live.alias.arn, text, runs_as, self)

    def _checks(self, name: str, args: WarmingArgs, levels: "Levels", schedules: Schedules) -> None:
        # Imported where it is used: SageMaker's part of the SDK takes longer than all that a Lambda stack needs.
        from components.aws.endpoint_floor import checks_between, update

        target = self._home.names.endpoint

        def rights(place: Place) -> list[Statement]:
            described = allow("sagemaker:DescribeEndpoint", place.arn("sagemaker", f"endpoint/{target.lower()}"))
            return [described, update(place, target, *levels.scheduled.values()), schedules.leave_dead_letters(place)]

        zipped = Zip(
            name=self._home.names.named(RECONCILER),
            handler="handlers.functions.aws.reconciler.handler",
            purpose="Gives the endpoint the floor of the plan",
            code=self._function.code,
            memory_mb=RECONCILER_MB,
            timeout_s=RECONCILER_S,
            variables={"ENDPOINT_NAME": self._endpoint.invoke_target},
            statements=rights,
        )
        live, runs_as = self._called(name, zipped, schedules, retries=2, age_s=MAX_AGE_S)
        for position, (floor, when, text) in enumerate(checks_between(levels, args)):
            schedules.add(f"{name}-{floor}-{position}", when, live.alias.arn, text, runs_as, self)

    def _called(self, name: str, zipped: Zip, schedules: Schedules, *, retries: int, age_s: int) -> tuple[Live, RunsAs]:
        """A function that schedules call, as events: what fails in it comes again `retries` times, then lies with their dead letters."""
        live = zip_function(name, self._home, zipped, self)
        asynchronous(name, live, schedules.dead_letters, self, retries=retries, age_s=age_s)
        self.log_groups.append(live.logs.name)
        rights = [may(["lambda:InvokeFunction"], live.alias.arn)]
        return live, schedules.role(f"{name}-schedule", f"Calls {zipped.name}", lambda _: rights, self)


def _may_call(model: pulumi.Output[str], alias: str, principal: Principal) -> aws.iam.RolePolicy:
    """One role may call an alias. Under a name of its own: a plan that comes or goes changes which alias that is, and the right to call the
    old one stays until the function calls the new one."""
    return aws.iam.RolePolicy(
        f"{principal.name}-calls-{alias}",
        role=principal.identity,
        policy=json_text(document(may(["lambda:InvokeFunction"], model))),
        opts=pulumi.ResourceOptions(parent=principal.parent),
    )
