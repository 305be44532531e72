"""The pattern's function in front of an endpoint, and what every Lambda function of a service shares."""

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.args import FunctionArgs
from components.aws.iam import document, write_logs
from components.aws.names import ALIAS
from components.aws.roles import role
from components.aws.watch import Alarm
from components.contract import Endpoint, Principal

if TYPE_CHECKING:
    from components.aws.home import AwsHome

RUNTIME = "python3.11"
HANDLER = "handlers.functions.api.handler"
ARCHITECTURE = "x86_64"
DURATION_SHARE = 0.9


class ApiFunction(pulumi.ComponentResource):
    """A zip function under the alias `live`, with a role that may write its log and call its endpoint."""

    invoke_target: pulumi.Output[str]
    function_name: pulumi.Output[str]
    function_alias: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]

    def __init__(self, name: str, home: "AwsHome", endpoint: Endpoint, args: FunctionArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:ApiFunction", name, None, opts)
        if args.code is None:
            raise pulumi.RunError("The function in front of an endpoint needs its packaged code: give FunctionArgs.code.")
        logs = home.log_group(f"{name}-logs", home.names.function_logs, self)
        policy = home.place.apply(lambda place: document(write_logs(place, home.names.function_logs)))
        made, permissions = role(name, "lambda.amazonaws.com", home.account, "Calls the endpoint", policy, self)
        grant = endpoint.grant_invoke(Principal(name=name, identity=made.name, parent=self))
        function = aws.lambda_.Function(
            f"{name}-function",
            name=home.names.function,
            runtime=RUNTIME,
            handler=HANDLER,
            architectures=[ARCHITECTURE],
            code=pulumi.FileArchive(str(args.code)),
            role=made.arn,
            memory_size=args.memory_mb,
            timeout=args.timeouts.function_s,
            reserved_concurrent_executions=args.reserved_concurrency,
            environment=aws.lambda_.FunctionEnvironmentArgs(
                variables={
                    "ENDPOINT_NAME": endpoint.invoke_target,
                    "ENDPOINT_TIMEOUT_S": str(args.timeouts.endpoint_s),
                    "MAX_BODY_BYTES": str(endpoint.max_body_bytes),
                    "MODEL_TASK": args.task,
                }
            ),
            logging_config=json_logs(logs),
            publish=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, permissions, grant]),
        )
        alias = live_alias(name, function, self)
        self._alias = alias
        self.invoke_target = alias.invoke_arn
        self.function_name, self.function_alias = function.name, alias.name
        self.log_groups = [logs.name]
        self.alarms = function_alarms(function.name, args.timeouts.function_s)
        self.register_outputs({"functionName": self.function_name, "functionAlias": self.function_alias, "logGroups": self.log_groups})

    def grant_invoke(self, principal: Principal) -> aws.lambda_.Permission:
        """Let one gateway call the alias."""
        return permit(principal, self._alias)


def json_logs(group: aws.cloudwatch.LogGroup) -> aws.lambda_.FunctionLoggingConfigArgs:
    """Structured logs into a group of ours."""
    return aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=group.name)


def live_alias(name: str, function: aws.lambda_.Function, parent: pulumi.Resource) -> aws.lambda_.Alias:
    """The alias that callers use: it moves to a new version only when that version is there."""
    return aws.lambda_.Alias(
        f"{name}-live",
        name=ALIAS,
        function_name=function.name,
        function_version=function.version,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def permit(principal: Principal, alias: aws.lambda_.Alias) -> aws.lambda_.Permission:
    """Let a service call the alias on behalf of one resource.

    The resource's ARN holds the account, so there is no separate condition on it, which not every service answers.
    """
    if principal.source is None:
        raise pulumi.RunError(f"{principal.name}: a service may call a function only on behalf of something: give Principal.source.")
    return aws.lambda_.Permission(
        f"{principal.name}-invoke",
        action="lambda:InvokeFunction",
        function=alias.function_name,
        qualifier=alias.name,
        principal=principal.identity,
        source_arn=principal.source,
        opts=pulumi.ResourceOptions(parent=principal.parent),
    )


def function_alarms(function: pulumi.Output[str], timeout_s: int) -> list[Alarm]:
    """Errors, throttles and durations close to the timeout, counted for the alias."""
    dimensions = {"FunctionName": function, "Resource": pulumi.Output.format("{0}:{1}", function, ALIAS)}

    def alarm(role: str, text: str, metric: str, statistic: str, threshold: float) -> Alarm:
        return Alarm(
            role=f"function-{role}",
            text=text,
            namespace="AWS/Lambda",
            metric=metric,
            dimensions=dimensions,
            statistic=statistic,
            threshold=threshold,
        )

    return [
        alarm("errors", "The function fails.", "Errors", "Sum", 0),
        alarm("throttles", "Calls are refused because every allowed instance is busy.", "Throttles", "Sum", 0),
        alarm(
            "duration", "The slowest hundredth of calls comes close to the timeout.", "Duration", "p99", timeout_s * 1000 * DURATION_SHARE
        ),
    ]
