"""The role of one service and its only policy."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import Statement, document, trust
from components.encoding import json_text
from components.limits import ROLE_NAME
from components.naming import bounded


def role(
    name: str,
    service: str,
    account: str,
    description: str,
    statements: Sequence[Statement],
    parent: pulumi.Resource,
) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
    """A role for one service of this account and its policy; what uses the role depends on the policy."""
    child = pulumi.ResourceOptions(parent=parent)
    made = aws.iam.Role(
        bounded(f"{name}-role", ROLE_NAME),
        assume_role_policy=json.dumps(trust(service, account)),
        description=description,
        opts=child,
    )
    return made, aws.iam.RolePolicy(f"{name}-policy", role=made.name, policy=json_text(document(*statements)), opts=child)


def may(actions: list[str], *resources: pulumi.Input[str], **more: Any) -> Statement:
    """A statement about resources whose names the service makes up."""
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources), **more}
