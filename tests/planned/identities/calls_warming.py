"""What the identities of warming and budget call: schedules, the functions that they call, the one that drops the floor."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.planned.identities.calls import ACCOUNT, Call, arn, invoke, log

# What Pulumi appends where it makes a name.
MADE = "0a1b2c3"
_ASYNC = "Lambda developer guide, asynchronous invocation: execution role permissions for destinations"
_FIRED = "EventBridge Scheduler user guide, execution role"
_VALIDATED = "Application Auto Scaling user guide, permissions validation for API calls on target resources"
_TRIED = "aws-controllers-k8s/community issue 2110: it is tried with a made-up name"
_FLOOR = "handlers/functions/aws/floor.py: "
_CHECKED = "handlers/functions/aws/reconciler.py: "


@dataclass(frozen=True, kw_only=True)
class Warmed:
    """A stack with a warming plan: pings or none, a floor that is swapped (0 outside its windows) or scaled (1 outside) or neither.

    configs  names of the configurations that schedules and budget may set, by their floor
    """

    stack: str
    configs: Mapping[int, str]
    pings: bool = False
    swapped: bool = False
    scaled: bool = False

    @property
    def prefix(self) -> str:
        return f"pilotlight-{self.stack}"

    @property
    def lambda_model(self) -> bool:
        return self.stack.startswith("aws-lambda")

    @property
    def name(self) -> str:
        """Of the component, which logical names begin with."""
        return self.stack.rpartition("-")[2]

    @property
    def group(self) -> str:
        """Of the schedules: its platform's."""
        return f"{self.prefix}-model" if self.lambda_model else self.prefix

    @property
    def model(self) -> str:
        return arn("lambda", f"function:{self.prefix}-model:warmed")

    @property
    def endpoint(self) -> str:
        return arn("sagemaker", f"endpoint/{self.prefix}")


def dead_letters(queue: str, by: str) -> Call:
    return Call(action="sqs:SendMessage", resource=arn("sqs", queue), by=by)


def swap(warmed: Warmed, by: str, *floors: int) -> list[Call]:
    """UpdateEndpoint is asked for on both, the endpoint and the configuration (service authorization reference)."""
    configs = [arn("sagemaker", f"endpoint-config/{warmed.configs[floor]}") for floor in floors]
    return [Call(action="sagemaker:UpdateEndpoint", resource=each, by=by) for each in (warmed.endpoint, *configs)]


def fired(warmed: Warmed, function: str) -> list[Call]:
    """A schedule's own role: it calls its function, and leaves word of what it could not deliver."""
    called = Call(action="lambda:InvokeFunction", resource=arn("lambda", f"function:{warmed.prefix}-{function}:live"), by=_FIRED)
    return [called, dead_letters(f"{warmed.group}-schedules-dead", _FIRED)]


def ping(warmed: Warmed) -> list[Call]:
    by = "handlers/functions/aws/warmer.py: client.invoke("
    pinged = Call(action="lambda:InvokeFunction", resource=warmed.model, by=by) if warmed.lambda_model else invoke(warmed.prefix)
    return [pinged, *log(f"/aws/lambda/{warmed.prefix}-warmer"), dead_letters(f"{warmed.group}-schedules-dead", _ASYNC)]


def check(warmed: Warmed) -> list[Call]:
    described = Call(action="sagemaker:DescribeEndpoint", resource=warmed.endpoint, by=_CHECKED + "describe_endpoint")
    return [
        described,
        *swap(warmed, _CHECKED + "update_endpoint", 0, 2),
        *log(f"/aws/lambda/{warmed.prefix}-reconciler"),
        dead_letters(f"{warmed.group}-schedules-dead", _ASYNC),
    ]


