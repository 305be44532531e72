"""The pattern's function in front of an endpoint, and what watches every Lambda function of a service."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components.args import FunctionArgs
from components.aws.context import AwsContext
from components.aws.watch import LATENCY_SHARE, Alarm, repeated, throttle_alarm
from components.aws.zips import Live, Zip, zip_function
from components.contract import Endpoint, Principal

HANDLER = "handlers.functions.aws.api.handler"


class Served:
    """A function as its patterns, gateways and queues meet it, under its alias."""

    alias: aws.lambda_.Alias
    invoke_target: pulumi.Output[str]
    function_name: pulumi.Output[str]
    function_alias: pulumi.Output[str]
    log_groups: list[pulumi.Output[str]]
    alarms: list[Alarm]

    def serve(self, live: Live, slow: Alarm) -> dict[str, Any]:
        """Take what was made, and what tells that it gets slow; gives back the component's outputs."""
        self.alias, self.invoke_target = live.alias, live.alias.invoke_arn
        self.function_name, self.function_alias = live.function.name, live.alias.name
        self.log_groups = [live.logs.name]
        self.alarms = [*failures(live.alias), slow]
        return {"functionName": self.function_name, "functionAlias": self.function_alias, "logGroups": self.log_groups}

    def grant_invoke(self, principal: Principal) -> aws.lambda_.Permission:
        """Let one service call the alias. A queue needs no grant: Lambda's poller calls with the function's own role."""
        return permit(principal, self.alias)


class ApiFunction(Served, pulumi.ComponentResource):
    """A zip function under the alias `live`, with a role that may write its log, call its endpoint, and hand over to `answers`."""

    def __init__(
        self, name: str, home: AwsContext, endpoint: Endpoint, args: FunctionArgs, answers: Any | None, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("pilotlight:index:ApiFunction", name, None, opts)
        later = {} if answers is None else answers.variables()
        zipped = Zip(
            name=home.names.function,
            handler=HANDLER,
            purpose="Calls the endpoint",
            code=args.code,
            memory_mb=args.memory_mb,
            timeout_s=args.timeouts.function_s,
            reserved_concurrency=args.reserved_concurrency,
            variables={**call_variables(endpoint, args, home.names.prefix), **later},
            statements=lambda _: [],
            endpoint=endpoint,
            grants=() if answers is None else (answers.grant_caller,),
            ready=() if answers is None else (answers,),
        )
        live = zip_function(name, home, zipped, self)
        made = self.serve(live, duration(live.alias, args.timeouts.function_s))
        if answers is None:
            self.alarms.append(throttle_alarm("endpoint-throttles", home.names.prefix))
        self.register_outputs(made)


def call_variables(endpoint: Endpoint, args: FunctionArgs, service: str) -> dict[str, pulumi.Input[str]]:
    """What every function is told that calls the endpoint; `service` is a dimension of its metrics."""
    return {
        "ENDPOINT_NAME": endpoint.invoke_target,
        "ENDPOINT_TIMEOUT_S": str(args.timeouts.endpoint_s),
        "MAX_BODY_BYTES": str(endpoint.max_body_bytes),
        "MODEL_TASK": args.task,
        "SERVICE": service,
    }


def permit(principal: Principal, alias: aws.lambda_.Alias, name: str | None = None) -> aws.lambda_.Permission:
    """Let a service call the alias on behalf of one resource.

    The resource's ARN holds the account, so there is no separate condition on it, which not every service answers.
    """
    if principal.source is None:
        raise pulumi.RunError(f"{principal.name}: a service may call a function only on behalf of something: give Principal.source.")
    return aws.lambda_.Permission(
        name or f"{principal.name}-invoke",
        action="lambda:InvokeFunction",
        function=alias.function_name,
        qualifier=alias.name,
        principal=principal.identity,
        source_arn=principal.source,
        opts=pulumi.ResourceOptions(parent=principal.parent),
    )


def function_alarms(alias: aws.lambda_.Alias, timeout_s: int, role: str = "function") -> list[Alarm]:
    """Errors, throttles and durations close to the timeout, counted for the alias."""
    return [*failures(alias, role), duration(alias, timeout_s, role)]


def failures(alias: aws.lambda_.Alias, role: str = "function") -> list[Alarm]:
    """Errors and throttles of the alias."""
    busy = "Calls are refused because every allowed instance is busy."
    return [_alarm(alias, f"{role}-errors", f"The {role} fails.", "Errors"), _alarm(alias, f"{role}-throttles", busy, "Throttles")]


def duration(alias: aws.lambda_.Alias, timeout_s: int, role: str = "function") -> Alarm:
    """Durations close to the timeout, of an alias that no ping calls."""
    late = "The slowest hundredth of calls comes close to the timeout."
    return _alarm(alias, f"{role}-duration", late, "Duration", "p99", timeout_s * 1000 * LATENCY_SHARE)


def _alarm(alias: aws.lambda_.Alias, role: str, text: str, metric: str, statistic: str = "Sum", threshold: float = 0) -> Alarm:
    function = alias.function_name
    return repeated(
        role=role,
        text=text,
        namespace="AWS/Lambda",
        metric=metric,
        dimensions={"FunctionName": function, "Resource": pulumi.Output.format("{0}:{1}", function, alias.name)},
        statistic=statistic,
        threshold=threshold,
    )
