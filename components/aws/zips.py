"""A function of the zip that the packager makes: log group, role, function, and the alias `live` in front of it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Place, Statement, write_logs
from components.aws.names import ALIAS, WARMED_ALIAS
from components.aws.roles import role
from components.aws.versions import published, stamped
from components.contract import Endpoint, Principal

RUNTIME = "python3.11"
ARCHITECTURE = "x86_64"


@dataclass(frozen=True, kw_only=True)
class Zip:
    """One function: its physical name, which handler of the zip it runs, what its role is for, what that may do beside its log.

    `endpoint` is what it calls, if anything. `grants` are rights that a setting may take away, each under a policy of its own: that goes
    after the function has changed, which the function's first policy does before it. `ready` must be there before its first event.
    """

    name: str
    handler: str
    purpose: str
    code: Path | None
    memory_mb: int
    timeout_s: int
    reserved_concurrency: int | None = None
    variables: Mapping[str, pulumi.Input[str]]
    statements: Callable[[Place], Sequence[Statement]]
    endpoint: Endpoint | None = None
    grants: Sequence[Callable[[Principal], pulumi.Resource]] = ()
    ready: Sequence[pulumi.Resource] = ()


@dataclass(frozen=True, kw_only=True)
class Live:
    """What became of it; callers use the alias."""

    function: aws.lambda_.Function
    alias: aws.lambda_.Alias
    logs: aws.cloudwatch.LogGroup


def zip_function(name: str, home: AwsContext, zipped: Zip, parent: pulumi.Resource) -> Live:
    """The function with one identity of its own. Raises RunError without packaged code."""
    if zipped.code is None:
        raise pulumi.RunError(f"The function {zipped.name!r} needs its packaged code: give FunctionArgs.code.")
    group = f"/aws/lambda/{zipped.name}"
    logs = home.log_group(f"{name}-logs", group, parent)
    statements = [write_logs(home.place, group), *zipped.statements(home.place)]
    made, permissions = role(name, "lambda.amazonaws.com", home.account, zipped.purpose, statements, parent)
    caller = Principal(name=name, identity=made.name, parent=parent)
    grants = [grant(caller) for grant in (*([] if zipped.endpoint is None else [zipped.endpoint.grant_invoke]), *zipped.grants)]
    with zipped.code.open("rb") as code:
        digest = hashlib.file_digest(code, "sha256").hexdigest()
    of = {"code": digest, "memory": zipped.memory_mb, "timeout": zipped.timeout_s, "reserved": zipped.reserved_concurrency}
    function = aws.lambda_.Function(
        f"{name}-function",
        name=zipped.name,
        runtime=RUNTIME,
        handler=zipped.handler,
        architectures=[ARCHITECTURE],
        code=pulumi.FileArchive(str(zipped.code)),
        role=made.arn,
        memory_size=zipped.memory_mb,
        timeout=zipped.timeout_s,
        reserved_concurrent_executions=zipped.reserved_concurrency,
        environment=aws.lambda_.FunctionEnvironmentArgs(variables=stamped(zipped.variables, **of)),
        logging_config=json_logs(logs),
        publish=True,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[logs, permissions, *grants, *zipped.ready]),
    )
    return Live(function=function, alias=live_alias(name, function, parent, published(function)), logs=logs)


def asynchronous(
    name: str, live: Live, dead_letters: pulumi.Input[str], parent: pulumi.Resource, *, retries: int, age_s: int | None = None
) -> None:
    """Events that fail come again `retries` times, none after `age_s` (None: the service's six hours), then lie with the dead letters."""
    aws.lambda_.FunctionEventInvokeConfig(
        f"{name}-async",
        function_name=live.function.name,
        qualifier=live.alias.name,
        maximum_event_age_in_seconds=age_s,
        maximum_retry_attempts=retries,
        destination_config=aws.lambda_.FunctionEventInvokeConfigDestinationConfigArgs(
            on_failure=aws.lambda_.FunctionEventInvokeConfigDestinationConfigOnFailureArgs(destination=dead_letters)
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def json_logs(group: aws.cloudwatch.LogGroup) -> aws.lambda_.FunctionLoggingConfigArgs:
    """Structured logs into a group of ours."""
    return aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=group.name)


def live_alias(name: str, function: aws.lambda_.Function, parent: pulumi.Resource, version: pulumi.Input[str]) -> aws.lambda_.Alias:
    """The alias that callers use: it moves to a new version only when that is known."""
    return aws.lambda_.Alias(
        f"{name}-live",
        name=ALIAS,
        function_name=function.name,
        function_version=version,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def warmed_alias(name: str, function: aws.lambda_.Function, parent: pulumi.Resource, version: pulumi.Input[str]) -> aws.lambda_.Alias:
    """The alias beside it that has a floor, and that callers use while there is one."""
    return aws.lambda_.Alias(
        f"{name}-warmed",
        name=WARMED_ALIAS,
        function_name=function.name,
        function_version=version,
        opts=pulumi.ResourceOptions(parent=parent),
    )