def drop(warmed: Warmed) -> list[Call]:
    """What the function does that the spent budget calls."""
    calls = [*log(f"/aws/lambda/{warmed.prefix}-floor"), dead_letters(f"{warmed.prefix}-floor-dead", _ASYNC)]
    if warmed.pings or warmed.swapped:
        calls += stop_schedules(warmed)
    if warmed.scaled:
        target = f"scalable-target/{MADE}"
        by = _FLOOR + "register_scalable_target"
        calls.append(Call(action="application-autoscaling:RegisterScalableTarget", resource=arn("application-autoscaling", target), by=by))
        for verb in ("DescribeAlarms", "PutMetricAlarm", "DeleteAlarms"):
            for alarm, context in (("TargetTracking-any", {}), ("made-up", {"aws:ViaAWSService": "true"})):
                made_up = arn("cloudwatch", f"alarm:{alarm}")
                calls.append(Call(action=f"cloudwatch:{verb}", resource=made_up, by=_VALIDATED, context=context))
    if warmed.lambda_model:
        verbs = {"Delete": _FLOOR + "delete_provisioned_concurrency_config"} | (
            {"Get": _VALIDATED, "Put": _VALIDATED} if warmed.scaled else {}
        )
        return calls + [
            Call(action=f"lambda:{verb}ProvisionedConcurrencyConfig", resource=warmed.model, by=by) for verb, by in verbs.items()
        ]
    if warmed.scaled:
        calls.append(Call(action="sagemaker:UpdateEndpointWeightsAndCapacities", resource=warmed.endpoint, by=_VALIDATED))
        made_up = arn("sagemaker", "endpoint-config/7f4e1944-1817-4891-9bef-e055a90787a4")
        calls.append(Call(action="sagemaker:DescribeEndpointConfig", resource=made_up, by=_TRIED))
    described = Call(action="sagemaker:DescribeEndpoint", resource=warmed.endpoint, by=_FLOOR + "describe_endpoint")
    return [*calls, described, *swap(warmed, _FLOOR + "update_endpoint", 0)]


def stop_schedules(warmed: Warmed) -> list[Call]:
    schedule = arn("scheduler", f"schedule/{warmed.group}/any")
    handed = {"iam:PassedToService": "scheduler.amazonaws.com"}
    passed = "EventBridge Scheduler API reference, UpdateSchedule: the caller passes the schedule's role"
    roles = [f"arn:aws:iam::{ACCOUNT}:role/{role}-{MADE}" for role in schedule_roles(warmed)]
    return [
        Call(action="scheduler:ListSchedules", resource="*", by=_FLOOR + "list_schedules"),
        Call(action="scheduler:GetSchedule", resource=schedule, by=_FLOOR + "get_schedule"),
        Call(action="scheduler:UpdateSchedule", resource=schedule, by=_FLOOR + "update_schedule"),
        *[Call(action="iam:PassRole", resource=role, by=passed, context=handed) for role in roles],
    ]


def schedule_roles(warmed: Warmed) -> list[str]:
    found = [f"{warmed.name}-warming-ping-schedule-role"] if warmed.pings else []
    if warmed.swapped:
        found += [f"{warmed.name}-endpoint-schedules-swap-role", f"{warmed.name}-warming-check-schedule-role"]
    return found


def warming_calls(warmed: Warmed) -> Mapping[str, list[Call]]:
    """Role (logical name) → all that it calls, of a stack whose budget drops its floor."""
    name = warmed.name
    calls = {f"{name}-budget-floor-role": drop(warmed)}
    if warmed.pings:
        calls |= {f"{name}-warming-ping-role": ping(warmed), f"{name}-warming-ping-schedule-role": fired(warmed, "warmer")}
    if warmed.swapped:
        swapped = [*swap(warmed, _FIRED, 0, 2), dead_letters(f"{warmed.group}-schedules-dead", _FIRED)]
        calls |= {f"{name}-warming-check-role": check(warmed), f"{name}-warming-check-schedule-role": fired(warmed, "reconciler")}
        calls |= {f"{name}-endpoint-schedules-swap-role": swapped}
    return calls
