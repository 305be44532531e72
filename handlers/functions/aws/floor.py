"""What drops the warming floor when the budget is spent: budget -> topic -> this.

handlers.functions.aws.floor.handler     # the Lambda handler; variables in docs/architecture.md, contract 3

First everything is stopped that would raise the floor again, then the floor goes. Doing it twice changes nothing more.
"""

import functools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from handlers.functions import logs
from handlers.functions.environment import Environment

# What UpdateSchedule takes of what GetSchedule gives: an update replaces the whole schedule.
_KEPT = (
    "ActionAfterCompletion", "Description", "EndDate", "FlexibleTimeWindow", "GroupName", "KmsKeyArn", "Name", "ScheduleExpression",
    "ScheduleExpressionTimezone", "StartDate", "Target",
)  # fmt: skip
Client = Callable[[str], Any]
# How long the invocation has, in seconds.
Left = Callable[[], float]
# An endpoint under way is looked at so often, first soon, then more seldom, and as long as an answer still fits in.
POLL_S, MOST_POLL_S, SPARE_S = 1.0, 16.0, 20.0
_SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")
RESTORED_BY = "`pulumi up --refresh` restores the plan; an up without the refresh does not see what was dropped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What has a floor, each None where the stack has none of it."""

    schedule_group: str | None
    scalable_resource: str | None
    scalable_dimension: str | None
    endpoint: str | None
    cold_config: str | None
    model_function: str | None

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Floor":
        """Raises SettingsError for variables that belong together and are not."""
        environment = Environment(variables)
        resource, endpoint = environment.text("SCALABLE_RESOURCE"), environment.text("ENDPOINT_NAME")
        floor = cls(
            schedule_group=environment.text("SCHEDULE_GROUP"),
            scalable_resource=resource,
            scalable_dimension=environment.required("SCALABLE_DIMENSION", "the target's dimension") if resource else None,
            endpoint=endpoint,
            cold_config=environment.required("COLD_CONFIG", "the configuration without a floor") if endpoint else None,
            model_function=environment.text("MODEL_FUNCTION"),
        )
        environment.check()
        return floor


class BusyError(Exception):
    """The endpoint was being moved for as long as there was time."""


class _Errors:
    """One part after the other is tried, whatever became of the one before; the first error is raised at the end."""

    def __init__(self) -> None:
        self._found: list[ClientError | BusyError] = []

    def tried(self, part: Callable[..., list[str]], *arguments: Any) -> list[str]:
        try:
            return part(*arguments)
        except (ClientError, BusyError) as error:
            self._found.append(error)
            return []

    def told(self, done: list[str]) -> list[str]:
        for error in self._found:
            logs.write("floor_in_part", level="ERROR", done=done, message=str(error))
        if self._found:
            raise self._found[0]
        return done


def drop(floor: Floor, client: Client, left: Left) -> list[str]:
    """Drop it; the names of what was done. botocore's errors and BusyError go on: Lambda calls again, then the event is a dead letter."""
    errors, done = _Errors(), list[str]()
    if floor.schedule_group is not None:
        scheduler = client("scheduler")
        for name in errors.tried(_enabled, scheduler, floor.schedule_group):
            done += errors.tried(_disabled, scheduler, floor.schedule_group, name)
    if floor.scalable_resource is not None and floor.scalable_dimension is not None:
        done += errors.tried(_suspended, client("application-autoscaling"), floor.scalable_resource, floor.scalable_dimension)
    if floor.endpoint is not None:
        done += errors.tried(_cooled, client("sagemaker"), floor.endpoint, str(floor.cold_config), left)
    if floor.model_function is not None:
        done += errors.tried(_deprovisioned, client("lambda"), floor.model_function)
    return errors.told(done)


def _enabled(scheduler: Any, group: str) -> list[str]:
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group, State="ENABLED")
    return [each["Name"] for page in pages for each in page["Schedules"]]


def _disabled(scheduler: Any, group: str, name: str) -> list[str]:
    schedule = scheduler.get_schedule(GroupName=group, Name=name)
    end = schedule.get("EndDate")
    if end is not None and end.timestamp() <= time.time():
        return []  # it calls nothing any more, and no update is known to take an end that is over
    scheduler.update_schedule(**{key: schedule[key] for key in _KEPT if key in schedule}, State="DISABLED")
    return [f"disabled {name}"]


def _suspended(scaling: Any, resource: str, dimension: str) -> list[str]:
    """No action moves it any more; a Lambda alias goes to 0, an endpoint's floor goes with its configuration."""
    namespace = dimension.partition(":")[0]
    bounds = {"MinCapacity": 0, "MaxCapacity": 0} if namespace == "lambda" else {}
    scaling.register_scalable_target(
        ServiceNamespace=namespace,
        ResourceId=resource,
        ScalableDimension=dimension,
        SuspendedState={"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": True, "ScheduledScalingSuspended": True},
        **bounds,
    )
    return [f"suspended {resource}"]


def _cooled(sagemaker: Any, endpoint: str, config: str, left: Left) -> list[str]:
    """Seen settled with this configuration, or BusyError.

    An endpoint under way takes no update, and what it has is not what it will have: a swap that began before its schedule was disabled
    still brings the warm one up. So only what has settled is compared, and looked at again after the move. A configuration in use is
    not asked for: whether UpdateEndpoint takes it is not documented.
    """
    done, pause = list[str](), POLL_S
    while True:
        found = sagemaker.describe_endpoint(EndpointName=endpoint)
        if found["EndpointStatus"] in _SETTLED:
            if found["EndpointConfigName"] == config:
                return done
            try:
                sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
                done = [f"moved {endpoint} to {config}"]
            except ClientError as error:
                if "in-progress" not in str(error):
                    raise
        if left() < pause + SPARE_S:
            has = f"{found['EndpointStatus']} with {found['EndpointConfigName']}"
            raise BusyError(f"The endpoint {endpoint} is {has}, not in service with {config}, and there is no more time to wait.")
        time.sleep(pause)
        pause = min(2 * pause, MOST_POLL_S)


def _deprovisioned(functions: Any, alias_arn: str) -> list[str]:
    """The alias may have no floor any more: application auto scaling may have been there before."""
    function, _, alias = alias_arn.rpartition(":")
    try:
        functions.delete_provisioned_concurrency_config(FunctionName=function, Qualifier=alias)
    except functions.exceptions.ResourceNotFoundException:
        return []
    return [f"deprovisioned {alias_arn}"]


@functools.cache
def _floor() -> Floor:
    return Floor.read(os.environ)


def _client(service: str) -> Any:
    import boto3  # here, so that tests of everything else need no region

    boto: Any = boto3  # its types know services by literal names only
    return boto.client(service)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, list[str]]:
    """Drop the floor, whatever the message says: only budgets of this account can send one. `context` is Lambda's."""
    try:
        done = drop(_floor(), _client, lambda: context.get_remaining_time_in_millis() / 1000)
    except (ClientError, BusyError) as error:
        logs.write_fault("floor_not_dropped", error)
        raise
    logs.write("floor_dropped", level="WARNING", done=done, restored_by=RESTORED_BY)
    return {"done": done}
