"""The floor of a Lambda alias: provisioned concurrency, moved by application auto scaling where the plan has windows.

An alias keeps its floor when it moves to another version: Lambda takes it from the old version and gives it to the new one, whose
calls start cold until it is there (developer guide, provisioned concurrency). The alias that has the floor goes with the plan, and what
Lambda keeps warm goes with its alias (seen on AWS: LocalStack's recorded test_lambda_provisioned_lifecycle), whichever schedule set it last
and whatever the state says: else a floor would stay, and be billed, after a window that no `up` saw.
"""

import pulumi
import pulumi_aws as aws

from components.args import WarmingArgs
from components.aws.autoscaling import alias as scalable
from components.aws.autoscaling import register, scaled, scaled_variables
from components.aws.floor import Drop
from components.aws.roles import may
from components.warming_plan import floor_at


def alias_floor(name: str, alias: aws.lambda_.Alias, warming: WarmingArgs, parent: pulumi.Resource) -> Drop:
    """Declare the floor of now, and what changes it; gives back how it is dropped.

    The floor is declared beside the scalable target, because deregistering a target changes nothing: a window that is taken out of a
    plan with a floor outside must take its own along.
    """
    floor = floor_at(warming.plan, warming.now)
    variables: dict[str, pulumi.Input[str]] = {"MODEL_FUNCTION": alias.arn}
    # What registers the target must itself be allowed to read and set what the target scales.
    verbs = ("Delete", "Get", "Put") if warming.plan.scheduled else ("Delete",)
    statements = [may([f"lambda:{verb}ProvisionedConcurrencyConfig" for verb in verbs], alias.arn)]
    ready: list[pulumi.Resource] = []
    if floor:
        ready = [
            aws.lambda_.ProvisionedConcurrencyConfig(
                f"{name}-provisioned",
                function_name=alias.function_name,
                qualifier=alias.name,
                provisioned_concurrent_executions=floor,
                # Two aliases of one version can't both have one, and before there was `warmed` it was `live` that had it.
                opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
            )
        ]
    if warming.plan.scheduled:
        target = scaled(name, scalable(alias.function_name, alias.name), warming, parent, ready)
        variables |= scaled_variables(target)
        return Drop(variables=variables, rights=lambda place: [*statements, *register(place, target)])
    return Drop(variables=variables, rights=lambda _: statements)
