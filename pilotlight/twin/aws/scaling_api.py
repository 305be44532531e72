"""The application auto scaling API: registering, looking, deregistering."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.recurrence import instant_of
from pilotlight.twin.aws.scaling_model import ACTION, TARGET
from pilotlight.twin.aws.scaling_rows import ROWS
from pilotlight.twin.emulated_actions import operation
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.scaling import ScalingService

# API reference: at most so many results an answer.
PAGE_ITEMS = 50
_SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
Parameters = dict[str, Any]


def _operations(service: ScalingService) -> dict[str, Callable[[AwsRequest, Parameters], Parameters]]:
    return {
        "RegisterScalableTarget": lambda request, wanted: _register(service, request, wanted),
        "DeregisterScalableTarget": lambda request, wanted: _deregister(service, wanted),
        "DescribeScalableTargets": lambda request, wanted: _targets(service, wanted),
        "DescribeScheduledActions": lambda request, wanted: _scheduled(service, wanted),
        "DescribeScalingActivities": lambda request, wanted: _activities(service, wanted),
    }


def actions(service: ScalingService, request: AwsRequest) -> list[tuple[str, str]]:
    name, wanted = operation(request.headers, request.body)
    known = _operations(service)
    if name not in known:
        raise Refusal("UnknownOperationException", f"The twin does not serve {name}; it serves {', '.join(known)}.")
    if name.startswith("Describe"):
        return [(f"application-autoscaling:{name}", "*")]
    target = _find(service, wanted)
    arn = f"arn:aws:application-autoscaling:{request.region}:{service.twin.account}:scalable-target/*"
    tried = _tried(service, request, wanted) if name == "RegisterScalableTarget" else []
    return [(f"application-autoscaling:{name}", str(target["arn"]) if target else arn), *tried]


def _tried(service: ScalingService, request: AwsRequest, wanted: Parameters) -> list[tuple[str, str]]:
    """What is asked in the caller's name before a target is registered: whether alarms of target tracking could be made (user guide,
    permissions validation for API calls on target resources)."""
    alarm = f"arn:aws:cloudwatch:{request.region}:{service.twin.account}:alarm:TargetTracking-{wanted.get('ResourceId')}-AlarmHigh-made-up"
    return [(f"cloudwatch:{each}", alarm) for each in ("DescribeAlarms", "PutMetricAlarm", "DeleteAlarms")]


async def handle(service: ScalingService, request: AwsRequest) -> AwsResponse:
    name, wanted = operation(request.headers, request.body)
    content = _operations(service)[name](request, wanted)
    return AwsResponse(headers={"content-type": "application/x-amz-json-1.1"}, body=json.dumps(content).encode())


def _find(service: ScalingService, wanted: Parameters) -> Resource | None:
    place = {"resourceId": wanted.get("ResourceId"), "scalableDimension": wanted.get("ScalableDimension")}
    return service.find(place)


def _register(service: ScalingService, request: AwsRequest, wanted: Parameters) -> Parameters:
    """A target that is known keeps what the request leaves out."""
    row, target = ROWS[0], _find(service, wanted)
    given: Parameters = {
        "resourceId": wanted.get("ResourceId"),
        "scalableDimension": wanted.get("ScalableDimension"),
        "serviceNamespace": wanted.get("ServiceNamespace"),
        "region": request.region,
        "minCapacity": wanted.get("MinCapacity", target["minCapacity"] if target else None),
        "maxCapacity": wanted.get("MaxCapacity", target["maxCapacity"] if target else None),
        "suspendedState": target["suspendedState"] if target else {},
    }
    if missing := [name for name, value in given.items() if value is None]:
        raise Refusal("ValidationException", f"{', '.join(missing)}: needed to register a scalable target.")
    given["suspendedState"] = {**given["suspendedState"], **{_camel(name): flag for name, flag in wanted.get("SuspendedState", {}).items()}}
    if problems := row.limits(given):
        raise Refusal("ValidationException", " ".join(problems))
    row.check(service.twin, given)
    outputs = {**given, **row.computed(service.twin, given)}
    known = target or Resource(token=row.token, id=row.id(given), urn="", inputs=given, outputs=outputs)
    service.background(service.changed(known, outputs), "the scalable target was registered")
    return {"ScalableTargetARN": outputs["arn"]}


def _deregister(service: ScalingService, wanted: Parameters) -> Parameters:
    target = _find(service, wanted)
    if target is None:
        place = f"service namespace: {wanted.get('ServiceNamespace')}, resource ID: {wanted.get('ResourceId')}"
        raise Refusal(
            "ObjectNotFoundException", f"No scalable target found for {place}, scalable dimension: {wanted.get('ScalableDimension')}"
        )
    service.deregister(target)
    service.twin.world.delete(target.token, target.id)
    return {}


def _targets(service: ScalingService, wanted: Parameters) -> Parameters:
    found = [
        target
        for target in service.twin.world.find(TARGET, serviceNamespace=wanted.get("ServiceNamespace"))
        if target["resourceId"] in (wanted.get("ResourceIds") or [target["resourceId"]])
        and wanted.get("ScalableDimension") in (None, target["scalableDimension"])
    ]
    return _page("ScalableTargets", [_described(service, target) for target in found], wanted)


def _described(service: ScalingService, target: Resource) -> Parameters:
    names = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity")
    return {
        **{name: target[_camel(name)] for name in names},
        "RoleARN": target["roleArn"],
        "CreationTime": 0,
        "SuspendedState": {name: bool(target["suspendedState"][_camel(name)]) for name in _SUSPENSIONS},
        "ScalableTargetARN": target["arn"],
    }


def _scheduled(service: ScalingService, wanted: Parameters) -> Parameters:
    found = [
        action
        for action in service.twin.world.find(ACTION, serviceNamespace=wanted.get("ServiceNamespace"))
        if wanted.get("ResourceId") in (None, action["resourceId"])
        and wanted.get("ScalableDimension") in (None, action["scalableDimension"])
        and action["name"] in (wanted.get("ScheduledActionNames") or [action["name"]])
    ]
    return _page("ScheduledActions", [_described_action(action) for action in found], wanted)


def _described_action(action: Resource) -> Parameters:
    capacities = {f"{name[0].upper()}{name[1:]}": value for name, value in action["scalableTargetAction"].items() if value is not None}
    times = {name: instant_of(action[_camel(name)]) for name in ("StartTime", "EndTime") if action.get(_camel(name))}
    names = ("ServiceNamespace", "ResourceId", "ScalableDimension", "Schedule", "Timezone")
    named = {"ScheduledActionName": action["name"], "ScheduledActionARN": action["arn"], "CreationTime": 0}
    return {**named, **{name: action[_camel(name)] for name in names}, **times, "ScalableTargetAction": capacities}


def _activities(service: ScalingService, wanted: Parameters) -> Parameters:
    found = [
        one
        for one in reversed(service.activities)
        if one.namespace == wanted.get("ServiceNamespace") and wanted.get("ResourceId") in (None, one.resource)
    ]
    told = [
        {
            "ActivityId": one.id,
            "ServiceNamespace": one.namespace,
            "ResourceId": one.resource,
            "ScalableDimension": one.dimension,
            "Description": one.message,
            "Cause": one.cause,
            "StartTime": one.started,
            "EndTime": one.ended,
            "StatusCode": one.status,
            "StatusMessage": one.message,
        }
        for one in found
    ]
    return _page("ScalingActivities", told, wanted)


def _page(name: str, items: list[Parameters], wanted: Parameters) -> Parameters:
    token = str(wanted.get("NextToken") or "0")
    start, size = int(token) if token.isdigit() else 0, min(int(wanted.get("MaxResults") or PAGE_ITEMS), PAGE_ITEMS)
    return {name: items[start : start + size], **({"NextToken": str(start + size)} if start + size < len(items) else {})}


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
