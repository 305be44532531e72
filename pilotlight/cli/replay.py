"""`replay`: the dead letters of a stack go back to the queue that they came from."""

import itertools
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli.app import say
from pilotlight.cli.call import outputs_of
from pilotlight.cli.clients import told
from pilotlight.cli.dead_letters import DeadLetter, DeadLetters
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.failures import REASONS, Logs
from pilotlight.cli.home import Where
from pilotlight.cli.session import open_session

LOOK_EVERY_S = 1.0
# A task that has not been seen after so many looks was taken by nobody.
PATIENCE = 30
_MOVING = ("RUNNING", "CANCELLING")


def replay(stack: str, folder: Path, where: Where | None, *, dry_run: bool, rate: int | None, as_json: bool) -> Exit:
    """Move them all back, at most `rate` a second, and print how many there were and are; 1 where the move fails.

    Raises CommandError for a stack without dead letters.
    """
    session = open_session(folder, where, stack)
    outputs = outputs_of(session, stack)
    dead = DeadLetters(session, stack, outputs)
    count = dead.count()
    letters = dead.peek(REASONS) if count else []
    why = Logs(session, outputs).reasons(letters)
    found: dict[str, Any] = {
        "stack": stack,
        "queue": dead.url,
        "deadLetters": count,
        "letters": [{**letter.document(), "reason": why.get(letter.message_id)} for letter in letters],
        "status": "nothing to do" if not count else "dry run",
        "moved": 0,
        "left": count,
    }
    if not as_json:
        _show(count, letters, why)
    if count and not dry_run:
        found |= _move(dead, rate)
        found["left"] = dead.count()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif count and not dry_run:
        failure = f" ({found['failure']})" if found.get("failure") else ""
        sys.stdout.write(f"The move ended as {found['status']}{failure}: {found['moved']} moved, {found['left']} left.\n")
    return Exit.OK if found["status"] in ("COMPLETED", "nothing to do", "dry run") else Exit.FAILED


def _move(dead: DeadLetters, rate: int | None) -> dict[str, Any]:
    """Start the move, or follow the one that is under way, to its end. Ctrl-C leaves it to go on by itself."""
    arn = dead.arn()
    task = _task(dead, arn)
    if task.get("Status") in _MOVING:
        say("A move of these dead letters is under way already: following it.")
        before: Mapping[str, Any] = {}
    else:
        before = task
        with told("The move can't be started"):
            dead.sqs.start_message_move_task(SourceArn=arn, **({} if rate is None else {"MaxNumberOfMessagesPerSecond": rate}))
    said = -1
    try:
        for looks in itertools.count():
            task = _task(dead, arn)
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


def _task(dead: DeadLetters, arn: str) -> dict[str, Any]:
    """The newest move of this queue, empty without one."""
    with told("The moves of this queue can't be listed"):
        found = dead.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1).get("Results", [])
    return dict(found[0]) if found else {}


def _show(count: int, letters: list[DeadLetter], why: Mapping[str, str]) -> None:
    if not count:
        sys.stdout.write("There are no dead letters.\n")
        return
    many = "1 dead letter" if count == 1 else f"{count} dead letters"
    sys.stdout.write(f"{many}{f', {len(letters)} of them' if len(letters) < count else ''}:\n")
    for letter in letters:
        sys.stdout.write(f"  {', '.join(letter.names)}: {why.get(letter.message_id, 'no reason in the logs')}\n")
    sys.stdout.flush()
