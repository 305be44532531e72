"""What the floors of both platforms share: who may stop the schedules, and how a floor is dropped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pulumi

from components.args import WarmingArgs
from components.aws.context import AwsContext
from components.aws.iam import Place, Statement, allow
from components.aws.roles import may
from components.aws.schedules import Schedules
from components.contract import Endpoint
from components.warming_plan import Plan, floor_at

if TYPE_CHECKING:
    from components.aws.endpoint_floor import Levels


@dataclass(frozen=True, kw_only=True)
class Drop:
    """How a floor is dropped: what the function that does it is told, and what its role may do for it."""

    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    rights: Callable[[Place], Sequence[Statement]] = lambda _: []


class Warmed(Endpoint, Protocol):
    """An endpoint of this cloud, as warming and budget see it."""

    model_arn: pulumi.Output[str] | None
    """The alias to call where the model is a function."""
    schedules: Schedules | None
    levels: "Levels | None"
    """The configurations that schedules swap, where its floor is swapped."""
    drop: Drop


def schedules_of(name: str, home: AwsContext, prefix: str, needed: bool, parent: pulumi.Resource) -> Schedules | None:
    """The schedules of an endpoint that needs some.

    They are the endpoint's, because a swap must be ready before the endpoint that it moves, and `prefix` is its platform's, because
    the old platform's schedules are still there while the new one's are made.
    """
    return Schedules(name, home, prefix, pulumi.ResourceOptions(parent=parent)) if needed else None


def stop_schedules(place: Place, schedules: Schedules) -> list[Statement]:
    """Disable every schedule of the group. An update names the schedule's role again, which is a hand-over of that role.

    Listing has no resource level (service authorization reference, EventBridge Scheduler): `*` is all that AWS offers.
    """
    handed = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    return [
        allow("scheduler:ListSchedules", "*"),
        allow(["scheduler:GetSchedule", "scheduler:UpdateSchedule"], place.arn("scheduler", f"schedule/{schedules.prefix}/*")),
        may(["iam:PassRole"], *schedules.roles, Condition=handed),
    ]


def declared(warming: WarmingArgs | None) -> tuple[Plan | None, int]:
    """The plan, and the floor of the moment that the program declares."""
    return (None, 0) if warming is None else (warming.plan, floor_at(warming.plan, warming.now))


def needs_schedules(plan: Plan | None, swapped: bool) -> bool:
    """Pings and swaps are schedules; application auto scaling has its own."""
    return plan is not None and (swapped or bool(plan.pings))
