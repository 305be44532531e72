"""A batch of messages as a function gets it, and what its answer says of each. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pilotlight.twin.aws.sqs_messages import system_attributes
from pilotlight.twin.aws.sqs_model import Message, handle_of

# Lambda developer guide, "Using Lambda with Amazon SQS": a batch is as large as a synchronous event may be.
PAYLOAD_BYTES = 6 * 1024 * 1024
# What a record holds beside its body, generously.
_RECORD_BYTES = 2048


def event_of(messages: Iterable[Message], queue_arn: str) -> bytes:
    """The event in the form of the Lambda developer guide ("Amazon SQS message event")."""
    return json.dumps({"Records": [_record(message, queue_arn) for message in messages]}).encode()


def weight(message: Message) -> int:
    """About as many bytes as the message takes in the event."""
    return len(json.dumps(message.body)) + len(json.dumps(message.attributes)) + _RECORD_BYTES


def _record(message: Message, queue_arn: str) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": handle_of(message),
        "body": message.body,
        "attributes": system_attributes(message),
        "messageAttributes": {name: _attribute(value) for name, value in message.attributes.items()},
        "md5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    held = {"stringValue": value.get("StringValue"), "binaryValue": value.get("BinaryValue")}
    present = {name: one for name, one in held.items() if one is not None}
    return {**present, "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}


def failed_of(answer: bytes, ids: Sequence[str]) -> set[str]:
    """The ids of the messages that a partial answer (ReportBatchItemFailures) calls failed.

    As the Lambda developer guide says: nothing, null or an empty list is success; an answer that is no object, an identifier that is
    empty, null, under another name or of no message of the batch makes the whole batch fail.
    """
    try:
        content = json.loads(answer or b"null")
    except ValueError:
        return set(ids)
    if content is None:
        return set()
    failures = content.get("batchItemFailures") if isinstance(content, Mapping) else content
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return set(ids)
    named = {str(item.get("itemIdentifier") or "") if isinstance(item, Mapping) else "" for item in failures}
    return named if named <= set(ids) else set(ids)
