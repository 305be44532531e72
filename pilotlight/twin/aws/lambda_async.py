"""Asynchronous events of functions: tried again on the twin's clock, and in the end told to a destination or the dead letters.

As the Lambda developer guide lays it down ("Asynchronous invocation"): an error of the function is tried again twice, after one and two
minutes; while the function is throttled the event waits, from a second up to five minutes at a time, for six hours at most.
"""

from __future__ import annotations

import json
import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.event_source import may
from pilotlight.twin.aws.lambda_concurrency import Throttled
from pilotlight.twin.aws.lambda_version import EVENT_CONFIG, LATEST, latest, resolve, split_name
from pilotlight.twin.aws.sqs_attributes import SqsError
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.lambda_ import Invocation
    from pilotlight.twin.twin import Twin

RETRIES_S = (60.0, 120.0)
AGE_S = 6 * 3600
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
# What tells of a failure is cut to this (Lambda developer guide, "Dead-letter queues").
_MESSAGE_CHARACTERS = 1024
_LOG = logging.getLogger(__name__)


class Asynchronous:
    """One event, from its acceptance to its end. `run` it in the twin's timers."""

    def __init__(self, twin: Twin, name: str, qualifier: str | None, payload: bytes) -> None:
        self._twin = twin
        self._name = name
        self._qualifier = qualifier
        self._payload = payload
        self._id = str(uuid.uuid4())
        self._calls = 0
        self._config = _config(twin, name, qualifier)

    async def run(self) -> None:
        began = self._twin.clock.now()
        retries = int(self._setting("maximumRetryAttempts", len(RETRIES_S)))
        waits = list(RETRIES_S[:retries])
        age_s, wait_s = float(self._setting("maximumEventAgeInSeconds", AGE_S)), FIRST_WAIT_S
        answer: Invocation | None = None
        while True:
            try:
                self._calls += 1
                answer = await self._twin.lambda_.invoke(self._name, self._qualifier, self._payload)
                if answer.function_error is None:
                    await self._tell("onSuccess", "Success", answer)
                    return
                if not waits:
                    await self._failed("RetriesExhausted", answer)
                    return
                pause_s = waits.pop(0)
            except Throttled:
                self._calls -= 1
                pause_s, wait_s = wait_s, min(2 * wait_s, LONGEST_WAIT_S)
            except Refusal as refusal:
                _LOG.warning("An asynchronous event of %s was dropped: %s", self._name, refusal)
                return
            if self._twin.clock.now() + pause_s - began > age_s:
                await self._failed("EventAgeExceeded", answer)
                return
            await self._twin.timers.sleep(pause_s)

    async def _failed(self, condition: str, answer: Invocation | None) -> None:
        await self._tell("onFailure", condition, answer)
        target = (latest(self._twin.world, self._name).get("deadLetterConfig") or {}).get("targetArn")
        if target:
            text = _text(answer)[:_MESSAGE_CHARACTERS] if answer else "Rate exceeded"
            attributes = {
                "RequestID": {"DataType": "String", "StringValue": self._id},
                "ErrorCode": {"DataType": "Number", "StringValue": "200" if answer else "429"},
                "ErrorMessage": {"DataType": "String", "StringValue": text},
            }
            await self._send(str(target), self._payload.decode(), attributes)

    async def _tell(self, when: str, condition: str, answer: Invocation | None) -> None:
        """A record of the invocation to the destination for its end, if there is one."""
        destination = ((self._setting("destinationConfig", None) or {}).get(when) or {}).get("destination")
        if destination:
            await self._send(str(destination), json.dumps(self._record(condition, answer)), {})

    def _record(self, condition: str, answer: Invocation | None) -> dict[str, Any]:
        function = latest(self._twin.world, self._name)["arn"]
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": datetime.fromtimestamp(self._twin.clock.now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {
                "requestId": self._id,
                "functionArn": f"{function}:{self._qualifier or LATEST}",
                "condition": condition,
                "approximateInvokeCount": self._calls,
            },
            "requestPayload": json.loads(self._payload or b"{}"),
        }
        if answer is not None:
            error = {"functionError": answer.function_error} if answer.function_error else {}
            record["responseContext"] = {"statusCode": answer.status, "executedVersion": answer.version, **error}
            record["responsePayload"] = json.loads(answer.payload or b"null")
        return record

    async def _send(self, queue_arn: str, body: str, attributes: dict[str, Any]) -> None:
        """With the function's role. What the role may not do is dropped, as on AWS, where a metric tells of it."""
        wait_s = FIRST_WAIT_S
        while self._twin.faults.is_out("sqs"):
            await self._twin.timers.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        try:
            role = resolve(self._twin.world, self._name, self._qualifier).role
            queue = self._twin.sqs.queue(queue_arn)
            if not may(self._twin, role, "SendMessage", queue_arn, queue.policies):
                raise SqsError("AccessDenied", f"the role {role} may not send to it")
            self._twin.sqs.send(queue_arn, body, attributes)
        except Refusal as error:
            _LOG.warning("What became of an event of %s could not be told to %s: %s", self._name, queue_arn, error)

    def _setting(self, name: str, default: Any) -> Any:
        return self._config.get(name, default) if self._config else default


def _config(twin: Twin, name: str, qualifier: str | None) -> Resource | None:
    """The event configuration of exactly this version or alias."""
    for config in twin.world.find(EVENT_CONFIG):
        held, named = split_name(config["functionName"], config.get("qualifier"))
        if held == name and (named or LATEST) == (qualifier or LATEST):
            return config
    return None


def _text(answer: Invocation) -> str:
    try:
        return str(json.loads(answer.payload).get("errorMessage", ""))
    except (ValueError, AttributeError):
        return answer.payload.decode("utf-8", "replace")


def target_problems(path: str, target: Any) -> list[str]:
    """What the twin can't send the end of an event to."""
    if not isinstance(target, str) or target.split(":")[2:3] == ["sqs"]:
        return []
    return [f"{path}: {target!r}: the local twin tells SQS queues only."]


def destination_problems(inputs: Properties) -> list[str]:
    config = inputs.get("destinationConfig") or {}
    return [
        problem
        for when in ("onFailure", "onSuccess")
        for problem in target_problems(f"destinationConfig.{when}.destination", (config.get(when) or {}).get("destination"))
    ]


def judge_target(twin: Twin, role: str, queue_arn: str) -> None:
    """Refusal where the function's role could not send to a queue: Lambda tries when it is set."""
    queue = twin.sqs.store.queue(queue_arn)
    if queue is None:
        raise Refusal("InvalidParameterValueException", f"The destination ARN {queue_arn} is invalid: there is no such queue.")
    if not may(twin, role, "SendMessage", queue_arn, queue.policies):
        text = f"The function's execution role {role} does not have permissions to call SendMessage on {queue_arn}"
        raise Refusal("InvalidParameterValueException", text)
