"""What may be set on a queue, and what of it SQS refuses. The texts are SQS's; each names the attribute and its value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.twin.aws.sqs_model import Queue
from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Refusal

# SQS API reference, SetQueueAttributes (botocore 1.43): attribute -> (least, most, default).
RANGES: Mapping[str, tuple[int, int, int]] = {
    "DelaySeconds": (0, 900, 0),
    "MaximumMessageSize": (1024, 1_048_576, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600, 345_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
    "VisibilityTimeout": (0, 43_200, 30),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, 300),
}
TEXTS = ("Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled")
DEFAULTS = {name: str(default) for name, (_, _, default) in RANGES.items()} | {"SqsManagedSseEnabled": "true"}
MAX_RECEIVE_COUNT = (1, 1000)
_PERMISSIONS = ("allowAll", "denyAll", "byQueue")


class SqsError(Refusal):
    """`query_code` is the code that boto3 shows: SQS keeps the codes of its older protocol beside the names of its shapes."""

    def __init__(self, code: str, message: str, query_code: str | None = None) -> None:
        super().__init__(code, message)
        self.query_code = query_code or code


def no_queue() -> SqsError:
    text = "The specified queue does not exist."
    return SqsError("QueueDoesNotExist", text, "AWS.SimpleQueueService.NonExistentQueue")


def invalid(name: str, value: Any, reason: str) -> SqsError:
    text = f"Value {value} for parameter {name} is invalid. Reason: {reason}"
    return SqsError("InvalidAttributeValue", text, "InvalidParameterValue")


def check(arn: str, wanted: Mapping[str, str], queue_of: Callable[[str], Queue | None]) -> None:
    """SqsError for an attribute that SQS does not know or a value that it does not take. Empty texts take a policy away."""
    for name, value in wanted.items():
        if name in RANGES:
            least, most, _ = RANGES[name]
            if not value.isdigit() or not least <= int(value) <= most:
                raise invalid(name, value, f"Must be between {least} and {most}.")
        elif name not in TEXTS:
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}. The twin has standard queues only, with {_known()}.")
    if wanted.get("Policy"):
        try:
            parse(wanted["Policy"])
        except PolicyError as error:
            raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter Policy: {error}.") from None
    if wanted.get("RedrivePolicy"):
        _check_redrive(arn, wanted["RedrivePolicy"], queue_of)
    if wanted.get("RedriveAllowPolicy") and (problem := allow_problem(wanted["RedriveAllowPolicy"])):
        raise invalid("RedriveAllowPolicy", wanted["RedriveAllowPolicy"], problem)


def redrive_problem(text: str) -> str | None:
    """What is wrong with a redrive policy in itself, or None."""
    policy = _object(text)
    if policy is None or set(policy) != {"deadLetterTargetArn", "maxReceiveCount"}:
        return "Redrive policy does not contain mandatory attributes: deadLetterTargetArn and maxReceiveCount."
    count, (least, most) = policy["maxReceiveCount"], MAX_RECEIVE_COUNT
    if not str(count).isdigit() or not least <= int(count) <= most:
        return f"Invalid value for maxReceiveCount: {count}, valid values are from {least} to {most} both inclusive."
    return None


def _check_redrive(arn: str, text: str, queue_of: Callable[[str], Queue | None]) -> None:
    if problem := redrive_problem(text):
        raise invalid("RedrivePolicy", text, problem)
    target = queue_of(json.loads(text)["deadLetterTargetArn"])
    if target is None:
        raise invalid("RedrivePolicy", text, "Dead letter target does not exist.")
    permission, sources = _allowed(target.attributes.get("RedriveAllowPolicy"))
    if permission == "denyAll" or (permission == "byQueue" and arn not in sources):
        raise invalid("RedrivePolicy", text, f"The dead-letter queue's redrive allow policy ({permission}) does not let {arn} use it.")


def allow_problem(text: str) -> str | None:
    """What is wrong with a redrive allow policy, or None."""
    permission, sources = _allowed(text)
    if permission not in _PERMISSIONS or not isinstance(sources, list) or bool(sources) != (permission == "byQueue"):
        return f"redrivePermission must be one of {', '.join(_PERMISSIONS)}, with sourceQueueArns for byQueue only."
    return "sourceQueueArns can hold at most 10 queues: use allowAll." if len(sources) > 10 else None


def _allowed(text: str | None) -> tuple[Any, Any]:
    policy = (_object(text) or {}) if text else {"redrivePermission": "allowAll"}
    return policy.get("redrivePermission"), policy.get("sourceQueueArns", [])


def _object(text: str) -> dict[str, Any] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _known() -> str:
    return ", ".join(sorted([*RANGES, *TEXTS]))
