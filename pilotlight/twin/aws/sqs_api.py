"""The operations of the SQS API over the twin's queues, in the JSON protocol of current clients."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from pilotlight.twin.aws import sqs_attributes as attributes
from pilotlight.twin.aws import sqs_messages as messages
from pilotlight.twin.aws.sqs_attributes import DEFAULTS, SqsError, no_queue
from pilotlight.twin.aws.sqs_messages import Answer, Parameters
from pilotlight.twin.aws.sqs_messages import queue_of as _queue
from pilotlight.twin.emulated_actions import sqs_needs
from pilotlight.twin.rows import AwsRequest

if TYPE_CHECKING:
    from pilotlight.twin.aws.sqs import SqsService

# SQS API reference, PurgeQueue: once in this many seconds.
PURGE_S = 60.0
_NAME = re.compile(r"[\w-]{1,80}")


def needs(service: SqsService, name: str, parameters: Parameters, request: AwsRequest) -> list[tuple[str, str]]:
    """(action, queue ARN) pairs; a move of messages needs what it does at both ends (StartMessageMoveTask, developer guide)."""
    if not name.endswith("MessageMoveTask") and name != "ListMessageMoveTasks":
        return sqs_needs(name, parameters, request.path, request.region, service.twin.account)
    source = str(parameters.get("SourceArn") or service.moves.source_of(str(parameters.get("TaskHandle", ""))) or "*")
    wanted = [(f"sqs:{name}", source)]
    if name == "StartMessageMoveTask":
        wanted += [(f"sqs:{action}", source) for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")]
        origins = [queue.arn for queue in service.store.queues() if queue.redrive and queue.redrive[0] == source]
        wanted += [
            ("sqs:SendMessage", arn) for arn in ([str(parameters["DestinationArn"])] if parameters.get("DestinationArn") else origins)
        ]
    return wanted


async def call(service: SqsService, name: str, parameters: Parameters, request: AwsRequest) -> Answer:
    """Run an operation of OPERATIONS. SqsError for what SQS refuses."""
    return await OPERATIONS[name](service, parameters, request)


async def _create(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    name, wanted = str(parameters.get("QueueName", "")), dict(parameters.get("Attributes") or {})
    if not _NAME.fullmatch(name):
        text = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        raise SqsError("InvalidParameterValueException", f"{text}; the twin has no FIFO queues.", "InvalidParameterValue")
    arn = service.arn(name, request.region)
    attributes.check(arn, wanted, service.store.queue)
    held = service.store.queue(arn)
    if held is None:
        held = service.store.put(arn, {**DEFAULTS, **wanted}, dict(parameters.get("tags") or {}))
    elif differs := sorted(name for name, value in wanted.items() if held.attributes.get(name) != value):
        text = f"A queue already exists with the same name and a different value for attribute {differs[0]}"
        raise SqsError("QueueNameExists", text, "QueueAlreadyExists")
    return {"QueueUrl": service.url(held)}


async def _delete(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    service.store.delete(_queue(service, parameters, request).arn)
    return {}


async def _list(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    prefix = service.arn(str(parameters.get("QueueNamePrefix") or ""), request.region)
    urls = [service.url(queue) for queue in service.store.queues() if queue.arn.startswith(prefix)]
    return {"QueueUrls": urls[:1000]} if urls else {}


async def _url(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = service.store.queue(service.arn(str(parameters.get("QueueName", "")), request.region))
    if queue is None:
        raise no_queue()
    return {"QueueUrl": service.url(queue)}


async def _get_attributes(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = _queue(service, parameters, request)
    names, figures = parameters.get("AttributeNames") or [], service.store.figures(queue.arn)
    known = {name: value for name, value in queue.attributes.items() if value} | {
        "QueueArn": queue.arn,
        "ApproximateNumberOfMessages": str(figures.visible),
        "ApproximateNumberOfMessagesNotVisible": str(figures.in_flight),
        "ApproximateNumberOfMessagesDelayed": str(figures.delayed),
        "CreatedTimestamp": str(int(queue.created)),
        "LastModifiedTimestamp": str(int(queue.modified)),
    }
    if unknown := set(names) - {"All", *known, *attributes.RANGES, *attributes.TEXTS}:
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {min(unknown)}.")
    return {"Attributes": known if "All" in names else {name: known[name] for name in names if name in known}}


async def _set_attributes(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue, wanted = _queue(service, parameters, request), dict(parameters.get("Attributes") or {})
    attributes.check(queue.arn, wanted, service.store.queue)
    service.store.put(queue.arn, {**queue.attributes, **wanted}, queue.tags)
    service.changed(queue.arn)
    return {}


async def _purge(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = _queue(service, parameters, request)
    if queue.purged and service.twin.clock.now() - queue.purged < PURGE_S:
        text = f"Only one PurgeQueue operation on {queue.name} is allowed every {PURGE_S:.0f} seconds."
        raise SqsError("PurgeQueueInProgress", text, "AWS.SimpleQueueService.PurgeQueueInProgress")
    service.store.purge(queue.arn)
    return {}


async def _dead_letter_sources(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    target = _queue(service, parameters, request).arn
    return {"queueUrls": [service.url(queue) for queue in service.store.queues() if queue.redrive and queue.redrive[0] == target]}


async def _tags(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    tags = _queue(service, parameters, request).tags
    return {"Tags": dict(tags)} if tags else {}


async def _tag(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue = _queue(service, parameters, request)
    service.store.put(queue.arn, queue.attributes, {**queue.tags, **parameters.get("Tags", {})})
    return {}


async def _untag(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    queue, gone = _queue(service, parameters, request), set(parameters.get("TagKeys", []))
    service.store.put(queue.arn, queue.attributes, {name: value for name, value in queue.tags.items() if name not in gone})
    return {}


async def _start_move(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    rate = parameters.get("MaxNumberOfMessagesPerSecond")
    source, target = str(parameters.get("SourceArn", "")), parameters.get("DestinationArn") or None
    return {"TaskHandle": service.moves.start(source, target, None if rate is None else int(rate))}


async def _cancel_move(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    return {"ApproximateNumberOfMessagesMoved": service.moves.cancel(str(parameters.get("TaskHandle", "")))}


async def _list_moves(service: SqsService, parameters: Parameters, request: AwsRequest) -> Answer:
    return {"Results": service.moves.newest(str(parameters.get("SourceArn", "")), int(parameters.get("MaxResults", 1)))}


OPERATIONS: Mapping[str, Callable[[SqsService, Parameters, AwsRequest], Awaitable[Answer]]] = {
    "CancelMessageMoveTask": _cancel_move,
    "ChangeMessageVisibility": messages.change_visibility,
    "ChangeMessageVisibilityBatch": messages.change_visibility_batch,
    "CreateQueue": _create,
    "DeleteMessage": messages.delete_message,
    "DeleteMessageBatch": messages.delete_batch,
    "DeleteQueue": _delete,
    "GetQueueAttributes": _get_attributes,
    "GetQueueUrl": _url,
    "ListDeadLetterSourceQueues": _dead_letter_sources,
    "ListMessageMoveTasks": _list_moves,
    "ListQueueTags": _tags,
    "ListQueues": _list,
    "PurgeQueue": _purge,
    "ReceiveMessage": messages.receive,
    "SendMessage": messages.send,
    "SendMessageBatch": messages.send_batch,
    "SetQueueAttributes": _set_attributes,
    "StartMessageMoveTask": _start_move,
    "TagQueue": _tag,
    "UntagQueue": _untag,
}
