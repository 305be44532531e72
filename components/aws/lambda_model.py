"""The model inside a Lambda function: endpoint and function in one."""

import json
import math
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from components.args import EndpointArgs, WarmingArgs
from components.aws.artifacts import ModelStore
from components.aws.context import AwsContext
from components.aws.floor import Drop, declared, needs_schedules, schedules_of
from components.aws.function import Served, permit
from components.aws.iam import read_models, write_logs
from components.aws.image import Image
from components.aws.names import MODEL_PREFIX
from components.aws.roles import role
from components.aws.versions import published, stamped
from components.aws.watch import latency_alarm
from components.aws.zips import ARCHITECTURE, Live, json_logs, live_alias, warmed_alias
from components.contract import Principal, Work
from components.limits import LAMBDA_EPHEMERAL_MB

CACHE = "/tmp/model"  # noqa: S108 - the only writable folder of a Lambda function
SPARE_MB = 64


def ephemeral_mb(artifact_bytes: int) -> int:
    """Size of /tmp in MB: the archive and what is unpacked from it, of which a tenth may have been compressed away."""
    needed = math.ceil(artifact_bytes * 2.2 / 1024**2) + SPARE_MB
    return min(max(needed, LAMBDA_EPHEMERAL_MB.low), LAMBDA_EPHEMERAL_MB.high)


def started(name: str, function: aws.lambda_.Function, image: pulumi.Input[str], parent: pulumi.Resource) -> pulumi.Output[str]:
    """The function's version, known once an instance of it has loaded the model and answered a ping.

    So an update meets an instance that is there, and a version that does not start takes no traffic: the `up` fails, and what served
    before goes on. The ping takes one place of the reserved concurrency; where live calls have them all, the provider's client asks
    again (25 attempts in standard mode, which repeats 429: provider settings, maxRetries).
    """
    version = published(function, image)
    ping = aws.lambda_.Invocation(
        f"{name}-start",
        function_name=function.name,
        qualifier=version,
        input=json.dumps({"ping": {"requestId": "start", "holdSeconds": 0.1}}),
        lifecycle_scope="CREATE_ONLY",
        opts=pulumi.ResourceOptions(parent=parent),
    )

    def judge(of: Mapping[str, str]) -> str:
        if "ping" not in json.loads(of["result"]):
            raise pulumi.RunError(
                f"Version {of['version']} of the function {of['name']!r} starts and does not predict: {of['result']} It takes no traffic, "
                f"what served before goes on. Mend it and run `up` again, or, to ask it once more, `pulumi up --replace {of['urn']}`."
            )
        return of["version"]

    return pulumi.Output.all(name=function.name, version=version, result=ping.result, urn=ping.urn).apply(judge)


class LambdaModel(Served, pulumi.ComponentResource):
    """A role and an image function under the alias `live`; it scales to zero as every function does. Where a plan gives it a floor,
    callers use a second alias, `warmed`, which has that floor and goes with the plan."""

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
        super().__init__("pilotlight:index:LambdaModel", name, None, opts)
        self.cold_start_budget_s = args.cold_start_s
        self.max_body_bytes = args.max_body_bytes
        self.endpoint_name = self.levels = None
        plan, self.floor = declared(args.warming)
        logs = home.log_group(f"{name}-logs", home.names.model_logs, self)
        rights = [*read_models(home.place, model.bucket, MODEL_PREFIX), write_logs(home.place, home.names.model_logs)]
        if work is not None:
            rights += [*work.objects.rights_of_consumer(home.place), *work.results.rights_of_writer(home.place)]
        of_work = {} if work is None else {**work.objects.variables_of_consumer(), **work.results.variables_of_writer()}
        first = [] if work is None else [work.objects, work.results]
        made, permissions = role(name, "lambda.amazonaws.com", home.account, "Reads the model", rights, self)
        scratch_mb = ephemeral_mb(model.size)
        variables = {
            **args.environment(model.size),
            "MODEL_URI": model.uri,
            "MODEL_CACHE": CACHE,
            "SERVICE": home.names.prefix,
            **of_work,
        }
        of = {"memory": args.memory_mb, "timeout": args.timeouts.function_s, "reserved": args.max_concurrency, "scratch": scratch_mb}
        function = aws.lambda_.Function(
            f"{name}-function",
            name=home.names.model_function,
            package_type="Image",
            image_uri=image.uri,
            architectures=[ARCHITECTURE],
            role=made.arn,
            memory_size=args.memory_mb,
            timeout=args.timeouts.function_s,
            reserved_concurrent_executions=args.max_concurrency,
            ephemeral_storage=aws.lambda_.FunctionEphemeralStorageArgs(size=scratch_mb),
            environment=aws.lambda_.FunctionEnvironmentArgs(variables=stamped(variables, image=image.uri, **of)),
            logging_config=json_logs(logs),
            publish=True,
            # The model is read while the function starts, and its first start may be right after its creation.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, permissions, model, *image.ready, *first]),
        )
        version = started(name, function, image.uri, self)
        self._live = alias = live_alias(name, function, self, version)
        if plan is not None and plan.has_floor:
            alias = warmed_alias(name, function, self, version)
        slow = latency_alarm("function-duration", home.names.prefix, args.timeouts.model_s)
        outputs = self.serve(Live(function=function, alias=alias, logs=logs), slow)
        self.model_arn = self.alias.arn
        self.schedules = schedules_of(f"{name}-schedules", home, home.names.model_function, needs_schedules(plan, swapped=False), self)
        self.drop = self._floor(name, args.warming)
        self.register_outputs(outputs)

    def grant_invoke(self, principal: Principal) -> aws.lambda_.Permission:
        """Let one service call both aliases: the one that a plan takes along, and the one that is called without it."""
        always = permit(principal, self._live)
        return always if self.alias is self._live else permit(principal, self.alias, f"{principal.name}-invoke-warmed")

    def _floor(self, name: str, warming: WarmingArgs | None) -> Drop:
        """The alias's provisioned concurrency, where the plan has a floor; gives back how it is dropped."""
        if warming is None or not warming.plan.has_floor:
            return Drop()
        # Imported where it is used: a stack that rests pays for no more of the SDK than it needs.
        from components.aws.alias_floor import alias_floor

        return alias_floor(name, self.alias, warming, self)
