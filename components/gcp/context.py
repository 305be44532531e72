"""What the parts of a service on Google Cloud share: project and region, names, APIs, agents, whether data is kept."""

import pulumi
import pulumi_gcp as gcp

from components.args import HomeArgs
from components.gcp.agents import Agents
from components.gcp.apis import Apis
from components.gcp.measures import Counted
from components.gcp.names import names_of
from components.gcp.quota import Quota


class GcpContext:
    """Project, region and names, asked once.

    `keep`  what holds data is protected and never emptied: `pulumi destroy` refuses before it deletes anything
    `token` the deployer's access token, a secret, with which images are pushed
    `counted` the metrics that functions made of their lines, for whoever draws them
    """

    def __init__(self, args: HomeArgs) -> None:
        # Waited for, so that names are plain texts, as on AWS.
        client = gcp.organizations.get_client_config()
        self.region, self.project = client.region, client.project
        self.token: pulumi.Output[str] = pulumi.Output.secret(client.access_token)
        self.stack = args.stack
        self.names = names_of(args.project, args.stack)
        self.keep = args.data_retention == "keep"
        self.apis = Apis()
        self.quota = Quota(self.project, self.region)
        self.agents = Agents(self.project, self.apis)
        self.counted: list[Counted] = []

    def bucket_name(self, role: str) -> str:
        """The name of the service's bucket for `role`."""
        return self.names.bucket(self.project, self.region, role)
