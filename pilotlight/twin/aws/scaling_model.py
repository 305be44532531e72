"""Application auto scaling's types of resources, when an action is due, and what a range of capacities may be."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.aws.recurrence import within
from pilotlight.twin.aws.scaling_kinds import Kind
from pilotlight.twin.local_times import Recurrence
from pilotlight.twin.rows import Properties

TARGET = "aws:appautoscaling/target:Target"
ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"


def due_times(action: Properties, now: float) -> Recurrence:
    """When a scheduled action is due, within its start and end time. BadExpression, ValueError."""
    return within(action["schedule"], action.get("timezone"), now, action.get("startTime"), action.get("endTime"))


def problems(kind: Kind, low: Any, high: Any) -> list[str]:
    """What is wrong with a range of capacities: sentences that begin with the property's path."""
    found = [
        f"{name}: {value} is less than {kind.minimum}, the minimum of {kind.dimension} ({kind.source})."
        for name, value in (("minCapacity", low), ("maxCapacity", high))
        if value is not None and int(value) < kind.minimum
    ]
    if low is not None and high is not None and int(low) > int(high):
        found.append(f"minCapacity: {low} is more than maxCapacity, {high}.")
    return found
