"""`logs` and `status`: what a deployed stack says and what it is made of."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotlight.cli.call import outputs_of
from pilotlight.cli.clouds import Line, cloud_of
from pilotlight.cli.events import STACK_TYPE
from pilotlight.cli.exits import Exit
from pilotlight.cli.home import Home, Where
from pilotlight.cli.project import find
from pilotlight.cli.session import Session, open_session
from pilotlight.cli.times import seconds_of

# Lines of one moment may arrive after later ones: a follower looks back this far and shows nothing twice.
LOOK_BACK_MS = 10_000


def logs(stack: str, folder: Path, where: Where | None, *, since: str, tail: int | None, follow: bool, as_json: bool) -> Exit:
    """Print the stack's log lines, oldest first; with `follow` until interrupted."""
    age = seconds_of(since)
    session = open_session(folder, where, stack)
    outputs = outputs_of(session, stack)
    source = cloud_of(session, stack, outputs).logs()
    start = max(0, int((time.time() - age) * 1000))
    lines = sorted(source.lines(start), key=lambda line: line.at)
    for line in lines[-tail:] if tail else lines if tail is None else []:
        _print(line, as_json)
    seen = {line.identity: line.at for line in lines}
    while follow:
        time.sleep(source.every_s)
        newest = max([start, *(at - LOOK_BACK_MS for at in seen.values())])
        fresh = sorted((line for line in source.lines(newest) if line.identity not in seen), key=lambda line: line.at)
        for line in fresh:
            _print(line, as_json)
        seen = {identity: at for identity, at in seen.items() if at >= newest} | {line.identity: line.at for line in fresh}
    return Exit.OK


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
    held = cloud_of(session, stack, outputs).messages() if session is not None and resources and outputs.get("platform") else None
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
        words = {"waiting": "waiting", "inFlight": "in flight", "deadLetters": "dead letters"}
        console.print(Text(f"  messages: {', '.join(f'{held[name]} {word}' for name, word in words.items() if name in held)}"))
