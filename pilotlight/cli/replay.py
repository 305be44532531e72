"""`replay`: the dead letters of a stack go back to the queue that they came from."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli.call import outputs_of
from pilotlight.cli.clouds import Look, cloud_of, dead_letters_of
from pilotlight.cli.exits import Exit
from pilotlight.cli.failures import REASONS, reasons
from pilotlight.cli.home import Where
from pilotlight.cli.session import open_session


def replay(stack: str, folder: Path, where: Where | None, *, dry_run: bool, rate: int | None, as_json: bool) -> Exit:
    """Move them all back, at most `rate` a second, and print how many there were and are; 1 where the move fails.

    Raises CommandError for a stack without dead letters.
    """
    session = open_session(folder, where, stack)
    outputs = outputs_of(session, stack)
    cloud = cloud_of(session, stack, outputs)
    dead = dead_letters_of(cloud, stack, outputs)
    look = dead.look(REASONS)
    why = reasons(cloud.logs(), look.letters)
    found: dict[str, Any] = {
        "stack": stack,
        "queue": dead.url,
        "deadLetters": look.count,
        "letters": [{**letter.document(), "reason": why.get(letter.message_id)} for letter in look.letters],
        "status": "dry run" if look.some else "nothing to do",
        "moved": 0,
        "left": look.count,
    }
    if not as_json:
        _show(look, why)
    if look.some and not dry_run:
        found |= dead.move(rate)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif look.some and not dry_run:
        failure = f" ({found['failure']})" if found.get("failure") else ""
        sys.stdout.write(f"The move ended as {found['status']}{failure}: {found['moved']} moved, {found['left']} left.\n")
    return Exit.OK if found["status"] in ("COMPLETED", "nothing to do", "dry run") else Exit.FAILED


def _show(look: Look, why: Mapping[str, str]) -> None:
    if not look.some:
        sys.stdout.write("There are no dead letters.\n")
        return
    shown = len(look.letters)
    if look.count is None:
        many = f"{shown} dead letters or more, {shown} of them"
    else:
        many = "1 dead letter" if look.count == 1 else f"{look.count} dead letters"
        many += f", {shown} of them" if shown < look.count else ""
    sys.stdout.write(f"{many}:\n")
    for letter in look.letters:
        sys.stdout.write(f"  {', '.join(letter.names)}: {why.get(letter.message_id, 'no reason in the logs')}\n")
    sys.stdout.flush()
