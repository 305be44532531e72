"""What a schedule may call: a Lambda function, an SQS queue, or any API operation (universal target)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.twin.rows import Properties, Refusal

if TYPE_CHECKING:
    from pilotlight.twin.aws.role_calls import RoleCalls
    from pilotlight.twin.twin import Twin

_LAMBDA = re.compile(r"arn:aws[\w-]*:lambda:[\w-]+:\d{12}:function:[\w-]+(?::[\w$-]+)?")
_SQS = re.compile(r"arn:aws[\w-]*:sqs:[\w-]+:(?P<account>\d{12}):(?P<queue>[\w-]+(?:\.fifo)?)")
_UNIVERSAL = re.compile(r"arn:aws[\w-]*:scheduler:::aws-sdk:(?P<service>[a-z0-9-]+):(?P<action>[a-z]\w+)")
# EventBridge Scheduler user guide, "Using universal targets": operations that only read are not supported.
_READS = (
    "get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup", "discover", "validate",
    "batchGet", "batchDescribe", "batchRead", "transactGet", "adminGet", "adminList", "testMigration", "retrieve", "testConnection",
    "translateDocument", "isAuthorized", "invokeModel",
)  # fmt: skip
# Services that the local twin serves to a schedule, by the name that the target's ARN has for them.
SERVED = ("sagemaker", "lambda", "sqs", "dynamodb", "sns", "scheduler", "applicationautoscaling")
_CLIENTS = {"applicationautoscaling": "application-autoscaling"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One API call: the SDK's service, the operation and its parameters."""

    service: str
    operation: str
    parameters: dict[str, Any]


def problems(target: Properties) -> list[str]:
    """What CreateSchedule refuses of a target, as far as the target itself says it; sentences that begin with the property's path."""
    arn, text = str(target.get("arn", "")), target.get("input")
    found = []
    universal = _UNIVERSAL.fullmatch(arn)
    if not (universal or _LAMBDA.fullmatch(arn) or _SQS.fullmatch(arn)):
        found.append(
            f"target.arn: {arn!r}: the local twin delivers to Lambda functions, SQS queues and "
            f"arn:aws:scheduler:::aws-sdk:<service>:<operation>."
        )
    if universal and universal["service"] not in SERVED:
        found.append(f"target.arn: {universal['service']!r}: the local twin serves {', '.join(SERVED)} to schedules.")
    if universal and universal["action"].startswith(_READS):
        found.append(f"target.arn: {universal['action']!r} only reads: EventBridge Scheduler does not call such operations.")
    if text is not None and not _SQS.fullmatch(arn) and _parsed(text) is None:
        found.append("target.input: must be well-formed JSON for this target.")
    if arn.endswith(".fifo") != bool((target.get("sqsParameters") or {}).get("messageGroupId")):
        found.append("target.sqsParameters.messageGroupId: is needed for a FIFO queue, and for nothing else.")
    return found


def judge(calls: RoleCalls, target: Properties) -> None:
    """Refusal ValidationException where a universal target's operation, or its input's fields, are not the API's."""
    universal = _UNIVERSAL.fullmatch(str(target["arn"]))
    if universal is None:
        return
    from botocore.validate import ParamValidator

    model = calls.model(_CLIENTS.get(universal["service"], universal["service"]))
    operation = _pascal(universal["action"])
    if operation not in model.operation_names:
        raise Refusal(
            "ValidationException", f"{universal['service']}:{universal['action']} is not a supported API for EventBridge Scheduler."
        )
    shape = model.operation_model(operation).input_shape
    report = ParamValidator().validate(_parsed(target.get("input") or "{}"), shape) if shape else None
    if report is not None and report.has_errors():
        raise Refusal("ValidationException", f"Invalid RequestJson provided. Reason {report.generate_report()}")


def call_of(twin: Twin, target: Properties, text: str) -> Call:
    """The call that delivers `text`. Lambda is invoked as an event: what the function then does with it is not the schedule's to see."""
    arn = str(target["arn"])
    if _LAMBDA.fullmatch(arn):
        parameters: dict[str, Any] = {"FunctionName": arn, "InvocationType": "Event", "Payload": text.encode()}
        return Call(service="lambda", operation="Invoke", parameters=parameters)
    if _SQS.fullmatch(arn):
        group = (target.get("sqsParameters") or {}).get("messageGroupId")
        parameters = {"QueueUrl": queue_url(twin, arn), "MessageBody": text, **({"MessageGroupId": group} if group else {})}
        return Call(service="sqs", operation="SendMessage", parameters=parameters)
    universal = _UNIVERSAL.fullmatch(arn)
    assert universal is not None
    service = universal["service"]
    return Call(service=_CLIENTS.get(service, service), operation=_pascal(universal["action"]), parameters=_parsed(text) or {})


def queue_url(twin: Twin, arn: str) -> str:
    """The address of a queue at the front."""
    _, account, queue = arn.rsplit(":", 2)
    return f"{twin.front_url}/{account}/{queue}"


def _pascal(action: str) -> str:
    return action[0].upper() + action[1:]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
