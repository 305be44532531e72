"""What drops the warming floor when a budget is spent: a job that asks the budget, several times a day, and then changes the endpoint.

Nothing calls it: there is no address and no secret, and nobody but its own clock can make it start
(docs/decisions/0013-on-azure-the-floor-asks-the-budget.md). What was dropped stays so, beyond the end of the month too, until an
`up --refresh` restores the plan.
"""

import pulumi
import pulumi_azure_native as azure

from components.args import FunctionArgs
from components.azure.context import AzureContext
from components.azure.endpoint import ContainerAppsEndpoint
from components.azure.identities import identity
from components.azure.job import Job, scheduled_job
from components.azure.roles import Scope, assign, custom_role
from components.azure.watch import Alarm, failed
from components.limits_azure import CONTAINER_APPS_MB_PER_CPU

FLOOR = "floor"
# Costs come once a day; whoever restores a plan while the budget is spent sees it dropped again within hours.
EVERY_4_HOURS, FLOOR_S = "23 0,4,8,12,16,20 * * *", 300
# A budget is part of the group, where a role would be one on all that is in it: it reads budgets alone.
ASKS = ("Microsoft.Consumption/budgets/read",)
# To change an app or a job is to write it: there is no action for its scale, or for its schedule.
CHANGES = ("Microsoft.App/containerApps/read", "Microsoft.App/containerApps/write")
STOPS = ("Microsoft.App/jobs/read", "Microsoft.App/jobs/write")
LEFT = "The budget can't be asked, or is spent and the floor could not be dropped: see its log, take `warming` out where it is spent."


def drop(
    name: str,
    home: AzureContext,
    endpoint: ContainerAppsEndpoint,
    budget: azure.consumption.Budget,
    function: FunctionArgs,
    parent: pulumi.Resource,
) -> list[Alarm]:
    """The job under an identity of its own, which may read this group's budgets, change this one app and stop these pings."""
    who = identity(name, home, FLOOR, parent)
    app, group = Scope(id=endpoint.id, words="endpoint"), home.group_id(name, parent)
    asks = custom_role(f"{name}-asks", home, "asks the budget", ASKS, parent)
    changes = custom_role(f"{name}-changes", home, "drops the floor", CHANGES, parent)
    granted = [
        endpoint.image.grant_pull(name, home, who, parent),
        assign(f"{name}-asks", home, asks.guid, who, Scope(id=group, words="group"), parent, asks.ready),
        assign(f"{name}-changes", home, changes.guid, who, app, parent, changes.ready),
    ]
    if endpoint.jobs:
        stops = custom_role(f"{name}-stops", home, "stops pings", STOPS, parent)
        granted += [
            assign(f"{name}-stops-{position}", home, stops.guid, who, Scope(id=job, words=f"ping-{position}"), parent, stops.ready)
            for position, job in enumerate(endpoint.jobs)
        ]
    pings = {"PING_JOBS": pulumi.Output.all(*endpoint.jobs).apply(",".join)} if endpoint.jobs else {}
    job = Job(
        name=home.names.app(FLOOR),
        environment=endpoint.environment.id,
        identity=who,
        image=endpoint.image.functions,
        server=endpoint.image.registry.login_server,
        args=[FLOOR],
        variables={
            # What Azure says as a budget's id has no slash before it (Consumption REST API, its examples).
            "BUDGET": pulumi.Output.format("{0}/providers/Microsoft.Consumption/budgets/{1}", group, budget.name),
            "ENDPOINT_APP": endpoint.id,
            **pings,
            "SERVICE": home.stack,
            "AZURE_CLIENT_ID": who.client_id,
        },
        cpu=function.memory_mb / CONTAINER_APPS_MB_PER_CPU,
        memory_mb=function.memory_mb,
        cron=EVERY_4_HOURS,
        timeout_s=FLOOR_S,
    )
    made = scheduled_job(name, home, job, parent, [*granted, *endpoint.image.ready])
    return [failed(FLOOR, LEFT, made.id)]
