"""The way back of dead letters on AWS: SQS moves them by itself, and is watched while it does."""

import itertools
import time
from collections.abc import Mapping
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.aws.clients import told
from pilotlight.cli.exits import CommandError, Exit

LOOK_EVERY_S = 1.0
# A task that has not been seen after so many looks was taken by nobody.
PATIENCE = 30
_MOVING = ("RUNNING", "CANCELLING")


def move(sqs: Any, arn: str, rate: int | None) -> dict[str, Any]:
    """Start the move, or follow the one that is under way, to its end. Ctrl-C leaves it to go on by itself."""
    task = _task(sqs, arn)
    if task.get("Status") in _MOVING:
        say("A move of these dead letters is under way already: following it.")
        before: Mapping[str, Any] = {}
    else:
        before = task
        with told("The move can't be started"):
            sqs.start_message_move_task(SourceArn=arn, **({} if rate is None else {"MaxNumberOfMessagesPerSecond": rate}))
    said = -1
    try:
        for looks in itertools.count():
            task = _task(sqs, arn)
            fresh = bool(task) and task.get("StartedTimestamp") != before.get("StartedTimestamp")
            moved = int(task.get("ApproximateNumberOfMessagesMoved", 0)) if fresh else 0
            if fresh and task["Status"] not in _MOVING:
                return {"status": str(task["Status"]), "moved": moved, "failure": task.get("FailureReason")}
            if not fresh and looks >= PATIENCE:
                raise CommandError("The move was accepted but does not show: look with `aws sqs list-message-move-tasks`.", Exit.FAILED)
            if moved != said and fresh:
                say(f"{moved} of {task.get('ApproximateNumberOfMessagesToMove', '?')} moved")
                said = moved
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        say(f"Interrupted: the move goes on. `aws sqs list-message-move-tasks --source-arn {arn}` shows it.")
        raise
    raise AssertionError("an endless loop ended")


def _task(sqs: Any, arn: str) -> dict[str, Any]:
    """The newest move of this queue, empty without one."""
    with told("The moves of this queue can't be listed"):
        found = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1).get("Results", [])
    return dict(found[0]) if found else {}
