"""`logs` and `status`: what a deployed stack says and what it is made of."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotlight.cli.call import outputs_of
from pilotlight.cli.clients import client
from pilotlight.cli.events import STACK_TYPE
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home, Where
from pilotlight.cli.project import find
from pilotlight.cli.queues import messages
from pilotlight.cli.session import Session, open_session
from pilotlight.cli.times import seconds_of

FOLLOW_EVERY_S = 1.0
# Lines of one moment may arrive after later ones: a follower looks back this far and shows nothing twice.
LOOK_BACK_MS = 10_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """One log line: `at` in ms since 1970, the log group's last name, the text without its newline."""

    at: int
    group: str
    text: str
    identity: str


def logs(stack: str, folder: Path, where: Where | None, *, since: str, tail: int | None, follow: bool, as_json: bool) -> Exit:
    """Print the stack's log lines, oldest first; with `follow` until interrupted."""
    age = seconds_of(since)
    session = open_session(folder, where, stack)
    outputs = outputs_of(session, stack)
    groups = [str(group) for group in outputs.get("logGroups") or []]
    source = client("logs", session, str(outputs["region"]))
    start = max(0, int((time.time() - age) * 1000))
    lines = sorted((line for group in groups for line in read(source, group, start)), key=lambda line: line.at)
    for line in lines[-tail:] if tail else lines if tail is None else []:
        _print(line, as_json)
    seen = {line.identity: line.at for line in lines}
    while follow:
        time.sleep(FOLLOW_EVERY_S)
        newest = max([start, *(at - LOOK_BACK_MS for at in seen.values())])
        fresh = sorted(
            (line for group in groups for line in read(source, group, newest) if line.identity not in seen), key=lambda line: line.at
        )
        for line in fresh:
            _print(line, as_json)
        seen = {identity: at for identity, at in seen.items() if at >= newest} | {line.identity: line.at for line in fresh}
    return Exit.OK


def read(source: Any, group: str, start: int) -> Iterator[Line]:
    """The lines of a log group from `start` (ms) on; a group that nothing has made yet is empty. Raises CommandError on other refusals."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        for page in source.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start):
            for event in page.get("events", []):
                identity = str(event.get("eventId") or (event["timestamp"], event.get("logStreamName"), event["message"]))
                yield Line(
                    at=int(event["timestamp"]), group=group.rsplit("/", 1)[-1], text=event["message"].rstrip("\n"), identity=identity
                )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise CommandError(f"The log group {group} can't be read: {error}", Exit.FAILED) from error
    except BotoCoreError as error:
        raise CommandError(f"The log group {group} can't be read: {error}", Exit.FAILED) from error


def _print(line: Line, as_json: bool) -> None:
    at = datetime.fromtimestamp(line.at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = json.dumps({"at": at, "group": line.group, "message": line.text}) if as_json else f"{at} {line.group}  {line.text}"
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def status(stack: str, folder: Path, where: Where | None, *, as_json: bool) -> Exit:
    """Print where the stack is, what it is made of and its outputs; exit code 3 when it is not up."""
    project = find(folder)
    project.stack_file(stack)
    where = where or Home.of_user().last_up(project.name, stack)
    session = None if where is None else open_session(folder, where, stack)
    resources, outputs = ([], {}) if session is None else _state(session, stack)
    held = messages(session, outputs) if session is not None and resources else None
    found = {
        "stack": stack,
        "where": where,
        "up": bool(resources),
        "resources": len(resources),
        "types": dict(sorted(_counted(resources).items())),
        "outputs": outputs,
    }
    if held is not None:
        found["messages"] = held
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _print_status(found)
    return Exit.OK if resources else Exit.MISSING


def _state(session: Session, stack: str) -> tuple[list[Any], dict[str, Any]]:
    """The resources as the engine counts them (the stack is one, providers are none; the stack alone is nothing) and the outputs."""
    from pilotlight.cli.stacks import LocalStack

    if session.local and not LocalStack(session, stack).exists:
        return [], {}
    resources = [found for found in session.resources(stack) if not found["type"].startswith("pulumi:providers:")]
    return resources if [found["type"] for found in resources] != [STACK_TYPE] else [], session.outputs(stack)


def _counted(resources: list[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for resource in resources:
        counts[resource["type"]] = counts.get(resource["type"], 0) + 1
    return counts


def _print_status(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    places = {"local": f" on the twin ({Home.of_user().path})", "cloud": " in the cloud", None: ", as far as is remembered here"}
    place = places[found["where"]]
    count = f": {found['resources']} resources" if found["where"] else ": say --local or --cloud to look there"
    console.print(Text(f"{found['stack']} is {'up' if found['up'] else 'not up'}{place}{count}"))
    for name, value in found["outputs"].items():
        console.print(Text(f"  {name:<18}  {value if isinstance(value, str) else json.dumps(value)}"))
    if held := found.get("messages"):
        console.print(Text(f"  messages: {held['waiting']} waiting, {held['inFlight']} in flight, {held['deadLetters']} dead letters"))
