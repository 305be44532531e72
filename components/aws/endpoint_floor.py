"""The floor of a SageMaker Serverless endpoint: a configuration for each level, and what moves the endpoint between them.

Application auto scaling and provisioned concurrency do not go below 1 here (API reference, ProductionVariantServerlessConfig), so a
plan that is at 0 outside its windows swaps whole configurations; one that is at 1 or more is scaled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.args import WarmingArgs
from components.aws.context import AwsContext
from components.aws.iam import Place, Statement
from components.aws.roles import may
from components.aws.schedules import Schedules, When, at
from components.naming import short_hash
from components.warming_plan import Plan
from components.warming_schedule import assertions

Configuration = aws.sagemaker.EndpointConfiguration


def swaps(plan: Plan) -> bool:
    """Whether configurations are swapped by schedules."""
    return bool(plan.scheduled) and plan.base == 0


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Configurations by their floor: `declared` for the program, `scheduled` for schedules and for the budget.

    Whether UpdateEndpoint takes the configuration that is in use already is not documented. With one of its own for each side, the
    program never asks for what a schedule has set while the state still names another: equal floors, two names.
    """

    declared: dict[int, Configuration]
    scheduled: dict[int, Configuration]

    def same(self, floor: int) -> list[pulumi.Output[str]]:
        """The names of the configurations with this floor."""
        return [side[floor].name for side in (self.declared, self.scheduled) if floor in side]

    @property
    def known(self) -> list[pulumi.Output[str]]:
        """All names. A configuration that is none of them belongs to a deployment before or after this one."""
        return [each.name for side in (self.declared, self.scheduled) for each in side.values()]


def levels_of(name: str, plan: Plan | None, make: Callable[[str, int], Configuration]) -> Levels:
    """Every configuration that the plan can ask for, by `make(logical name, floor)`.

    Their names hold which floors the plan has: when those change, the program's configuration is another one in any case, so that
    an `up` moves the endpoint off what a schedule has set before that is deleted, whatever the state says.
    """
    if plan is None or not plan.has_floor:
        return Levels(declared={0: make(f"{name}-config", 0)}, scheduled={})
    of = short_hash("-".join(map(str, plan.levels)), 4)
    # What the budget drops the floor to is there in any case.
    scheduled = plan.levels if swaps(plan) else [0]
    return Levels(
        declared={floor: make(f"{name}-floor-{floor}-{of}", floor) for floor in plan.levels},
        scheduled={floor: make(f"{name}-scheduled-{floor}-{of}", floor) for floor in scheduled},
    )


def moved(endpoint: aws.sagemaker.Endpoint, levels: Levels) -> None:
    """Refuse to go on where the endpoint serves what belongs to the deployment before this one.

    SageMaker takes an update back that does not come up, and the provider calls that a success (terraform-provider-aws issues 46663
    and 48997). This `up` would then delete the configuration in use, without which the endpoint takes no update any more. A program
    that fails deletes nothing.
    """

    # Schedules are moved before the endpoint, so that an edge within an `up` names what is there after it.
    before = ", before the next edge of a window: its schedule asks for the new configuration" if len(levels.scheduled) > 1 else ""

    def judge(of: Mapping[str, Any]) -> None:
        if of["live"] not in of["known"]:
            raise pulumi.RunError(
                f"The endpoint {of['name']!r} serves {of['live']!r} still: SageMaker took the update back. Why: its log group, and "
                f"FailureReason in `aws sagemaker describe-endpoint --endpoint-name {of['name']}`. "
                f"Nothing was deleted: mend it and run `up` again{before}."
            )

    pulumi.Output.all(name=endpoint.name, live=endpoint.endpoint_config_name, known=levels.known).apply(judge)


def update(place: Place, endpoint: str, *configurations: Configuration) -> Statement:
    """Move one endpoint to these configurations (service authorization reference: both are resources of UpdateEndpoint)."""
    prefix = place.arn("sagemaker", "endpoint-config/")
    named = [pulumi.Output.concat(prefix, each.name) for each in configurations]
    return may(["sagemaker:UpdateEndpoint"], place.arn("sagemaker", f"endpoint/{endpoint.lower()}"), *named)


def swap_at_edges(
    name: str, home: AwsContext, levels: Levels, warming: WarmingArgs, schedules: Schedules, parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """A schedule for each edge that calls UpdateEndpoint itself (universal target), under a role that may do only that.

    The endpoint depends on them: an edge that comes while an `up` moves the endpoint must already name the new configurations,
    because SageMaker refuses it until the update is over, and the old ones go when the `up` ends.
    """
    runs_as = schedules.role(
        f"{name}-swap",
        "Swaps the endpoint's configuration",
        lambda place: [update(place, home.names.endpoint, *levels.scheduled.values())],
        parent,
    )
    target = f"arn:{home.place.partition}:scheduler:::aws-sdk:sagemaker:updateEndpoint"
    edges = [each for each in assertions(warming.plan) if each.edge]
    return [
        schedules.add(
            f"{name}-edge-{edge.floor}-{position}",
            at(edge.firing),
            target,
            pulumi.Output.json_dumps({"EndpointName": home.names.endpoint, "EndpointConfigName": levels.scheduled[edge.floor].name}),
            runs_as,
            parent,
        )
        for position, edge in enumerate(edges)
        if edge.firing.is_declared(warming.now)
    ]


def checks_between(levels: Levels, warming: WarmingArgs) -> list[tuple[int, When, pulumi.Output[str]]]:
    """Floor, time and input of every check that the endpoint has the floor of the plan.

    A check swaps only what belongs to this deployment and has another floor, so that an unconditional swap is never repeated: each
    one deploys a new fleet and keeps the endpoint from being updated for minutes.
    """
    return [
        (
            each.floor,
            at(each.firing),
            pulumi.Output.json_dumps({"config": levels.scheduled[each.floor].name, "same": levels.same(each.floor), "known": levels.known}),
        )
        for each in assertions(warming.plan)
        if not each.edge and each.firing.is_declared(warming.now)
    ]
