"""What container apps run in: an environment of the stack, and the workspace that takes their lines."""

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.limits_azure import CONSUMPTION, CONTAINER_APPS_GPUS, CONTAINER_APPS_PROFILES, WORKSPACE_NAME
from components.naming import bounded

LOGS = ("ContainerAppConsoleLogs", "ContainerAppSystemLogs")
GPU = "gpu"


class ContainerEnvironment(pulumi.ComponentResource):
    """An environment on workload profiles, where apps reach each other without leaving it. Lines go to the workspace by a diagnostic
    setting, which needs no key of the workspace's, so that it has none."""

    id: pulumi.Output[str]

    def __init__(self, name: str, home: AzureContext, gpu: str | None, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ContainerEnvironment", name, None, opts)
        group, inside = home.group(name, self), pulumi.ResourceOptions(parent=self)
        workspace = azure.operationalinsights.Workspace(
            # Azure keeps a deleted workspace for 14 days, its name taken elsewhere and its lines to come back with it: each has a new name.
            bounded(f"{name}-workspace", WORKSPACE_NAME),
            resource_group_name=group,
            retention_in_days=home.log_retention_days,
            sku=azure.operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
            features=azure.operationalinsights.WorkspaceFeaturesArgs(disable_local_auth=True),
            opts=inside,
        )
        home.workspace = workspace.id
        if home.tracing:
            from components.azure.insights import Insights

            home.insights = Insights(f"{name}-insights", home, workspace.id, inside).store
        made = azure.app.ManagedEnvironment(
            home.placed(f"{name}-environment"),
            environment_name=home.names.environment,
            resource_group_name=group,
            # Not `internal`: API Management's Consumption tier, which has no place in a network, calls the function from outside.
            vnet_configuration=_network(name, home, self),
            infrastructure_resource_group=None if home.network is None else home.names.infrastructure,
            app_logs_configuration=azure.app.AppLogsConfigurationArgs(destination="azure-monitor"),
            workload_profiles=[
                azure.app.WorkloadProfileArgs(name=profile, workload_profile_type=type_) for profile, type_ in profiles(gpu).items()
            ],
            opts=inside,
        )
        logged = azure.monitor.DiagnosticSetting(
            home.placed(f"{name}-logs"),
            name="logs",
            resource_uri=made.id,
            workspace_id=workspace.id,
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category=each, enabled=True) for each in LOGS],
            opts=inside,
        )
        # Through the setting, so that no app starts whose first lines would go nowhere.
        self.id = pulumi.Output.all(made.id, logged.id).apply(lambda known: str(known[0]))
        self.register_outputs({"id": self.id})


def _network(name: str, home: AzureContext, parent: pulumi.Resource) -> azure.app.VnetConfigurationArgs | None:
    """The subnet of the environment's, None where Azure makes one that nobody sees."""
    asked = home.network
    if asked is None:
        return None
    if asked.addresses is None:
        return azure.app.VnetConfigurationArgs(infrastructure_subnet_id=asked.subnet_id, internal=False)
    # Imported where it is used: most stacks have none, and that part of the SDK is the largest.
    from components.azure.network import EnvironmentNetwork

    made = EnvironmentNetwork(f"{name}-place", home, asked.addresses, pulumi.ResourceOptions(parent=parent))
    return azure.app.VnetConfigurationArgs(infrastructure_subnet_id=made.subnet_id, internal=False)


def profiles(gpu: str | None) -> dict[str, str]:
    """The environment's workload profiles: their types by names of ours, which are short (a type's own name is too long for one,
    Azure/azure-cli issue 31239). None has counts: those of the consumption kind take none. Raises RunError for a GPU that there is not."""
    if gpu is not None and gpu not in CONTAINER_APPS_GPUS:
        raise pulumi.RunError(
            f"There is no workload profile for the GPU {gpu!r}: use {' or '.join(CONTAINER_APPS_GPUS)} ({CONTAINER_APPS_PROFILES})."
        )
    return {CONSUMPTION: CONSUMPTION, **({} if gpu is None else {GPU: CONTAINER_APPS_GPUS[gpu].type})}
