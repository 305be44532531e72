"""What the parts of a service on Azure share: subscription, tenant and location, names, the resource group, whether data is kept."""

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from components.args import HomeArgs
from components.azure.names import names_of
from components.measures import Measure


@dataclass(frozen=True, kw_only=True)
class SpanStore:
    """What takes spans: the component's id, and the connection string by which it is found."""

    id: pulumi.Output[str]
    connection: pulumi.Output[str]


class AzureContext:
    """Subscription and names, asked once.

    `keep`   what holds data is protected: `pulumi destroy` refuses before it deletes anything
    `token`  the deployer's access token for Resource Manager, a secret, which is exchanged for one of the registry's
    `network` where the environment is placed; None: in one that Azure makes for it
    `workspace` the id of what takes the lines of all containers, once their environment is made
    `insights` what takes spans, once their environment is made, where `tracing` asks for it
    `counted` what functions count in their lines, for whoever draws it
    """

    def __init__(self, args: HomeArgs) -> None:
        # Waited for, so that names are plain texts, as on AWS.
        client = azure.authorization.get_client_config()
        self.subscription, self.tenant = client.subscription_id, client.tenant_id
        self.token: pulumi.Output[str] = pulumi.Output.secret(azure.authorization.get_client_token().token)
        if not azure.config.location:
            raise pulumi.RunError("azure-native:location: missing beside pilotlight:service.")
        self.region: str = azure.config.location
        self.stack = args.stack
        self.network = args.network
        self.names = names_of(args.project, args.stack, self.subscription, args.network, args.gpu)
        self.project = self.names.group
        self.keep = args.data_retention == "keep"
        self.log_retention_days = args.log_retention_days
        self.workspace: pulumi.Output[str] | None = None
        self.tracing = args.tracing
        self.insights: SpanStore | None = None
        self.counted: list[Measure] = []
        self._group: azure.resources.ResourceGroup | None = None

    def placed(self, name: str) -> str:
        """The logical name of something that lies in the environment: another one in each network and for each GPU, so that it is there
        beside the old one for a while, and is never without its guard."""
        return f"{name}{self.names.placed}"

    def lines(self) -> pulumi.Output[str]:
        """The id of the workspace. Raises RunError before there is one."""
        if self.workspace is None:
            raise pulumi.RunError("There are no lines to look at: make the endpoint first, whose environment has the workspace.")
        return self.workspace

    def group(self, name: str, parent: pulumi.Resource) -> pulumi.Output[str]:
        """The name of the group that everything lies in, made once, under the first part that needs it; `name` is the part's."""
        if self._group is None:
            self._group = azure.resources.ResourceGroup(
                f"{name}-group",
                resource_group_name=self.names.group,
                location=self.region,
                opts=pulumi.ResourceOptions(parent=parent),
            )
        return self._group.name

    def group_id(self, name: str, parent: pulumi.Resource) -> pulumi.Output[str]:
        """The id of the same group."""
        return pulumi.Output.format("/subscriptions/{0}/resourceGroups/{1}", self.subscription, self.group(name, parent))
