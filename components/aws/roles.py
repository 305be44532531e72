"""The role of one service and its only policy."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import trust
from components.limits import ROLE_NAME
from components.naming import bounded


def role(
    name: str,
    service: str,
    account: pulumi.Output[str],
    description: str,
    policy: pulumi.Output[Mapping[str, Any]],
    parent: pulumi.Resource,
) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
    """A role for one service of this account and its policy; what uses the role depends on the policy."""
    child = pulumi.ResourceOptions(parent=parent)
    document_of = account.apply(lambda known: trust(service, known))
    made = aws.iam.Role(
        bounded(f"{name}-role", ROLE_NAME), assume_role_policy=pulumi.Output.json_dumps(document_of), description=description, opts=child
    )
    return made, aws.iam.RolePolicy(f"{name}-policy", role=made.name, policy=pulumi.Output.json_dumps(policy), opts=child)
