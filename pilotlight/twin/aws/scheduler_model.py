"""EventBridge Scheduler's types of resources, and when a schedule is due."""

from __future__ import annotations

from pilotlight.twin.aws.recurrence import within
from pilotlight.twin.local_times import Recurrence
from pilotlight.twin.rows import Properties

SCHEDULE = "aws:scheduler/schedule:Schedule"
GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
DEFAULT_GROUP = "default"


def due_times(schedule: Properties, created: float) -> Recurrence:
    """When a schedule is due, within its start and end date (ignored by a one-time schedule). BadExpression, ValueError."""
    zone, start, end = (schedule.get(name) for name in ("scheduleExpressionTimezone", "startDate", "endDate"))
    return within(schedule["scheduleExpression"], zone, created, start, end)
