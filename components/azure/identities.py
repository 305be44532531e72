"""The identity of one part: a user-assigned one of its own, without any right at first."""

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext


def identity(name: str, home: AzureContext, role: str, parent: pulumi.Resource) -> azure.managedidentity.UserAssignedIdentity:
    """The identity of the part with that role; its grants stand beside what they are for. It is there before what runs as it, whose
    rights are there before it runs: an identity of an app's own would come after both."""
    return azure.managedidentity.UserAssignedIdentity(
        f"{name}-identity",
        resource_name_=home.names.identity(role),
        resource_group_name=home.group(name, parent),
        opts=pulumi.ResourceOptions(parent=parent),
    )
