"""Lambda: event source mappings of queues, refused as Lambda refuses them when it tries the queue with the function's role."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.aws.event_source import DEFAULT_BATCH, MAPPING, RECEIVE, may
from pilotlight.twin.aws.lambda_version import function_arn, resolve, split_name
from pilotlight.twin.rows import Invoke, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Lambda API reference, ScalingConfig.
CONCURRENCY = (2, 1000)
_NEEDED = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
# What the local twin does not run, and why it may not be passed over in silence.
_NOT_RUN = {
    "filterCriteria": "filters of event sources: filter in the bucket's notification or in the function",
    "provisionedPollerConfig": "provisioned pollers",
    "selfManagedEventSource": "sources other than SQS",
    "topics": "sources other than SQS",
    "queues": "sources other than SQS",
}
# Only for streams (Lambda API reference, CreateEventSourceMapping); SQS mappings with one of them are refused.
_OF_STREAMS = (
    "startingPosition",
    "startingPositionTimestamp",
    "bisectBatchOnFunctionError",
    "destinationConfig",
    "maximumRecordAgeInSeconds",
    "maximumRetryAttempts",
    "parallelizationFactor",
    "tumblingWindowInSeconds",
)


def _limits(inputs: Properties) -> list[str]:
    problems = [f"{name}: the local twin does not run {what}." for name, what in _NOT_RUN.items() if inputs.get(name)]
    source = inputs.get("eventSourceArn")
    if isinstance(source, str) and source.split(":")[2:3] != ["sqs"]:
        problems.append(f"eventSourceArn: {source!r}: the local twin polls SQS queues only.")
    problems += [f"{name}: Unsupported parameter for the source type SQS." for name in _OF_STREAMS if inputs.get(name)]
    if inputs.get("batchSize", DEFAULT_BATCH) > RECEIVE and not inputs.get("maximumBatchingWindowInSeconds"):
        text = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        problems.append(f"maximumBatchingWindowInSeconds: {text} (batchSize is {inputs['batchSize']}).")
    concurrency = (inputs.get("scalingConfig") or {}).get("maximumConcurrency")
    if concurrency is not None and not CONCURRENCY[0] <= concurrency <= CONCURRENCY[1]:
        problems.append(f"scalingConfig.maximumConcurrency: {concurrency}: use {CONCURRENCY[0]} to {CONCURRENCY[1]}.")
    return problems


def _check(twin: Twin, inputs: Properties) -> None:
    function = resolve(twin.world, *split_name(inputs["functionName"]))
    queue = twin.sqs.store.queue(inputs["eventSourceArn"])
    if queue is None:
        code = "AWS.SimpleQueueService.NonExistentQueue"
        text = f"Error occurred while ReceiveMessage. SQS Error Code: {code}. SQS Error Message: The specified queue does not exist."
        raise Refusal("InvalidParameterValueException", text)
    for action in _NEEDED:
        if not may(twin, function.role, action, queue.arn, queue.policies):
            text = f"The function execution role does not have permissions to call {action} on SQS"
            raise Refusal("InvalidParameterValueException", text)
    visibility = queue.seconds("VisibilityTimeout")
    if visibility < function.timeout_s:
        text = f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {function.timeout_s} seconds"
        raise Refusal("InvalidParameterValueException", text)


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    id_ = str(uuid.uuid4())
    name, qualifier = split_name(inputs["functionName"])
    arn = function_arn(twin, name, inputs["region"])
    enabled = inputs.get("enabled", True)
    return {
        "uuid": id_,
        "arn": f"arn:aws:lambda:{inputs['region']}:{twin.account}:event-source-mapping:{id_}",
        "functionArn": f"{arn}:{qualifier}" if qualifier else arn,
        "batchSize": inputs.get("batchSize", DEFAULT_BATCH),
        "enabled": enabled,
        "state": "Enabled" if enabled else "Disabled",
        "stateTransitionReason": "USER_INITIATED",
        "lastProcessingResult": "No records processed",
        "lastModified": datetime.fromtimestamp(twin.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _create(twin: Twin, mapping: Resource) -> None:
    source, function = mapping["eventSourceArn"], mapping["functionArn"]
    for other in twin.world.find(MAPPING, eventSourceArn=source, functionArn=function):
        text = f'An event source mapping with SQS arn (" {source} ") and function (" {function} ") already exists.'
        raise Refusal("ResourceConflictException", f"{text} Please update or delete the existing mapping with UUID {other.id}", 409)


def _read(twin: Twin, mapping: Resource) -> dict[str, Any]:
    return {**mapping.outputs, "lastProcessingResult": twin.event_sources.result(mapping.id)}


ROWS: tuple[Row, ...] = (
    Row(
        token=MAPPING,
        id=lambda p: str(p["uuid"]),
        replaces=frozenset({"eventSourceArn", "region"}),
        volatile=frozenset({"lastModified", "functionArn", "state", "lastProcessingResult"}),
        computed=_computed,
        cfn="AWS::Lambda::EventSourceMapping",
        rename={"queues": "", "topics": "", "scalingConfig": ""},
        limits=_limits,
        check=_check,
        create=_create,
        update=lambda twin, old, new: {"uuid": old["uuid"], "arn": old["arn"]},
        read=_read,
    ),
)
INVOKES: tuple[Invoke, ...] = ()
