"""Grants: built-in roles, the narrowest there are, on one resource each; custom ones where the narrowest is far too wide."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext

# Built-in roles have one id in every tenant (Azure documentation, Azure built-in roles).
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
# There is none that only writes.
BLOB_WRITER = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
# Spans are among what it writes (Azure Monitor documentation, Microsoft Entra authentication for Application Insights).
METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
QUEUE_READER = "19e7f393-937e-4f77-808e-94535e297925"
QUEUE_SENDER = "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"
# Who holds a message for longer writes to it, which the role that only processes messages does not allow.
QUEUE_TAKER = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
TABLE_WRITER = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A resource, by its id and by words that tell it from others of the stack."""

    id: pulumi.Input[str]
    words: str


@dataclass(frozen=True, kw_only=True)
class CustomRole:
    """A role of the stack's own, by what stands for its GUID, and what must be there before it is assigned."""

    guid: str
    ready: tuple[pulumi.Resource, ...]


def custom_role(name: str, home: AzureContext, purpose: str, actions: Sequence[str], parent: pulumi.Resource) -> CustomRole:
    """A role of just these actions, which can be assigned in the stack's group alone. Its name must be the only one in the tenant (Azure
    RBAC documentation, custom roles), so it has the stack and a hash of the subscription in it."""
    guid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{home.subscription}/{home.names.group}/roles/{purpose}"))
    group = home.group_id(name, parent)
    made = azure.authorization.RoleDefinition(
        f"{name}-role",
        role_definition_id=guid,
        scope=group,
        role_name=f"{home.names.prefix} {purpose} {home.names.world}",
        role_type="CustomRole",
        description=f"Of {home.names.prefix}: {purpose}, and nothing else.",
        permissions=[azure.authorization.PermissionArgs(actions=list(actions), not_actions=[], data_actions=[], not_data_actions=[])],
        assignable_scopes=[group],
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return CustomRole(guid=guid, ready=(made,))


def assign(
    name: str,
    home: AzureContext,
    role: str,
    who: azure.managedidentity.UserAssignedIdentity,
    scope: Scope,
    parent: pulumi.Resource,
    ready: Sequence[pulumi.Resource] = (),
) -> azure.authorization.RoleAssignment:
    """A role on one resource for one identity.

    Its name is derived from what it grants where to whom (`parent` and logical name have the part in them), since one that the provider
    made up would be another one in each preview. Told what the principal is, Azure does not look it up in its directory, which learns of
    a new one late.
    """
    return azure.authorization.RoleAssignment(
        name,
        role_assignment_name=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{home.subscription}/{home.names.group}/{scope.words}/{role}/{name}")),
        scope=scope.id,
        role_definition_id=f"/subscriptions/{home.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        principal_id=who.principal_id,
        principal_type="ServicePrincipal",
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(ready)),
    )
