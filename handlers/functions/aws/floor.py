"""What drops the warming floor when the budget is spent: budget -> topic -> this.

handlers.functions.aws.floor.handler     # the Lambda handler; variables in docs/architecture.md, contract 3

First everything is stopped that would raise the floor again, then the floor goes. Doing it twice changes nothing more.
"""

import functools
import os
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


def drop(floor: Floor, client: Client) -> list[str]:
    """Drop it; the names of what was done. botocore's errors go on: Lambda calls again, then the event is a dead letter."""
    done = []
    if floor.schedule_group is not None:
        done += [f"disabled {name}" for name in _disable(client("scheduler"), floor.schedule_group)]
    if floor.scalable_resource is not None and floor.scalable_dimension is not None:
        _suspend(client("application-autoscaling"), floor.scalable_resource, floor.scalable_dimension)
        done.append(f"suspended {floor.scalable_resource}")
    if floor.endpoint is not None and _cooled(client("sagemaker"), floor.endpoint, str(floor.cold_config)):
        done.append(f"moved {floor.endpoint} to {floor.cold_config}")
    if floor.model_function is not None and _deprovisioned(client("lambda"), floor.model_function):
        done.append(f"deprovisioned {floor.model_function}")
    return done


def _disable(scheduler: Any, group: str) -> list[str]:
    names = [
        each["Name"]
        for page in scheduler.get_paginator("list_schedules").paginate(GroupName=group, State="ENABLED")
        for each in page["Schedules"]
    ]
    for name in names:
        schedule = scheduler.get_schedule(GroupName=group, Name=name)
        scheduler.update_schedule(**{key: schedule[key] for key in _KEPT if key in schedule}, State="DISABLED")
    return names


def _suspend(scaling: Any, resource: str, dimension: str) -> None:
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


def _cooled(sagemaker: Any, endpoint: str, config: str) -> bool:
    """Whether the endpoint had to be moved: whether UpdateEndpoint takes the configuration in use is not documented."""
    if sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"] == config:
        return False
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    return True


def _deprovisioned(functions: Any, alias_arn: str) -> bool:
    """Whether the alias had a floor still; application auto scaling may have been there before."""
    function, _, alias = alias_arn.rpartition(":")
    try:
        functions.delete_provisioned_concurrency_config(FunctionName=function, Qualifier=alias)
    except functions.exceptions.ResourceNotFoundException:
        return False
    return True


@functools.cache
def _floor() -> Floor:
    return Floor.read(os.environ)


def _client(service: str) -> Any:
    import boto3  # here, so that tests of everything else need no region

    boto: Any = boto3  # its types know services by literal names only
    return boto.client(service)


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[str]]:
    """Drop the floor, whatever the message says: only the budget can send one."""
    try:
        done = drop(_floor(), _client)
    except ClientError as error:
        logs.write_fault("floor_not_dropped", error)
        raise
    logs.write("floor_dropped", level="WARNING", done=done, restored_by=RESTORED_BY)
    return {"done": done}
