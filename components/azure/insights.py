"""Application Insights: where the gateway, the functions and the endpoint tell what a request took, as spans of one trace."""

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext, SpanStore
from components.azure.roles import METRICS_PUBLISHER, Scope, assign

# What Azure's own clients read (Azure Monitor documentation, connection strings).
CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"


class Insights(pulumi.ComponentResource):
    """A component on the stack's workspace, where its rows lie beside the lines. Who tells it something has a role there and shows a
    token: its connection string, which says where it is, opens nothing."""

    store: SpanStore

    def __init__(self, name: str, home: AzureContext, workspace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:Insights", name, None, opts)
        made = azure.applicationinsights.Component(
            f"{name}-component",
            resource_name_=home.names.prefix,
            resource_group_name=home.group(name, self),
            kind="web",
            application_type="web",
            ingestion_mode="LogAnalytics",
            workspace_resource_id=workspace,
            disable_local_auth=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.store = SpanStore(id=made.id, connection=made.connection_string)
        self.register_outputs({"id": made.id})


def grant_publisher(
    name: str,
    home: AzureContext,
    store: SpanStore,
    who: azure.managedidentity.UserAssignedIdentity,
    parent: pulumi.Resource,
) -> azure.authorization.RoleAssignment:
    """Let an identity tell spans, and read nothing."""
    return assign(f"{name}-spans", home, METRICS_PUBLISHER, who, Scope(id=store.id, words="insights"), parent)


def telling(
    name: str, home: AzureContext, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource
) -> tuple[dict[str, pulumi.Input[str]], list[pulumi.Resource]]:
    """What an app is told that tells its spans as that identity, and the grant that it waits for; nothing of either without tracing."""
    if home.insights is None:
        return {}, []
    return {CONNECTION: home.insights.connection}, [grant_publisher(name, home, home.insights, who, parent)]
