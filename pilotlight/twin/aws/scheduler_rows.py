"""What the engine must know of EventBridge Scheduler's resource types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.aws import scheduler_targets
from pilotlight.twin.aws.recurrence import instant_of
from pilotlight.twin.aws.scheduler_delivery import PRINCIPAL, trusted
from pilotlight.twin.aws.scheduler_model import DEFAULT_GROUP, GROUP, SCHEDULE, due_times
from pilotlight.twin.local_times import BadExpression
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# EventBridge Scheduler API reference, CreateSchedule and CreateScheduleGroup.
NAME = Name(field="name", max_length=64, pattern=r"[0-9a-zA-Z-_.]+")
# What CreateSchedule answers; checked against the start date at creation alone, since an update sends the old one again.
START_TOLERANCE_S = 300


def _group(twin: Twin, inputs: Properties) -> dict[str, Any]:
    now = datetime.fromtimestamp(twin.clock.now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    known = twin.world.get(GROUP, str(inputs["name"]))
    return {
        "arn": f"arn:aws:scheduler:{inputs['region']}:{twin.account}:schedule-group/{inputs['name']}",
        "namePrefix": inputs.get("namePrefix") or "",
        "creationDate": known["creationDate"] if known else now,
        "lastModificationDate": now,
        "state": "ACTIVE",
    }


def _delete_group(twin: Twin, group: Resource) -> None:
    """Its schedules go with it (API reference, DeleteScheduleGroup)."""
    for schedule in twin.world.find(SCHEDULE, groupName=group["name"]):
        twin.scheduler.forget(schedule.id)
        twin.world.delete(SCHEDULE, schedule.id)


def _schedule(twin: Twin, inputs: Properties) -> dict[str, Any]:
    group = inputs.get("groupName") or DEFAULT_GROUP
    return {
        "arn": f"arn:aws:scheduler:{inputs['region']}:{twin.account}:schedule/{group}/{inputs['name']}",
        "groupName": group,
        "namePrefix": inputs.get("namePrefix") or "",
        "actionAfterCompletion": inputs.get("actionAfterCompletion") or "NONE",
        "scheduleExpressionTimezone": inputs.get("scheduleExpressionTimezone") or "UTC",
        "state": inputs.get("state") or "ENABLED",
    }


def _limits(inputs: Properties) -> list[str]:
    problems = []
    if "scheduleExpression" in inputs:
        try:
            due_times(inputs, 0.0)
        except (BadExpression, ValueError) as error:
            problems.append(f"scheduleExpression: {error}")
    window = inputs.get("flexibleTimeWindow") or {}
    if "mode" in window and (window["mode"] == "FLEXIBLE") != ("maximumWindowInMinutes" in window):
        problems.append("flexibleTimeWindow: maximumWindowInMinutes is needed with mode FLEXIBLE, and not allowed with OFF.")
    if inputs.get("kmsKeyArn"):
        problems.append("kmsKeyArn: the local twin has no keys.")
    return problems + (scheduler_targets.problems(inputs["target"]) if "arn" in (inputs.get("target") or {}) else [])


def check(twin: Twin, inputs: Properties) -> None:
    """What CreateSchedule and UpdateSchedule refuse: the group, the role's trust, a universal target's fields.

    Whether the role may call the target shows when it does: AWS does not look at that here either.
    """
    outputs = {**inputs, **_schedule(twin, inputs)}
    if outputs["groupName"] != DEFAULT_GROUP and twin.world.one(GROUP, name=outputs["groupName"]) is None:
        raise Refusal("ResourceNotFoundException", f"Schedule group {outputs['groupName']} does not exist.", 404)
    if not trusted(twin, outputs):
        text = f"The execution role you provide must allow AWS EventBridge Scheduler to assume the role. ({inputs['target']['roleArn']} "
        raise Refusal("ValidationException", f"{text}does not trust {PRINCIPAL} on behalf of {outputs['groupName']}.)")
    scheduler_targets.judge(twin.scheduler.calls, inputs["target"])


def _create(twin: Twin, schedule: Resource) -> None:
    start = schedule.get("startDate")
    if start and instant_of(start) < twin.clock.now() - START_TOLERANCE_S:
        raise Refusal("ValidationException", "The StartDate you specify cannot be earlier than 5 minutes ago.")
    twin.scheduler.put(schedule)


ROWS: tuple[Row, ...] = (
    Row(
        token=GROUP,
        id=lambda properties: str(properties["name"]),
        name=NAME,
        replaces=frozenset({"name", "namePrefix", "region"}),
        cfn="AWS::Scheduler::ScheduleGroup",
        computed=_group,
        volatile=frozenset({"lastModificationDate"}),
        delete=_delete_group,
    ),
    Row(
        token=SCHEDULE,
        id=lambda properties: f"{properties['groupName']}/{properties['name']}",
        name=NAME,
        replaces=frozenset({"name", "namePrefix", "groupName", "region"}),
        cfn="AWS::Scheduler::Schedule",
        limits=_limits,
        check=check,
        computed=_schedule,
        create=_create,
        update=lambda twin, old, new: twin.scheduler.put(new),
        delete=lambda twin, schedule: twin.scheduler.forget(schedule.id),
    ),
)
