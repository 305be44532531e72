"""The part of the Lambda API that looks at event source mappings, pauses them and lets them go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.event_source import DEFAULT_BATCH, MAPPING
from pilotlight.twin.aws.lambda_version import split_name
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_PREFIX = "/2015-03-31/event-source-mappings"
_OPERATIONS = {("GET", False): "ListEventSourceMappings", ("GET", True): "GetEventSourceMapping", ("PUT", True): "UpdateEventSourceMapping"}


def is_about(request: AwsRequest) -> bool:
    """Whether a request to Lambda is one of these."""
    return request.path.startswith(_PREFIX)


def actions(twin: Twin, request: AwsRequest) -> list[tuple[str, str]]:
    """The right that the request needs. Refusal for what the twin does not serve."""
    operation, id_ = _operation(request)
    arn = f"arn:aws:lambda:{request.region}:{twin.account}:event-source-mapping:{id_}"
    return [(f"lambda:{operation}", arn if id_ else "*")]


def handle(twin: Twin, request: AwsRequest) -> AwsResponse:
    operation, id_ = _operation(request)
    if operation == "ListEventSourceMappings":
        return _answer({"EventSourceMappings": [_entry(twin, mapping) for mapping in _wanted(twin, request)]})
    mapping = twin.world.get(MAPPING, id_)
    if mapping is None:
        raise Refusal("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    if operation == "GetEventSourceMapping":
        return _answer(_entry(twin, mapping))
    changes = json.loads(request.body or b"{}")
    if set(changes) != {"Enabled"} or not isinstance(changes["Enabled"], bool):
        raise Refusal("InvalidParameterValueException", "The twin changes Enabled of an event source mapping by the API, nothing else.")
    state = "Enabled" if changes["Enabled"] else "Disabled"
    outputs = {**mapping.outputs, "enabled": changes["Enabled"], "state": state}
    changed = Resource(token=MAPPING, id=id_, urn=mapping.urn, inputs=mapping.inputs, outputs=outputs)
    twin.world.put(changed)
    return _answer(_entry(twin, changed), 202)


def _operation(request: AwsRequest) -> tuple[str, str]:
    id_ = request.path.removeprefix(_PREFIX).strip("/")
    operation = _OPERATIONS.get((request.method, bool(id_)))
    if operation is None:
        known = ", ".join(_OPERATIONS.values())
        raise Refusal("NotImplemented", f"The twin's Lambda does not serve {request.method} {request.path}: it serves {known}.", 501)
    return operation, id_


def _wanted(twin: Twin, request: AwsRequest) -> list[Resource]:
    found = twin.world.find(MAPPING)
    if source := request.query.get("EventSourceArn"):
        found = [mapping for mapping in found if mapping["eventSourceArn"] == source]
    if function := request.query.get("FunctionName"):
        found = [mapping for mapping in found if split_name(mapping["functionName"]) == split_name(function)]
    return found


def _entry(twin: Twin, mapping: Resource) -> dict[str, Any]:
    concurrency = (mapping.get("scalingConfig") or {}).get("maximumConcurrency")
    return {
        "UUID": mapping["uuid"],
        "EventSourceMappingArn": mapping["arn"],
        "EventSourceArn": mapping["eventSourceArn"],
        "FunctionArn": mapping["functionArn"],
        "BatchSize": mapping.get("batchSize", DEFAULT_BATCH),
        "MaximumBatchingWindowInSeconds": mapping.get("maximumBatchingWindowInSeconds", 0),
        "FunctionResponseTypes": mapping.get("functionResponseTypes", []),
        "State": mapping["state"],
        "StateTransitionReason": mapping["stateTransitionReason"],
        "LastProcessingResult": twin.event_sources.result(mapping.id),
        **({"ScalingConfig": {"MaximumConcurrency": concurrency}} if concurrency else {}),
    }


def _answer(content: dict[str, Any], status: int = 200) -> AwsResponse:
    return AwsResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps(content).encode())
