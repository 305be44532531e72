"""EventBridge Scheduler: schedules on the twin's clock, delivered as their role, retried, and dead letters in the end."""

from __future__ import annotations

import json
import logging
import random
import uuid
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import scheduler_api
from pilotlight.twin.aws.metric_sources import schedule_dropped, schedule_tried
from pilotlight.twin.aws.recurrence import Recurrence, instant_of, is_once, recurrence, utc
from pilotlight.twin.aws.role_calls import RoleCalls
from pilotlight.twin.aws.scheduler_targets import call_of, queue_url
from pilotlight.twin.rows import AwsRequest, AwsResponse, Properties, Refusal
from pilotlight.twin.timers import Timer
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
SCHEDULE = "aws:scheduler/schedule:Schedule"
GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
# When a schedule was made and changed; no program declares it, so the engine never sees it.
RECORD = "pilotlight:scheduler/record:Record"
PRINCIPAL = "scheduler.amazonaws.com"
# EventBridge Scheduler API reference, RetryPolicy: the defaults. It retries "with exponential backoff" and gives no numbers: the twin
# doubles from one second to ten minutes.
MAX_ATTEMPTS, MAX_AGE_S = 185, 86_400
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 600.0


@dataclass(frozen=True, kw_only=True)
class Record:
    """Seconds since the epoch. A rate without a start date counts from `created`."""

    created: float
    modified: float


class SchedulerService:
    """`attach` it to its twin before use. `put` and `forget` are thread-safe."""

    name = "scheduler"

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self.calls = RoleCalls(twin)

    async def start(self) -> None:
        """Take up every schedule of the world; what was due while the twin was down is not made up for."""
        for schedule in self.twin.world.find(SCHEDULE):
            self._arm(schedule, self.twin.clock.now())

    async def close(self) -> None:
        self.calls.close()

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return scheduler_api.actions(self, request)

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return await scheduler_api.handle(self, request)

    def put(self, schedule: Resource) -> None:
        """A schedule is new or has changed: from now on it is due as it says."""
        now = self.twin.clock.now()
        known = self.record(schedule.id)
        made = Record(created=known.created if known else now, modified=now)
        self.twin.world.put(Resource(token=RECORD, id=schedule.id, urn="", outputs=asdict(made)))
        # A rate's first time is its anchor itself, so a new one looks from just before.
        self._arm(schedule, now if known else now - 0.001)

    def forget(self, schedule_id: str) -> None:
        if (timer := self._timers.pop(schedule_id, None)) is not None:
            timer.cancel()
        self.twin.world.delete(RECORD, schedule_id)

    def record(self, schedule_id: str) -> Record | None:
        found = self.twin.world.get(RECORD, schedule_id)
        return Record(**found.outputs) if found else None

    def _arm(self, schedule: Resource, after: float) -> None:
        if (timer := self._timers.pop(schedule.id, None)) is not None:
            timer.cancel()
        if schedule.get("state", "ENABLED") == "ENABLED":
            record = self.record(schedule.id)
            following = due_times(schedule.outputs, record.created if record else after)
            self._timers[schedule.id] = self.twin.timers.every(
                following, lambda due: self._due(schedule.id, due), f"schedule {schedule.id}", after
            )

    async def _due(self, schedule_id: str, due: float) -> str:
        schedule = self.twin.world.get(SCHEDULE, schedule_id)
        if schedule is None:
            return "it is gone"
        window = schedule["flexibleTimeWindow"]
        if window["mode"] == "FLEXIBLE":
            await self.twin.timers.sleep(random.Random(f"{schedule['arn']} {due}").uniform(0, 60 * window["maximumWindowInMinutes"]))  # noqa: S311
        said = await self._deliver(schedule, due)
        if schedule.get("actionAfterCompletion") == "DELETE" and due_times(schedule.outputs, due)(due) is None:
            self.forget(schedule_id)
            self.twin.world.delete(SCHEDULE, schedule_id)
        return said

    async def _deliver(self, schedule: Resource, due: float) -> str:
        """Try until it is taken, or the retry policy ends; what happened."""
        execution, target = str(uuid.uuid4()), schedule["target"]
        policy = target.get("retryPolicy") or {}
        attempts = int(policy.get("maximumRetryAttempts", MAX_ATTEMPTS))
        gives_up = self.twin.clock.now() + float(policy.get("maximumEventAgeInSeconds", MAX_AGE_S))
        wait, retries = FIRST_WAIT_S, 0
        while True:
            told = {"schedule-arn": schedule["arn"], "scheduled-time": utc(due), "execution-id": execution}
            text = filled(_input(schedule, due), {**told, "attempt-number": str(retries + 1)})
            try:
                await self._call(schedule, text)
                schedule_tried(self.twin.metrics, schedule["groupName"], failed=False)
                return "delivered" if retries == 0 else f"delivered after {retries} retries"
            except Refusal as refusal:
                LOG.warning("The schedule %s was not delivered: %s", schedule.id, refusal)
                schedule_tried(self.twin.metrics, schedule["groupName"], failed=True)
                error = refusal
            if retries >= attempts or self.twin.clock.now() + wait > gives_up:
                spent = "MaximumRetryAttempts" if retries >= attempts else "MaximumEventAgeInSeconds"
                return await self._give_up(schedule, due, text, execution, error, retries, spent)
            await self.twin.timers.sleep(wait)
            wait, retries = min(2 * wait, LONGEST_WAIT_S), retries + 1

    async def _call(self, schedule: Resource, text: str) -> None:
        call = call_of(self.twin, schedule["target"], text)
        await self._as_role(schedule, call.service, call.operation, call.parameters)

    async def _as_role(self, schedule: Resource, service: str, operation: str, parameters: dict[str, Any]) -> None:
        role = schedule["target"]["roleArn"]
        if not self.trusted(schedule.outputs):
            raise Refusal("AccessDeniedException", f"The role {role} does not let {PRINCIPAL} assume it.", 403)
        await self.calls.call(role, service, operation, parameters, schedule["region"])

    async def _give_up(self, schedule: Resource, due: float, text: str, execution: str, error: Refusal, retries: int, spent: str) -> str:
        said = f"given up after {retries} retries: {error}"
        schedule_dropped(self.twin.metrics, schedule["groupName"])
        queue = (schedule["target"].get("deadLetterConfig") or {}).get("arn")
        if not queue:
            return said
        # EventBridge Scheduler user guide, "Configuring a dead-letter queue": the input, with what went wrong as attributes.
        attributes = {
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": error.message,
            "EXECUTION_ID": execution,
            "EXHAUSTED_RETRY_CONDITION": spent,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(retries),
            "SCHEDULED_TIME": utc(due),
            "SCHEDULE_ARN": schedule["arn"],
            "TARGET_ARN": schedule["target"]["arn"],
        }
        typed = {name: {"DataType": "String", "StringValue": value or "-"} for name, value in attributes.items()}
        try:
            parameters = {"QueueUrl": queue_url(self.twin, queue), "MessageBody": text, "MessageAttributes": typed}
            await self._as_role(schedule, "sqs", "SendMessage", parameters)
        except Refusal as refusal:
            LOG.warning("A dead letter of the schedule %s was lost: %s", schedule.id, refusal)
            return f"{said}; its dead letter was lost: {refusal}"
        return f"{said}; sent to the dead letters"

    def trusted(self, schedule: Properties) -> bool:
        """Whether the role lets the scheduler assume it on behalf of the schedule's group (user guide, "Confused deputy prevention")."""
        group = str(schedule["arn"]).replace(":schedule/", ":schedule-group/").rpartition("/")[0]
        return self.twin.iam.assumable(schedule["target"]["roleArn"], PRINCIPAL, {"aws:SourceArn": group})


