"""`pilotlight init`: a stack's file of one's own, from a few answers, checked by the program's own reader before it is written."""

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import typer
from pulumi import RunError

from components.platforms import CLOUDS, RESERVED
from pilotlight.ci.environment import parsed
from pilotlight.cli.app import say
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.init_choices import OWN_MODELS, Settled, Wishes, own_models, placeholders, settled
from pilotlight.cli.init_file import text_of
from pilotlight.cli.project import Project, find
from stacks.settings import parse

# What Pulumi's engine takes as the name of a stack, but for what a command line takes as an option, and a folder as a hidden file.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_TEXT = {"inputs": "any sentence"}
# A call to try the stack with, by the task of its model; the others have theirs in docs/tasks.md.
_BODIES = {
    "feature-extraction": _TEXT,
    "sentence-embedding": _TEXT,
    "text-classification": _TEXT,
    "token-classification": _TEXT,
    "zero-shot-classification": {**_TEXT, "parameters": {"candidate_labels": ["news", "advice"]}},
}


def init(wishes: Wishes, folder: Path, *, yes: bool, as_json: bool) -> Exit:
    """Ask for what was not said, check it all, write the file, tell what comes next. Raises CommandError with every mistake at once."""
    project = find(folder)
    if not yes and not sys.stdin.isatty():
        raise CommandError("Nobody is there to be asked: give a NAME and --yes, and --cloud, --pattern, … where the defaults don't fit.")
    try:
        stack = settled(wishes, _take_default if yes else _prompt, project.root)
    except typer.Abort:
        say("\nNothing was written.")
        return Exit.INTERRUPTED
    if found := problems(stack, wishes, project):
        raise CommandError("Nothing was written:" + "".join(f"\n  {problem}" for problem in found))
    file = project.config_folder / f"Pulumi.{stack.name}.yaml"
    write_new(file, text_of(stack))
    _tell(stack, file, project, as_json=as_json)
    return Exit.OK


def problems(stack: Settled, wishes: Wishes, project: Project) -> list[str]:
    """Everything that is wrong: the name, an option that says nothing here, and what the reader of settings finds."""
    service = stack.config["pilotlight:service"]
    place = {key: str(value) for key, value in stack.config.items() if key != "pilotlight:service"}
    found = _of_name(stack, project)
    if wishes.account is not None and service["cloud"] == "aws":
        found.append(f"--account: {wishes.account!r}: AWS knows the account by the credentials: leave it out")
    try:
        parse(service, stack.name, place)
    except RunError as error:
        found += str(error).split("\n  ")[1:]
    source = service["model"]["source"]
    if not source and service["model"]["task"] == "custom" and (several := own_models(project.root)):
        found.append(f"model.source: there are several models here: say which with --model: {', '.join(several)}")
    if source.startswith(f"{OWN_MODELS}/") and source.rstrip("/") not in own_models(project.root):
        known = ", ".join(own_models(project.root)) or "none yet"
        found.append(f"model.source: {source!r}: there is no such model: known are {known}; docs/tasks.md tells how to write one")
    return found


def _of_name(stack: Settled, project: Project) -> list[str]:
    name = stack.name
    if not _NAME.fullmatch(name):
        return [f"NAME: {name!r}: use letters, digits, '_', '.' and '-', up to 100, a letter or digit first"]
    found = []
    if name in project.stacks:
        found.append(f"NAME: {name!r}: {project.config_folder / f'Pulumi.{name}.yaml'} is there and stays as it is: use another name")
    elif name.startswith(RESERVED):
        found.append(f"NAME: {name!r}: {' and '.join(f'{each}…' for each in RESERVED)} are names of ready stacks: use my-{name}, say")
    elif parsed(name) is not None:
        found.append(f"NAME: {name!r}: pr-NUMBER-… are environments of pull requests, which CI destroys (docs/ci.md): use another name")
    service, subscription = stack.config["pilotlight:service"], stack.config.get("azure-native:subscriptionId", "")
    if service["cloud"] in CLOUDS:
        names_of = import_module(f"components.{service['cloud']}.names").names_of
        try:
            names_of(project.name, name, *([subscription] if service["cloud"] == "azure" else []))
        except RunError as error:
            found.append(f"NAME: {error}")
    return found


def write_new(file: Path, text: str) -> None:
    """Write a file that is whole or not there, whatever happens meanwhile. Raises CommandError where there is one already."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        # Unlike a rename, a link never takes another file's place.
        os.link(part, file)
    except FileExistsError:
        raise CommandError(f"{file} is there and stays as it is: use another name.") from None
    except OSError as error:
        raise CommandError(f"{file} can't be written: {error.strerror}.", Exit.FAILED) from error
    finally:
        part.unlink(missing_ok=True)


def next_commands(stack: Settled) -> list[str]:
    """What to try it with on the twin, in order."""
    service, name = stack.config["pilotlight:service"], stack.name
    if service["pattern"] == "events":
        use = [f"pilotlight upload {name} README.md --key readme.txt --wait"]
    else:
        body = _BODIES.get(service["model"]["task"])
        use = [] if body is None else [f"pilotlight invoke {name} --json {shlex.quote(json.dumps(body))}"]
    return [f"pilotlight up {name} --local", *use, f"pilotlight destroy {name}"]


def _tell(stack: Settled, file: Path, project: Project, *, as_json: bool) -> None:
    commands, mine = next_commands(stack), placeholders(stack, project.root)
    if as_json:
        told = {"stack": stack.name, "file": str(file), "config": stack.config, "next": commands, "placeholders": mine}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    lines = [f"{file} is written. Change what you like, then, on the local twin:", *(f"  {command}" for command in commands)]
    if stack.config["pilotlight:service"]["model"]["task"] not in _BODIES:
        lines.append("What a request carries: docs/tasks.md.")
    cloud = " ".join(f"`{command} {stack.name}`," for command in ("pulumi stack init", "pilotlight doctor", "pilotlight up"))
    lines.append(f"In your cloud account: {cloud[:-1]}.")
    if mine:
        lines.append(f"Before that put your own values into the file: {', '.join(mine)}.")
    sys.stdout.write("\n".join(lines) + "\n")


def _take_default(question: str, known: Sequence[str], default: str) -> str:
    return default


def _prompt(question: str, known: Sequence[str], default: str) -> str:
    """Ask on the terminal until the answer is one of those that are known. Raises typer.Abort on Ctrl-C and at the input's end."""
    words = f"{question} ({', '.join(known)})" if known else question
    while True:
        answer = str(typer.prompt(words, default=default or None, err=True)).strip()
        if not known or answer in known:
            return answer
        say(f"{answer!r}: use {' or '.join(known)}.")
