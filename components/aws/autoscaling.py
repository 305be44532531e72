"""A floor that application auto scaling sets: a target whose minimum and maximum are the plan's, and the actions that move both."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.args import WarmingArgs
from components.aws.iam import Place, Statement, allow
from components.aws.roles import may
from components.aws.schedules import at
from components.warming_plan import floor_at
from components.warming_schedule import assertions


@dataclass(frozen=True, kw_only=True)
class Scalable:
    """What is scaled: service, dimension, and the resource's id as application auto scaling writes it."""

    namespace: str
    dimension: str
    resource_id: pulumi.Input[str]


def alias(function: pulumi.Input[str], name: pulumi.Input[str]) -> Scalable:
    """Provisioned concurrency of a Lambda alias, down to 0."""
    return Scalable(
        namespace="lambda",
        dimension="lambda:function:ProvisionedConcurrency",
        resource_id=pulumi.Output.format("function:{0}:{1}", function, name),
    )


def variant(endpoint: pulumi.Input[str], name: str) -> Scalable:
    """Provisioned concurrency of a serverless SageMaker variant, 1 or more."""
    return Scalable(
        namespace="sagemaker",
        dimension="sagemaker:variant:DesiredProvisionedConcurrency",
        resource_id=pulumi.Output.format("endpoint/{0}/variant/{1}", endpoint, name),
    )


def scaled(
    name: str, scalable: Scalable, warming: WarmingArgs, parent: pulumi.Resource, ready: list[pulumi.Resource]
) -> "aws.appautoscaling.Target":
    """The target with the floor of now, and an action for every firing of the plan that does not end too soon to be taken.

    Registering moves the capacity into the range at once, and so does every action (API reference, RegisterScalableTarget and
    ScalableTargetAction), so that minimum = maximum is the floor. The first registration makes the service-linked role, for which
    the deployer needs iam:CreateServiceLinkedRole. The actions come one after the other: two changes of one target at a time are
    refused (ConcurrentUpdateException), and the provider does not try again (terraform-provider-aws issue 17915).
    """
    floor = floor_at(warming.plan, warming.now)
    target = aws.appautoscaling.Target(
        f"{name}-target",
        service_namespace=scalable.namespace,
        scalable_dimension=scalable.dimension,
        resource_id=scalable.resource_id,
        min_capacity=floor,
        max_capacity=floor,
        # Told, so that a suspension by the budget is seen by a refresh and taken back.
        suspended_state=aws.appautoscaling.TargetSuspendedStateArgs(
            dynamic_scaling_in_suspended=False, dynamic_scaling_out_suspended=False, scheduled_scaling_suspended=False
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=ready),
    )
    last: pulumi.Resource = target
    for position, assertion in enumerate(assertions(warming.plan)):
        if not assertion.firing.is_declared(warming.now):
            continue
        when = at(assertion.firing)
        last = aws.appautoscaling.ScheduledAction(
            f"{name}-floor-{assertion.floor}-{position}",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            schedule=when.expression,
            timezone=when.timezone,
            end_time=when.end,
            scalable_target_action=aws.appautoscaling.ScheduledActionScalableTargetActionArgs(
                min_capacity=assertion.floor, max_capacity=assertion.floor
            ),
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[last]),
        )
    return target


def scaled_variables(target: "aws.appautoscaling.Target") -> dict[str, pulumi.Input[str]]:
    """What the function that drops the floor is told of a target."""
    return {"SCALABLE_RESOURCE": target.resource_id, "SCALABLE_DIMENSION": target.scalable_dimension}


def register(place: Place, target: "aws.appautoscaling.Target") -> list[Statement]:
    """Suspend one target and set its range. The service also asks for the caller's own rights, on what is scaled and on alarms (user
    guide, permissions validation for API calls on target resources, and "Additional required IAM permissions" of Lambda and SageMaker).

    Its alarms begin with `TargetTracking-`; on which one it tries the rights the guide does not say. So what AWS asks in the function's
    name may be any alarm, and what the function asks itself only those.
    """
    alarms = ["cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"]
    return [
        may(["application-autoscaling:RegisterScalableTarget"], target.arn),
        allow(alarms, place.arn("cloudwatch", "alarm:TargetTracking-*")),
        allow(alarms, place.arn("cloudwatch", "alarm:*"), Condition={"Bool": {"aws:ViaAWSService": "true"}}),
    ]
