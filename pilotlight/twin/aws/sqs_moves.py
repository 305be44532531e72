"""Moving messages out of a dead-letter queue: the tasks of StartMessageMoveTask, which go on after a restart."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.sqs_attributes import SqsError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.sqs import SqsService

# No program declares it, so the engine never sees it.
MOVE = "pilotlight:sqs/messageMoveTask:MessageMoveTask"
# SQS API reference, StartMessageMoveTask: the largest rate, which is also taken where none is given; ListMessageMoveTasks: results.
MAX_RATE = 500
MAX_RESULTS = 10
_TICK_S = 0.1


class MoveTasks:
    """One task at a time for each source. Belongs to the loop."""

    def __init__(self, service: SqsService) -> None:
        self._service = service

    def resume(self) -> None:
        for task in self._tasks():
            if task["status"] == "RUNNING":
                self._run(task.id)

    def start(self, source: str, target: str | None, rate: int | None) -> str:
        """The handle of a new task. SqsError for what SQS refuses."""
        store = self._service.store
        for arn in filter(None, (source, target)):
            if store.queue(arn) is None:
                raise _missing("The resource that you specified for the " + ("SourceArn" if arn == source else "DestinationArn"))
        if not any(queue.redrive and queue.redrive[0] == source for queue in store.queues()):
            raise _unfit("Source queue must be configured as a Dead Letter Queue.")
        if target == source:
            raise _unfit("Source queue arn and destination queue arn cannot be the same.")
        if rate is not None and not 1 <= rate <= MAX_RATE:
            raise _unfit(f"Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and {MAX_RATE}.")
        if any(task["sourceArn"] == source and task["status"] == "RUNNING" for task in self._tasks()):
            raise _unfit("There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
        id_ = str(uuid.uuid4())
        figures = store.figures(source)
        outputs = {
            "sourceArn": source,
            "destinationArn": target,
            "rate": rate,
            "status": "RUNNING",
            "moved": 0,
            "toMove": figures.visible,
            "started": self._service.twin.clock.now(),
            "reason": None,
        }
        self._service.twin.world.put(Resource(token=MOVE, id=id_, urn="", outputs=outputs))
        self._run(id_)
        return _handle(id_, source)

    def cancel(self, handle: str) -> int:
        """Stop a running task; how many messages it had moved. SqsError where it does not run."""
        try:
            id_ = str(json.loads(base64.b64decode(handle))["taskId"])
        except (ValueError, KeyError, TypeError):
            raise _unfit("The specified TaskHandle is invalid.") from None
        task = self._service.twin.world.get(MOVE, id_)
        if task is None:
            raise _missing("Task")
        if task["status"] != "RUNNING":
            raise SqsError("UnsupportedOperation", "Only active tasks can be cancelled.", "AWS.SimpleQueueService.UnsupportedOperation")
        self._set(id_, status="CANCELLED")
        return int(task["moved"])

    def source_of(self, handle: str) -> str:
        """The ARN that a handle names; empty where it can't be read."""
        try:
            return str(json.loads(base64.b64decode(handle))["sourceArn"])
        except (ValueError, KeyError, TypeError):
            return ""

    def newest(self, source: str, limit: int) -> list[dict[str, Any]]:
        """The newest tasks of a source, in the API's words."""
        if self._service.store.queue(source) is None:
            raise _missing("The resource that you specified for the SourceArn")
        if not 1 <= limit <= MAX_RESULTS:
            raise _unfit(f"Value for parameter MaxResults is invalid. Reason: Must be between 1 and {MAX_RESULTS}.")
        tasks = [task for task in self._tasks() if task["sourceArn"] == source]
        return [_entry(task) for task in sorted(tasks, key=lambda task: -float(task["started"]))[:limit]]

    def _run(self, id_: str) -> None:
        self._service.twin.timers.spawn(self._move(id_))

    async def _move(self, id_: str) -> None:
        """Move what is there, at the task's rate, until the source is empty or the task was cancelled."""
        world, timers = self._service.twin.world, self._service.twin.timers
        while (task := world.get(MOVE, id_)) is not None and task["status"] == "RUNNING":
            source, rate = str(task["sourceArn"]), int(task.get("rate") or MAX_RATE)
            share = max(1, round(rate * _TICK_S))
            if self._service.store.queue(source) is None:
                self._set(id_, status="FAILED", reason="AWS.SimpleQueueService.NonExistentQueue")
                return
            if self._service.twin.faults.is_out("sqs"):
                await timers.sleep(1.0)
                continue
            moved, stuck = self._service.store.move(source, share, task.get("destinationArn"))
            for queue in self._service.store.queues():
                if moved and queue.arn != source:
                    self._service.changed(queue.arn)
            done = {"status": "COMPLETED"} if moved < share else {}
            failed = {"status": "FAILED", "reason": "CouldNotDetermineMessageSource"} if stuck else {}
            self._set(id_, moved=int(task["moved"]) + moved, **(failed or done))
            if not (done or failed):
                await timers.sleep(share / rate)

    def _set(self, id_: str, **changes: Any) -> None:
        world = self._service.twin.world
        task = world.get(MOVE, id_)
        if task is not None:
            world.put(Resource(token=MOVE, id=id_, urn="", outputs={**task.outputs, **changes}))

    def _tasks(self) -> list[Resource]:
        return self._service.twin.world.find(MOVE)


def _handle(id_: str, source: str) -> str:
    return base64.b64encode(json.dumps({"taskId": id_, "sourceArn": source}).encode()).decode()


def _entry(task: Resource) -> dict[str, Any]:
    entry = {
        "Status": task["status"],
        "SourceArn": task["sourceArn"],
        "DestinationArn": task.get("destinationArn"),
        "MaxNumberOfMessagesPerSecond": task.get("rate"),
        "ApproximateNumberOfMessagesMoved": task["moved"],
        "ApproximateNumberOfMessagesToMove": task["toMove"],
        "StartedTimestamp": int(float(task["started"]) * 1000),
        "FailureReason": task.get("reason"),
        "TaskHandle": _handle(task.id, task["sourceArn"]) if task["status"] == "RUNNING" else None,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _missing(what: str) -> SqsError:
    return SqsError("ResourceNotFoundException", f"{what} doesn't exist.", "ResourceNotFoundException")


def _unfit(text: str) -> SqsError:
    return SqsError("InvalidParameterValueException", text, "InvalidParameterValue")
