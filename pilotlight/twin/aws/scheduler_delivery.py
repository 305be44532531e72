"""Delivering what a schedule sends: as its role, tried again as its retry policy says, a dead letter in the end."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.metric_sources import schedule_dropped, schedule_tried
from pilotlight.twin.aws.recurrence import utc
from pilotlight.twin.aws.scheduler_targets import call_of, queue_url
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.role_calls import RoleCalls
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
PRINCIPAL = "scheduler.amazonaws.com"
# EventBridge Scheduler API reference, RetryPolicy: the defaults. It retries "with exponential backoff" and gives no numbers: the twin
# doubles from one second to ten minutes.
MAX_ATTEMPTS, MAX_AGE_S = 185, 86_400
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 600.0


class Deliveries:
    """Calls of targets, in the twin's loop."""

    def __init__(self, twin: Twin, calls: RoleCalls) -> None:
        self._twin = twin
        self._calls = calls

    async def deliver(self, schedule: Resource, due: float) -> str:
        """Try until it is taken, or the retry policy ends; what happened."""
        execution, target = str(uuid.uuid4()), schedule["target"]
        policy = target.get("retryPolicy") or {}
        attempts = int(policy.get("maximumRetryAttempts", MAX_ATTEMPTS))
        gives_up = self._twin.clock.now() + float(policy.get("maximumEventAgeInSeconds", MAX_AGE_S))
        wait, retries = FIRST_WAIT_S, 0
        while True:
            told = {"schedule-arn": schedule["arn"], "scheduled-time": utc(due), "execution-id": execution}
            text = filled(_input(schedule, due), {**told, "attempt-number": str(retries + 1)})
            try:
                await self._call(schedule, text)
                schedule_tried(self._twin.metrics, schedule["groupName"], failed=False)
                return "delivered" if retries == 0 else f"delivered after {retries} retries"
            except Refusal as refusal:
                LOG.warning("The schedule %s was not delivered: %s", schedule.id, refusal)
                schedule_tried(self._twin.metrics, schedule["groupName"], failed=True)
                error = refusal
            if retries >= attempts or self._twin.clock.now() + wait > gives_up:
                spent = "MaximumRetryAttempts" if retries >= attempts else "MaximumEventAgeInSeconds"
                return await self._give_up(schedule, due, text, execution, error, retries, spent)
            await self._twin.timers.sleep(wait)
            wait, retries = min(2 * wait, LONGEST_WAIT_S), retries + 1

    async def _call(self, schedule: Resource, text: str) -> None:
        call = call_of(self._twin, schedule["target"], text)
        await self._as_role(schedule, call.service, call.operation, call.parameters)

    async def _as_role(self, schedule: Resource, service: str, operation: str, parameters: dict[str, Any]) -> None:
        role = schedule["target"]["roleArn"]
        if not trusted(self._twin, schedule.outputs):
            raise Refusal("AccessDeniedException", f"The role {role} does not let {PRINCIPAL} assume it.", 403)
        await self._calls.call(role, service, operation, parameters, schedule["region"])

    async def _give_up(self, schedule: Resource, due: float, text: str, execution: str, error: Refusal, retries: int, spent: str) -> str:
        said = f"given up after {retries} retries: {error}"
        schedule_dropped(self._twin.metrics, schedule["groupName"])
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
            parameters = {"QueueUrl": queue_url(self._twin, queue), "MessageBody": text, "MessageAttributes": typed}
            await self._as_role(schedule, "sqs", "SendMessage", parameters)
        except Refusal as refusal:
            LOG.warning("A dead letter of the schedule %s was lost: %s", schedule.id, refusal)
            return f"{said}; its dead letter was lost: {refusal}"
        return f"{said}; sent to the dead letters"


def trusted(twin: Twin, schedule: Properties) -> bool:
    """Whether the role lets the scheduler assume it on behalf of the schedule's group (user guide, "Confused deputy prevention")."""
    group = str(schedule["arn"]).replace(":schedule/", ":schedule-group/").rpartition("/")[0]
    return twin.iam.assumable(schedule["target"]["roleArn"], PRINCIPAL, {"aws:SourceArn": group})


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
