"""The AWS home of a service: account and region, names, and every part but the endpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from components.args import FunctionArgs, GatewayArgs, HomeArgs, ImageArgs, ModelArtifact
from components.aws.artifacts import ModelStore
from components.aws.function import ApiFunction
from components.aws.gateway import RestGateway
from components.aws.iam import Place
from components.aws.image import Image, image_for
from components.aws.lambda_model import LambdaModel
from components.aws.names import names_of
from components.aws.watch import Watch

if TYPE_CHECKING:
    from components.aws.gateway_http import HttpGateway


class AwsHome:
    """Account, region and names, asked once; builds the parts that stand in front of an endpoint.

    `keep`  what holds data is protected and never emptied: `pulumi destroy` refuses before it deletes anything
    """

    def __init__(self, args: HomeArgs) -> None:
        identity = aws.get_caller_identity_output()
        self.region: pulumi.Output[str] = aws.get_region_output().region
        self.account: pulumi.Output[str] = identity.account_id
        self.place = pulumi.Output.all(arn=identity.arn, region=self.region, account=self.account).apply(
            lambda known: Place(partition=known["arn"].split(":")[1], region=known["region"], account=known["account"])
        )
        self.names = names_of(args.project, args.stack)
        self.keep = args.data_retention == "keep"
        self.log_retention_days = args.log_retention_days

    def bucket_name(self, role: str) -> pulumi.Output[str]:
        """The name of the service's bucket for `role`."""
        return self.place.apply(lambda place: self.names.bucket(place.account, place.region, role))

    def log_group(self, name: str, group: pulumi.Input[str], parent: pulumi.Resource) -> aws.cloudwatch.LogGroup:
        """A log group of ours, made before its writer, so that retention holds and it goes with the stack."""
        return aws.cloudwatch.LogGroup(
            name, name=group, retention_in_days=self.log_retention_days, opts=pulumi.ResourceOptions(parent=parent)
        )

    def image(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions) -> Image:
        """The image that `args` names by digest, or one built and pushed into a registry of the stack."""
        return image_for(name, self, args, opts)

    def model(self, name: str, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> ModelStore:
        """The packaged model in a bucket of the stack."""
        return ModelStore(name, self, artifact, opts)

    def function_for(self, name: str, endpoint: Any, args: FunctionArgs, opts: pulumi.ResourceOptions) -> ApiFunction | LambdaModel:
        """The function in front of `endpoint`; a Lambda-hosted model is its own."""
        if isinstance(endpoint, LambdaModel):
            return endpoint
        return ApiFunction(name, self, endpoint, args, opts)

    def gateway(self, name: str, function: Any, args: GatewayArgs, opts: pulumi.ResourceOptions) -> "RestGateway | HttpGateway":
        """API keys, plans and quotas exist only on REST APIs; tokens and IAM are simpler and cheaper on HTTP APIs."""
        if args.auth_mode == "api-key":
            return RestGateway(name, self, function, args, opts)
        # Imported where it is used: the SDK's part for HTTP APIs costs every other stack a tenth of a second.
        from components.aws.gateway_http import HttpGateway

        return HttpGateway(name, self, function, args, opts)

    def watch(self, name: str, parts: Sequence[Any], email: str | None, opts: pulumi.ResourceOptions) -> Watch:
        """One alarm per failure that a part can name."""
        return Watch(name, self.names.topic, self.place, [alarm for part in parts for alarm in part.alarms], email, opts)
