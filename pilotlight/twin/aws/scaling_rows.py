"""What the engine must know of application auto scaling's resource types."""

from __future__ import annotations

import hashlib
from typing import Any

from pilotlight.twin.aws.scaling_kinds import KINDS, kind_of
from pilotlight.twin.aws.scaling_model import ACTION, TARGET, due_times, problems
from pilotlight.twin.local_times import BadExpression
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

_SUSPENSIONS = ("dynamicScalingInSuspended", "dynamicScalingOutSuspended", "scheduledScalingSuspended")


def _place_problems(inputs: Properties) -> list[str]:
    dimension = inputs.get("scalableDimension")
    if dimension is None:
        return []
    kind = KINDS.get(dimension)
    if kind is None:
        return [f"scalableDimension: {dimension!r}: the local twin scales {', '.join(KINDS)}."]
    found = []
    if inputs.get("serviceNamespace") not in (None, kind.namespace):
        found.append(f"serviceNamespace: {inputs['serviceNamespace']!r}: {dimension} belongs to {kind.namespace!r}.")
    if "resourceId" in inputs and not kind.resource.fullmatch(inputs["resourceId"]):
        found.append(f"resourceId: {inputs['resourceId']!r}: {dimension} has ids of the form {kind.form}.")
    return found


def _target_limits(inputs: Properties) -> list[str]:
    kind = KINDS.get(inputs.get("scalableDimension", ""))
    return _place_problems(inputs) + (problems(kind, inputs.get("minCapacity"), inputs.get("maxCapacity")) if kind else [])


def target_outputs(twin: Twin, inputs: Properties) -> dict[str, Any]:
    """What RegisterScalableTarget fills in. The ARN's id is Amazon's to make; the twin's is the same for the same resource."""
    key = hashlib.sha256(f"{inputs['scalableDimension']} {inputs['resourceId']}".encode()).hexdigest()[:36]
    suspended = inputs.get("suspendedState") or {}
    role = f"arn:aws:iam::{twin.account}:role/aws-service-role/{kind_of(inputs['scalableDimension']).linked_role}"
    return {
        "arn": f"arn:aws:application-autoscaling:{inputs['region']}:{twin.account}:scalable-target/{key}",
        "roleArn": inputs.get("roleArn") or role,
        "suspendedState": {name: bool(suspended.get(name, False)) for name in _SUSPENSIONS},
    }


def check_target(twin: Twin, inputs: Properties) -> None:
    """Refusal where the resource is not there, or its capacities can't be what is asked for."""
    kind = kind_of(inputs["scalableDimension"])
    kind.current(twin, inputs["resourceId"])
    if found := problems(kind, inputs["minCapacity"], inputs["maxCapacity"]):
        raise Refusal("ValidationException", " ".join(found))


def _settle(twin: Twin, target: Resource) -> None:
    """A capacity outside the new range is moved into it at once (API reference, RegisterScalableTarget)."""
    twin.wait(twin.scaling.settle(target, "the scalable target was registered"))


def _action_limits(inputs: Properties) -> list[str]:
    found = _place_problems(inputs)
    if "schedule" in inputs:
        try:
            due_times(inputs, 0.0)
        except (BadExpression, ValueError) as error:
            found.append(f"schedule: {error}")
    kind, wanted = KINDS.get(inputs.get("scalableDimension", "")), inputs.get("scalableTargetAction")
    if wanted is not None and wanted.get("minCapacity") is None and wanted.get("maxCapacity") is None:
        found.append("scalableTargetAction: at least one of minCapacity and maxCapacity is needed.")
    if kind and wanted:
        found += [f"scalableTargetAction.{text}" for text in problems(kind, wanted.get("minCapacity"), wanted.get("maxCapacity"))]
    return found


def _check_action(twin: Twin, inputs: Properties) -> None:
    if twin.scaling.find(inputs) is None:
        what = ", ".join(f"{word}: {inputs[name]}" for word, name in _NAMED)
        raise Refusal("ObjectNotFoundException", f"No scalable target registered for {what}")


_NAMED = (("service namespace", "serviceNamespace"), ("resource ID", "resourceId"), ("scalable dimension", "scalableDimension"))


def _action(twin: Twin, inputs: Properties) -> dict[str, Any]:
    place = f"{inputs['serviceNamespace']}/{inputs['resourceId']}:scheduledActionName/{inputs['name']}"
    key = hashlib.sha256(place.encode()).hexdigest()[:36]
    return {
        "arn": f"arn:aws:autoscaling:{inputs['region']}:{twin.account}:scheduledAction:{key}:resource/{place}",
        "timezone": inputs.get("timezone") or "UTC",
    }


ROWS: tuple[Row, ...] = (
    Row(
        token=TARGET,
        id=lambda properties: str(properties["resourceId"]),
        replaces=frozenset({"resourceId", "scalableDimension", "serviceNamespace", "region"}),
        cfn="AWS::ApplicationAutoScaling::ScalableTarget",
        limits=_target_limits,
        check=check_target,
        computed=target_outputs,
        create=_settle,
        update=lambda twin, old, new: _settle(twin, new),
        delete=lambda twin, target: twin.scaling.deregister(target),
        upsert=True,
    ),
    Row(
        token=ACTION,
        id=lambda properties: f"{properties['name']}-{properties['serviceNamespace']}-{properties['resourceId']}",
        name=Name(field="name", max_length=256),
        replaces=frozenset({"name", "resourceId", "scalableDimension", "serviceNamespace", "region"}),
        limits=_action_limits,
        check=_check_action,
        computed=_action,
        create=lambda twin, action: twin.scaling.put(action),
        update=lambda twin, old, new: twin.scaling.put(new),
        delete=lambda twin, action: twin.scaling.forget(action.id),
        upsert=True,
    ),
)
