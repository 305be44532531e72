"""The network through which functions reach an endpoint that the internet can't."""

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import COMPUTE
from components.gcp.context import GcpContext

# Direct VPC egress takes two addresses for each instance, in blocks of 16, and an update those of both revisions (Cloud Run documentation,
# "IP address allocation"): room for two thousand of them. Nothing else is in the network.
ADDRESSES = "10.8.0.0/20"


class PrivateNetwork(pulumi.ComponentResource):
    """A network of the stack's own with one subnetwork, from which Google's addresses are reached without a way to the internet.

    A service with internal ingress takes what comes through it as internal (Cloud Run documentation, private networking), so all
    that a function sends goes there: Direct VPC egress. Who may invoke is still IAM's to say.
    """

    def __init__(self, name: str, home: GcpContext, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:PrivateNetwork", name, None, opts)
        network = gcp.compute.Network(
            f"{name}-network",
            name=home.names.prefix,
            auto_create_subnetworks=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=home.apis.enabled(name, self, COMPUTE)),
        )
        self._network = network
        self._subnetwork = gcp.compute.Subnetwork(
            f"{name}-subnetwork",
            name=home.names.prefix,
            network=network.id,
            region=home.region,
            ip_cidr_range=ADDRESSES,
            private_ip_google_access=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"network": network.id})

    def egress(self) -> "gcp.cloudrunv2.ServiceTemplateVpcAccessArgs":
        """What a service is told that sends everything through it."""
        return gcp.cloudrunv2.ServiceTemplateVpcAccessArgs(
            egress="ALL_TRAFFIC",
            network_interfaces=[
                gcp.cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArgs(network=self._network.id, subnetwork=self._subnetwork.id)
            ],
        )
