"""The identity of one part: a service account of its own, without any right at first."""

from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import IAM

if TYPE_CHECKING:
    from components.gcp.home import GcpHome


def account(name: str, home: "GcpHome", role: str, purpose: str, parent: pulumi.Resource) -> gcp.serviceaccount.Account:
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
