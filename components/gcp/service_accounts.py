"""The identity of one part: a service account of its own, without any right at first."""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import IAM
from components.gcp.context import GcpContext


def account(name: str, home: GcpContext, role: str, purpose: str, parent: pulumi.Resource) -> gcp.serviceaccount.Account:
    """The account of the part with that role; its grants stand beside what they are for."""
    return gcp.serviceaccount.Account(
        f"{name}-account",
        account_id=home.names.account(role),
        display_name=f"{home.names.prefix} {role}",
        description=purpose,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=home.apis.enabled(name, parent, IAM)),
    )


def member(email: pulumi.Input[str]) -> pulumi.Output[str]:
    """A service account as policies name it."""
    return pulumi.Output.format("serviceAccount:{0}", email)


def project_member(
    name: str,
    home: GcpContext,
    role: pulumi.Input[str],
    who: pulumi.Input[str],
    parent: pulumi.Resource,
    *,
    condition: tuple[str, pulumi.Input[str]] | None = None,
    ready: Sequence[pulumi.Resource] = (),
    retain: bool = False,
) -> gcp.projects.IAMMember:
    """A role on the project for one member, under a condition (title and expression) where there is one. With `retain` it stays when
    the stack goes: a grant to an agent of Google's is the same for every stack of the project."""
    under = gcp.projects.IAMMemberConditionArgs
    return gcp.projects.IAMMember(
        name,
        project=home.project,
        role=role,
        member=who,
        condition=None if condition is None else under(title=condition[0], expression=condition[1]),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*home.apis.enabled(name, parent), *ready], retain_on_delete=retain),
    )


def custom_role(
    name: str,
    home: GcpContext,
    role: str,
    title: str,
    permissions: Sequence[str],
    of: gcp.serviceaccount.Account,
    parent: pulumi.Resource,
) -> gcp.projects.IAMCustomRole:
    """A role of just these permissions. A deleted role's id stays taken for weeks, so it has the number of an account that goes with
    the stack too."""
    return gcp.projects.IAMCustomRole(
        f"{name}-role",
        role_id=pulumi.Output.format("pilotlight{0}{1}", role, of.unique_id),
        title=f"{home.names.prefix}: {title}",
        permissions=list(permissions),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=home.apis.enabled(name, parent, IAM)),
    )
