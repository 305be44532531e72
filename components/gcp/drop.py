"""What drops the warming floor when a budget is spent: its topic, a push, a function; what fails on the way lies among dead letters.

What was dropped stays so, beyond the end of the month too, until an `up --refresh` restores the plan.
"""

from dataclasses import dataclass

import pulumi

from components.args import FunctionArgs
from components.contract import Principal
from components.gcp.cloud_run import CloudRunEndpoint
from components.gcp.context import GcpContext
from components.gcp.function import FunctionService, Live, function_service
from components.gcp.run_service import let_in
from components.gcp.service_accounts import account, custom_role, project_member
from components.gcp.topics import dead_letters, pulled, pushed, topic, waiting
from components.gcp.watch import Alarm
from components.timeouts import HOP_S

FLOOR, DEAD = "floor", "floor-dead"
FLOOR_S = 300
ATTEMPTS = 10
# Cloud Scheduler documentation, IAM permissions: to read a job and to pause it. Jobs have no policies of their own.
PAUSE = ("cloudscheduler.jobs.get", "cloudscheduler.jobs.pause")
LEFT = "The budget is spent and the floor could not be dropped: take `warming` out and run `pulumi up --refresh`."


@dataclass(frozen=True, kw_only=True)
class Drop:
    """The topic for the budget, ready to be published to, and the alarms of what is behind it."""

    topic: pulumi.Output[str]
    ready: list[pulumi.Resource]
    alarms: list[Alarm]


def drop(name: str, home: GcpContext, endpoint: CloudRunEndpoint, function: FunctionArgs, parent: pulumi.Resource) -> Drop:
    """Topic > push > function, which pauses what would raise the floor again and sets it to 0."""
    told, dead = topic(name, home, FLOOR, parent), topic(f"{name}-dead", home, DEAD, parent)
    letters = pulled(f"{name}-dead", home, DEAD, dead, parent, keep=False)
    live = _function(name, home, endpoint, function, parent)
    pushes = account(f"{name}-push", home, "spent", "Tells the floor's function of the budget", parent)
    granted = let_in(live.service, Principal(name=f"{name}-push", identity=pushes.email, parent=parent))
    tells = pushed(
        name,
        home,
        FLOOR,
        told,
        live.service.uri,
        pushes.email,
        parent,
        ready=[granted, letters],
        ack_s=FLOOR_S + HOP_S,
        dead=dead,
        attempts=ATTEMPTS,
    )
    # What fails for good ends there, so that one alarm is enough.
    alarms = [waiting("budget-dead-letters", LEFT, letters.name)]
    return Drop(topic=told.id, ready=[tells, *dead_letters(name, home, tells, dead, parent)], alarms=alarms)


def _function(name: str, home: GcpContext, endpoint: CloudRunEndpoint, function: FunctionArgs, parent: pulumi.Resource) -> Live:
    def grants(who: pulumi.Output[str]) -> list[pulumi.Resource]:
        return [*endpoint.setter.let(name, who, parent), *([_pauses(name, home, endpoint, who, parent)] if endpoint.jobs else [])]

    schedules = {"SCHEDULES": pulumi.Output.all(*endpoint.jobs).apply(",".join)} if endpoint.jobs else {}
    of = FunctionService(
        role=FLOOR,
        name=home.names.service(FLOOR),
        purpose="Drops the warming floor when the budget is spent",
        memory_mb=function.memory_mb,
        timeout_s=FLOOR_S,
        requests=1,
        max_instances=1,
        variables={"ENDPOINT_SERVICE": endpoint.service.id, **schedules},
        grants=grants,
        invokes=False,
    )
    return function_service(name, home, of, endpoint, parent)


def _pauses(name: str, home: GcpContext, endpoint: CloudRunEndpoint, who: pulumi.Output[str], parent: pulumi.Resource) -> pulumi.Resource:
    role = custom_role(f"{name}-pauses", home, "PausesJobs", "pauses what keeps its endpoint warm", PAUSE, endpoint.account, parent)
    return project_member(f"{name}-pauses", home, role.name, who, parent)
