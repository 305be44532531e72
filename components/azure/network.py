"""The network that a stack's environment is placed in, where the stack has one of its own."""

import pulumi
import pulumi_azure_native as azure

from components.azure.context import AzureContext
from components.limits_azure import CONTAINER_APPS_DELEGATION

SUBNET = "apps"


class EnvironmentNetwork(pulumi.ComponentResource):
    """A virtual network with one subnet, which is all of it, delegated to Container Apps and so nobody else's.

    There is no network security group: what comes from outside reaches an external environment through a public address of the
    platform's, not through the subnet, where such a group would see nothing of it (Container Apps documentation, firewall integration).
    """

    subnet_id: pulumi.Output[str]

    def __init__(self, name: str, home: AzureContext, addresses: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:EnvironmentNetwork", name, None, opts)
        group, inside = home.group(name, self), pulumi.ResourceOptions(parent=self)
        network = azure.network.VirtualNetwork(
            home.placed(f"{name}-network"),
            virtual_network_name=home.names.network,
            resource_group_name=group,
            address_space=azure.network.AddressSpaceArgs(address_prefixes=[addresses]),
            opts=inside,
        )
        subnet = azure.network.Subnet(
            home.placed(f"{name}-subnet"),
            subnet_name=SUBNET,
            virtual_network_name=network.name,
            resource_group_name=group,
            # One prefix, and no list of them: of that Container Apps finds nothing (pulumi-azure-native issue 3244).
            address_prefix=addresses,
            delegations=[azure.network.DelegationArgs(name=SUBNET, service_name=CONTAINER_APPS_DELEGATION)],
            opts=inside,
        )
        self.subnet_id = subnet.id
        self.register_outputs({"subnetId": self.subnet_id})
