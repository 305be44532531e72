"""Messages through the SQS API: sent, received, hidden, deleted, one at a time and in batches."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.sqs_attributes import RANGES, SqsError, invalid, no_queue
from pilotlight.twin.aws.sqs_model import Message, Queue, handle_of
from pilotlight.twin.rows import AwsRequest

if TYPE_CHECKING:
    from pilotlight.twin.aws.sqs import SqsService

# SQS developer guide, message quotas: entries of a batch and messages of a receive; the longest a message stays hidden; attributes;
# messages in flight of one queue; a batch's bytes.
BATCH = 10
HIDDEN_S = 43_200
MAX_ATTRIBUTES = 10
MAX_IN_FLIGHT = 120_000
BATCH_BYTES = 1_048_576
_BATCH_ID = re.compile(r"[\w-]{1,80}")
# Characters that SQS refuses in a body (SendMessage): those that XML 1.0 does not have.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
Parameters = Mapping[str, Any]
Answer = dict[str, Any]


def queue_of(service: SqsService, parameters: Parameters, request: AwsRequest) -> Queue:
    """The queue that a request names. SqsError where it is not there."""
    queue = service.find(str(parameters.get("QueueUrl", "")), request.region)
    if queue is None:
        raise no_queue()
    return queue


def _sender(request: AwsRequest) -> str:
    session = request.caller.arn.rpartition("/")[2]
    return f"AROAPILOTLIGHTTWIN001:{session}" if request.caller.role_arn else "AIDAPILOTLIGHTDEPLOY"


def _size(entry: Parameters) -> int:
    held = entry.get("MessageAttributes") or {}
    values = (
        str(value.get("StringValue", "")) + str(value.get("BinaryValue", "")) + str(value.get("DataType", "")) for value in held.values()
    )
    return len(str(entry.get("MessageBody", "")).encode("utf-8", "surrogatepass")) + sum(len(text.encode()) for text in (*held, *values))


def _checked(queue: Queue, entry: Parameters) -> tuple[str, Mapping[str, Any], float | None]:
    """A message as the store takes it. SqsError for what SQS refuses."""
    body, held, delay = str(entry.get("MessageBody", "")), entry.get("MessageAttributes") or {}, entry.get("DelaySeconds")
    if not body:
        raise SqsError("MissingParameter", "The request must contain the parameter MessageBody.")
    if _FORBIDDEN.search(body):
        raise SqsError(
            "InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #x10FFFF."
        )
    if (limit := queue.seconds("MaximumMessageSize")) < _size(entry):
        text = f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        raise SqsError("InvalidParameterValueException", text, "InvalidParameterValue")
    if len(held) > MAX_ATTRIBUTES:
        raise SqsError("InvalidParameterValueException", f"Number of message attributes [{len(held)}] exceeds the allowed maximum [10].")
    if delay is not None and not 0 <= int(delay) <= RANGES["DelaySeconds"][1]:
        raise invalid("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900.")
    if entry.get("MessageGroupId") is not None and len(str(entry["MessageGroupId"])) > 128:
        raise invalid("MessageGroupId", entry["MessageGroupId"], "can only have up to 128 characters.")
    return body, held, None if delay is None else float(delay)


async def send(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = queue_of(service, parameters, request)
    message = _checked(queue, parameters)
    (id_,) = service.send_all(queue.arn, [message], _sender(request))
    return _sent(id_, message)


async def send_batch(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue, entries = queue_of(service, parameters, request), _entries(parameters)
    if sum(map(_size, entries)) > BATCH_BYTES:
        text = f"Batch requests cannot be longer than {BATCH_BYTES} bytes."
        raise SqsError("BatchRequestTooLong", text, "AWS.SimpleQueueService.BatchRequestTooLong")
    good: list[tuple[str, tuple[str, Mapping[str, Any], float | None]]] = []
    failed: list[Answer] = []
    for entry in entries:
        try:
            good.append((entry["Id"], _checked(queue, entry)))
        except SqsError as error:
            failed.append(_failed(entry, error))
    ids = service.send_all(queue.arn, [message for _, message in good], _sender(request)) if good else []
    sent = [{"Id": entry, **_sent(id_, message)} for (entry, message), id_ in zip(good, ids, strict=True)]
    return {"Successful": sent} | ({"Failed": failed} if failed else {})


def _sent(id_: str, message: tuple[str, Mapping[str, Any], float | None]) -> Answer:
    answer = {"MessageId": id_, "MD5OfMessageBody": _md5(message[0].encode())}
    return answer | ({"MD5OfMessageAttributes": attributes_md5(message[1])} if message[1] else {})


async def receive(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = queue_of(service, parameters, request)
    limit, visibility = int(parameters.get("MaxNumberOfMessages", 1)), parameters.get("VisibilityTimeout")
    wait = parameters.get("WaitTimeSeconds")
    if not 1 <= limit <= BATCH:
        raise invalid("MaxNumberOfMessages", limit, f"Must be between 1 and {BATCH}, if provided.")
    if visibility is not None and not 0 <= int(visibility) <= HIDDEN_S:
        raise invalid("VisibilityTimeout", visibility, f"Must be between 0 and {HIDDEN_S}, if provided.")
    if wait is not None and not 0 <= int(wait) <= RANGES["ReceiveMessageWaitTimeSeconds"][1]:
        raise invalid("WaitTimeSeconds", wait, "Must be >= 0 and <= 20, if provided.")
    if service.store.in_flight(queue.arn, MAX_IN_FLIGHT) >= MAX_IN_FLIGHT:
        raise SqsError("OverLimit", f"More than {MAX_IN_FLIGHT} messages of the queue are in flight: delete some first.")
    waiting = queue.seconds("ReceiveMessageWaitTimeSeconds") if wait is None else int(wait)
    found = await service.receive(queue.arn, limit, None if visibility is None else float(visibility), waiting)
    system = {*parameters.get("AttributeNames", []), *parameters.get("MessageSystemAttributeNames", [])}
    own = list(parameters.get("MessageAttributeNames", []))
    return {"Messages": [_received(message, system, own) for message in found]} if found else {}


def _received(message: Message, system: set[str], own: list[str]) -> Answer:
    answer: Answer = {
        "MessageId": message.id,
        "ReceiptHandle": handle_of(message),
        "MD5OfBody": _md5(message.body.encode()),
        "Body": message.body,
    }
    told = {name: value for name, value in system_attributes(message).items() if name in system or "All" in system}
    shown = {name: value for name, value in message.attributes.items() if any(_named(name, one) for one in own)}
    if shown:
        answer |= {"MessageAttributes": shown, "MD5OfMessageAttributes": attributes_md5(shown)}
    return answer | ({"Attributes": told} if told else {})


def _named(name: str, wanted: str) -> bool:
    return wanted in ("All", ".*", name) or (wanted.endswith(".*") and name.startswith(wanted[:-2]))


def system_attributes(message: Message) -> dict[str, str]:
    """What SQS tells of a message that was received. Times are in milliseconds since the epoch."""
    told = {
        "SenderId": message.sender,
        "SentTimestamp": str(int(message.sent * 1000)),
        "ApproximateReceiveCount": str(message.received),
        "ApproximateFirstReceiveTimestamp": str(int((message.first_received or message.sent) * 1000)),
    }
    return told | ({"DeadLetterQueueSourceArn": message.source} if message.source else {})


def _receipt(service: SqsService, queue: Queue, entry: Parameters) -> tuple[int, str]:
    found = service.store.receipt(queue.arn, str(entry.get("ReceiptHandle", "")))
    if found is None:
        raise SqsError("ReceiptHandleIsInvalid", f'The input receipt handle "{entry.get("ReceiptHandle")}" is not a valid receipt handle.')
    return found


async def delete_message(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = queue_of(service, parameters, request)
    service.store.remove([_receipt(service, queue, parameters)])
    return {}


async def delete_batch(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = queue_of(service, parameters, request)
    return _each(_entries(parameters), lambda entry: service.store.remove([_receipt(service, queue, entry)]))


def _hide(service: SqsService, queue: Queue, entry: Parameters) -> None:
    seconds = int(entry.get("VisibilityTimeout", 0))
    if not 0 <= seconds <= HIDDEN_S:
        raise invalid("VisibilityTimeout", seconds, f"Must be between 0 and {HIDDEN_S}.")
    receipt = _receipt(service, queue, entry)
    since = service.store.in_flight_for(receipt)
    if since is None:
        text = "is invalid. Reason: Message does not exist or is not available for visibility timeout change."
        text = f"Value {entry.get('ReceiptHandle')} for parameter ReceiptHandle {text}"
        raise SqsError("MessageNotInflight", text, "InvalidParameterValue")
    if since + seconds > HIDDEN_S:
        reason = f"Total VisibilityTimeout for the message is beyond the limit [{HIDDEN_S} seconds]."
        raise invalid("VisibilityTimeout", seconds, reason)
    service.store.hide(receipt, seconds)
    service.changed(queue.arn)


async def change_visibility(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    _hide(service, queue_of(service, parameters, request), parameters)
    return {}


async def change_visibility_batch(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = queue_of(service, parameters, request)
    return _each(_entries(parameters), lambda entry: _hide(service, queue, entry))


def _entries(parameters: Parameters) -> list[Mapping[str, Any]]:
    """The entries of a batch. SqsError where their number or ids are not allowed."""
    prefix, entries = "AWS.SimpleQueueService.", list(parameters.get("Entries") or [])
    ids = [str(entry.get("Id", "")) for entry in entries]
    if not entries:
        raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.", prefix + "EmptyBatchRequest")
    if len(entries) > BATCH:
        text = f"Maximum number of entries per request are {BATCH}. You have sent {len(entries)}."
        raise SqsError("TooManyEntriesInBatchRequest", text, prefix + "TooManyEntriesInBatchRequest")
    if not all(_BATCH_ID.fullmatch(id_) for id_ in ids):
        text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
        raise SqsError("InvalidBatchEntryId", text, prefix + "InvalidBatchEntryId")
    if len(set(ids)) < len(ids):
        raise SqsError("BatchEntryIdsNotDistinct", "Two or more batch entries have one Id.", prefix + "BatchEntryIdsNotDistinct")
    return entries


def _each(entries: Iterable[Mapping[str, Any]], work: Callable[[Mapping[str, Any]], None]) -> Answer:
    """A batch's answer: each entry succeeds or fails by itself."""
    successful, failed = [], []
    for entry in entries:
        try:
            work(entry)
            successful.append({"Id": entry["Id"]})
        except SqsError as error:
            failed.append(_failed(entry, error))
    return {"Successful": successful} | ({"Failed": failed} if failed else {})


def _failed(entry: Parameters, error: SqsError) -> Answer:
    return {"Id": entry["Id"], "SenderFault": True, "Code": error.query_code, "Message": error.message}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def attributes_md5(held: Mapping[str, Any]) -> str:
    """The digest of message attributes, as the SQS developer guide ("message metadata") lays it down."""
    parts = []
    for name in sorted(held):
        kind, binary = str(held[name]["DataType"]), held[name].get("BinaryValue")
        value = str(held[name].get("StringValue", "")).encode() if binary is None else base64.b64decode(binary)
        parts += [_sized(name.encode()), _sized(kind.encode()), b"\x01" if binary is None else b"\x02", _sized(value)]
    return _md5(b"".join(parts))


def _sized(content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + content
