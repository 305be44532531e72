"""The model behind a SageMaker Serverless endpoint."""

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.args import EndpointArgs
from components.aws.artifacts import ModelStore
from components.aws.iam import document, invoke_endpoint, pull_image, read_models, write_logs
from components.aws.image import Image
from components.aws.names import MODEL_PREFIX
from components.aws.roles import role
from components.aws.watch import Alarm
from components.contract import Principal

if TYPE_CHECKING:
    from components.aws.home import AwsHome

VARIANT = "AllTraffic"
LATENCY_SHARE = 0.9


class SageMakerEndpoint(pulumi.ComponentResource):
    """Role, Model, serverless EndpointConfiguration and Endpoint.

    Model and configuration are auto-named and replaced create-before-delete; the endpoint keeps its name and is updated in
    place, which SageMaker does without a failed request.
    """

    invoke_target: pulumi.Output[str]
    endpoint_name: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self, name: str, home: "AwsHome", image: Image, model: ModelStore, args: EndpointArgs, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:SageMakerEndpoint", name, None, opts)
        self._home = home
        self.cold_start_budget_s = args.cold_start_s
        self.max_body_bytes = args.max_body_bytes
        self.floor = 0
        logs = home.log_group(f"{name}-logs", home.names.endpoint_logs, self)
        configuration = self._configuration(name, args, self._model(name, args, image, model))
        endpoint = aws.sagemaker.Endpoint(
            f"{name}-endpoint",
            name=home.names.endpoint,
            endpoint_config_name=configuration.name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
        )
        self.endpoint_name = self.invoke_target = endpoint.name
        self.log_groups = [logs.name]
        self.alarms = endpoint_alarms(endpoint.name, args.timeouts.model_s)
        self.register_outputs({"endpointName": self.endpoint_name, "logGroups": self.log_groups})

    def grant_invoke(self, principal: Principal) -> aws.iam.RolePolicy:
        """Let one role call this endpoint."""
        target = self._home.names.endpoint
        policy = self._home.place.apply(lambda place: document(invoke_endpoint(place, target)))
        return aws.iam.RolePolicy(
            f"{principal.name}-invoke",
            role=principal.identity,
            policy=pulumi.Output.json_dumps(policy),
            opts=pulumi.ResourceOptions(parent=principal.parent),
        )

    def _model(self, name: str, args: EndpointArgs, image: Image, store: ModelStore) -> aws.sagemaker.Model:
        names = self._home.names
        policy = pulumi.Output.all(place=self._home.place, repository=image.repository_arn, bucket=store.bucket).apply(
            lambda known: document(
                *pull_image(known["repository"]),
                *read_models(known["place"], known["bucket"], MODEL_PREFIX),
                # SageMaker looks for its stream before it writes (developer guide, execution role permissions of CreateModel).
                write_logs(known["place"], names.endpoint_logs, "logs:DescribeLogStreams"),
            )
        )
        made, permissions = role(name, "sagemaker.amazonaws.com", self._home.account, "Pulls the image, reads the model", policy, self)
        return aws.sagemaker.Model(
            f"{name}-model",
            execution_role_arn=made.arn,
            primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
                image=image.uri, model_data_url=store.uri, environment=args.environment()
            ),
            # SageMaker reads image and artifact as the role while it creates the model.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions, store, *image.ready]),
        )

    def _configuration(self, name: str, args: EndpointArgs, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        if args.max_concurrency is None:
            raise pulumi.RunError("A serverless endpoint needs EndpointArgs.max_concurrency: SageMaker has no pool to share.")
        serverless = aws.sagemaker.EndpointConfigurationProductionVariantServerlessConfigArgs(
            memory_size_in_mb=args.memory_mb, max_concurrency=args.max_concurrency
        )
        return aws.sagemaker.EndpointConfiguration(
            f"{name}-config",
            production_variants=[
                aws.sagemaker.EndpointConfigurationProductionVariantArgs(
                    variant_name=VARIANT, model_name=model.name, serverless_config=serverless
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )


def endpoint_alarms(endpoint: pulumi.Input[str], model_s: int) -> list[Alarm]:
    """Errors of the model server, and latency close to the deadline of one prediction (the metric is in microseconds)."""
    dimensions = {"EndpointName": endpoint, "VariantName": VARIANT}
    return [
        Alarm(
            role="endpoint-errors",
            text="The model server answers with 5XX.",
            namespace="AWS/SageMaker",
            metric="Invocation5XXErrors",
            dimensions=dimensions,
            statistic="Sum",
            threshold=0,
        ),
        Alarm(
            role="endpoint-latency",
            text="The slowest hundredth of predictions comes close to the deadline.",
            namespace="AWS/SageMaker",
            metric="ModelLatency",
            dimensions=dimensions,
            statistic="p99",
            threshold=model_s * 1_000_000 * LATENCY_SHARE,
        ),
    ]
