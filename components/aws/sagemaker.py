"""The model behind a SageMaker Serverless endpoint."""

import json

import pulumi
import pulumi_aws as aws

from components.args import EndpointArgs, WarmingArgs
from components.aws.artifacts import ModelStore
from components.aws.context import AwsContext
from components.aws.endpoint_floor import Levels, levels_of, moved, swap_at_edges, swaps, update
from components.aws.floor import Drop, declared, needs_schedules, schedules_of
from components.aws.iam import Place, Statement, document, invoke_endpoint, pull_image, read_models, write_logs
from components.aws.image import Image
from components.aws.names import MODEL_PREFIX
from components.aws.roles import may, role
from components.aws.watch import Alarm, latency_alarm, repeated
from components.contract import Principal, Work

VARIANT = "AllTraffic"


class SageMakerEndpoint(pulumi.ComponentResource):
    """Role, Model, serverless EndpointConfiguration and Endpoint.

    Model and configurations are auto-named and replaced create-before-delete; the endpoint keeps its name and is updated in
    place, which SageMaker does without a failed request. Warm, there is a configuration for each floor (`endpoint_floor.py`).
    """

    invoke_target: pulumi.Output[str]
    endpoint_name: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        home: AwsContext,
        image: Image,
        model: ModelStore,
        args: EndpointArgs,
        opts: pulumi.ResourceOptions,
        work: Work | None = None,
    ) -> None:
        super().__init__("pilotlight:index:SageMakerEndpoint", name, None, opts)
        self._home = home
        self.cold_start_budget_s = args.cold_start_s
        self.max_body_bytes = args.max_body_bytes
        self.model_arn = None
        self.plan, self.floor = declared(args.warming)
        logs = home.log_group(f"{name}-logs", home.names.endpoint_logs, self)
        registered = self._model(name, args, image, model, work)
        configurations = levels_of(name, self.plan, lambda role, floor: self._configuration(role, args, registered, floor))
        # None that a live endpoint may be moved to is made or replaced after it, and what moves it knows them first.
        first = self._schedules(f"{name}-schedules", configurations, args.warming)
        endpoint = aws.sagemaker.Endpoint(
            f"{name}-endpoint",
            name=home.names.endpoint,
            endpoint_config_name=configurations.declared[self.floor].name,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, *first]),
        )
        moved(endpoint, configurations)
        self.drop = self._scaled(name, endpoint, configurations, args.warming)
        self.endpoint_name = self.invoke_target = endpoint.name
        self.log_groups = [logs.name]
        self.alarms = endpoint_alarms(endpoint.name, home.names.prefix, args.timeouts.model_s)
        self.register_outputs({"endpointName": self.endpoint_name, "logGroups": self.log_groups})

    def grant_invoke(self, principal: Principal) -> aws.iam.RolePolicy:
        """Let one role call this endpoint."""
        return aws.iam.RolePolicy(
            f"{principal.name}-invoke",
            role=principal.identity,
            policy=json.dumps(document(invoke_endpoint(self._home.place, self._home.names.endpoint))),
            opts=pulumi.ResourceOptions(parent=principal.parent),
        )

    def _model(self, name: str, args: EndpointArgs, image: Image, store: ModelStore, work: Work | None) -> aws.sagemaker.Model:
        place = self._home.place
        rights = [
            *pull_image(image.repository_arn),
            *read_models(place, store.bucket, MODEL_PREFIX),
            # SageMaker looks for its stream before it writes (developer guide, execution role permissions of CreateModel).
            write_logs(place, self._home.names.endpoint_logs, "logs:DescribeLogStreams"),
            # Inputs that are too large for a request come by reference.
            *([] if work is None else work.objects.rights_of_reader(place)),
        ]
        inputs = {} if work is None else work.objects.variables_of_reader()
        made, permissions = role(name, "sagemaker.amazonaws.com", self._home.account, "Pulls the image, reads the model", rights, self)
        told = {**args.environment(store.size), "SERVICE": self._home.names.prefix, **inputs}
        return aws.sagemaker.Model(
            f"{name}-model",
            execution_role_arn=made.arn,
            primary_container=aws.sagemaker.ModelPrimaryContainerArgs(image=image.uri, model_data_url=store.uri, environment=told),
            # SageMaker reads image and artifact as the role while it creates the model.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions, store, *image.ready]),
        )

    def _configuration(self, name: str, args: EndpointArgs, model: aws.sagemaker.Model, floor: int) -> aws.sagemaker.EndpointConfiguration:
        if args.max_concurrency is None:
            raise pulumi.RunError("A serverless endpoint needs EndpointArgs.max_concurrency: SageMaker has no pool to share.")
        serverless = aws.sagemaker.EndpointConfigurationProductionVariantServerlessConfigArgs(
            memory_size_in_mb=args.memory_mb, max_concurrency=args.max_concurrency, provisioned_concurrency=floor or None
        )
        return aws.sagemaker.EndpointConfiguration(
            name,
            production_variants=[
                aws.sagemaker.EndpointConfigurationProductionVariantArgs(
                    variant_name=VARIANT, model_name=model.name, serverless_config=serverless
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _schedules(self, name: str, configurations: Levels, warming: WarmingArgs | None) -> list[pulumi.Resource]:
        """The schedules of pings and swaps, where the plan has some, and the swaps themselves."""
        swapped = self.plan is not None and swaps(self.plan)
        self.schedules = schedules_of(name, self._home, self._home.names.prefix, needs_schedules(self.plan, swapped), self)
        self.levels = configurations if swapped else None
        if self.schedules is None or warming is None or not swapped:
            return []
        return swap_at_edges(name, self._home, configurations, warming, self.schedules, self)

    def _scaled(self, name: str, endpoint: aws.sagemaker.Endpoint, configurations: Levels, warming: WarmingArgs | None) -> Drop:
        """The scalable target of a floor that is 1 or more outside its windows; gives back how a floor is dropped."""
        if warming is None or 0 not in configurations.scheduled:
            return Drop()
        home, cold = self._home, configurations.scheduled[0]
        variables: dict[str, pulumi.Input[str]] = {"ENDPOINT_NAME": endpoint.name, "COLD_CONFIG": cold.name}
        targets = []
        if warming.plan.scheduled and self.levels is None:
            from components.aws.autoscaling import register, scaled, scaled_variables, variant

            target = scaled(name, variant(endpoint.name, VARIANT), warming, self, [])
            variables |= scaled_variables(target)
            targets = [target]

        def rights(place: Place) -> list[Statement]:
            on = place.arn("sagemaker", f"endpoint/{home.names.endpoint.lower()}")
            # Tried by application auto scaling in the caller's name, the second with a made-up name of a configuration (user guide,
            # permissions validation; aws-controllers-k8s/community issue 2110).
            tried = [
                may(["sagemaker:UpdateEndpointWeightsAndCapacities"], on),
                may(["sagemaker:DescribeEndpointConfig"], place.arn("sagemaker", "endpoint-config/*")),
            ]
            return [
                may(["sagemaker:DescribeEndpoint"], on),
                update(place, home.names.endpoint, cold),
                *([*(each for one in targets for each in register(place, one)), *tried] if targets else []),
            ]

        return Drop(variables=variables, rights=rights)


def endpoint_alarms(endpoint: pulumi.Input[str], service: str, model_s: int) -> list[Alarm]:
    """Errors of the model server, and latency close to the deadline of one prediction."""
    failing = repeated(
        role="endpoint-errors",
        text="The model server answers with 5XX.",
        namespace="AWS/SageMaker",
        metric="Invocation5XXErrors",
        dimensions={"EndpointName": endpoint, "VariantName": VARIANT},
    )
    return [failing, latency_alarm("endpoint-latency", service, model_s)]
