"""What the parts of a service on AWS share: account and region, names, how long logs and data are kept."""

import pulumi
import pulumi_aws as aws

from components.args import HomeArgs
from components.aws.iam import Place
from components.aws.names import names_of


class AwsContext:
    """Account, region and names, asked once.

    `keep`  what holds data is protected and never emptied: `pulumi destroy` refuses before it deletes anything
    """

    def __init__(self, args: HomeArgs) -> None:
        # Waited for, so that names and policies are plain texts, and registrations are under way when the program ends. The SDK would
        # else wait for hundreds of Outputs, looking at all of them whenever one is there: a tenth of the program's time.
        identity = aws.get_caller_identity()
        self.region, self.account = aws.get_region().region, identity.account_id
        self.place = Place(partition=identity.arn.split(":")[1], region=self.region, account=self.account)
        self.project = None
        self.names = names_of(args.project, args.stack)
        self.keep = args.data_retention == "keep"
        self.log_retention_days = args.log_retention_days

    def bucket_name(self, role: str) -> str:
        """The name of the service's bucket for `role`."""
        return self.names.bucket(self.account, self.region, role)

    def log_group(self, name: str, group: pulumi.Input[str], parent: pulumi.Resource) -> aws.cloudwatch.LogGroup:
        """A log group of ours, made before its writer, so that retention holds and it goes with the stack."""
        return aws.cloudwatch.LogGroup(
            name, name=group, retention_in_days=self.log_retention_days, opts=pulumi.ResourceOptions(parent=parent)
        )