def due_times(schedule: Properties, created: float) -> Recurrence:
    """When a schedule is due, within its start and end date (ignored by a one-time schedule). BadExpression, ValueError."""
    start, end = schedule.get("startDate"), schedule.get("endDate")
    expression = schedule["scheduleExpression"]
    earliest = instant_of(start) if start else None
    following = recurrence(expression, schedule.get("scheduleExpressionTimezone") or "UTC", created if earliest is None else earliest)
    if is_once(expression):
        return following
    latest = instant_of(end) if end else float("inf")

    def within(instant: float) -> float | None:
        due = following(instant if earliest is None else max(instant, earliest - 0.001))
        return due if due is not None and due <= latest else None

    return within


def _input(schedule: Resource, due: float) -> str:
    """The target's input, or what the scheduler sends where there is none."""
    given = schedule["target"].get("input")
    if given is not None:
        return str(given)
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": str(schedule["arn"]).split(":")[4],
        "time": utc(due),
        "region": schedule["region"],
        "resources": [schedule["arn"]],
        "detail": "{}",
    }
    return json.dumps(event)


def filled(text: str, values: dict[str, str]) -> str:
    """With the context attributes put in (user guide, "Adding context attributes")."""
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def changed(schedule: Resource, outputs: Properties) -> Resource:
    """The schedule with other live values, as an API call leaves it: the engine sees the difference when it refreshes."""
    return replace(schedule, outputs=dict(outputs))
