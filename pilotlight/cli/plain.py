"""`pulumi` as `pilotlight env --local` puts it on PATH: the real command line, kept from writing into the checkout.

On a file backend the engine writes a stack's secrets provider into the committed `Pulumi.<stack>.yaml`, and `stack rm` removes that file.
Here operations get a copy of it (`--config-file`), `stack init` runs in a folder of its own, and `stack rm` preserves the file.
Everything else, and everything outside a checkout, is handed on as it is.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.cli import environment
from pilotlight.cli.clock import NOW, moved_to
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home
from pilotlight.cli.project import Project, find
from pilotlight.cli.session import Session, find_tools
from pilotlight.cli.stacks import LocalStack

OPERATIONS = {"up", "update", "preview", "pre", "refresh", "destroy", "down", "dn", "import", "watch"}
# Global options of `pulumi` that take a value in the next argument.
_VALUED = {"-C", "--cwd", "--color", "--memprofilerate", "--otel-traces", "--profiling", "--tracing", "-v", "--verbose"}
_INIT_VALUED = _VALUED | {"--copy-config-from", "--secrets-provider", "-s", "--stack", "--teams"}


@dataclass(frozen=True)
class Words:
    """A command line of `pulumi`, as far as it must be understood here."""

    arguments: Sequence[str]

    def option(self, *names: str) -> str | None:
        """The value of an option: `--stack x`, `--stack=x`, `-s x`, `-sx`; None when it is not given."""
        for index, word in enumerate(self.arguments):
            for name in names:
                if word == name and index + 1 < len(self.arguments):
                    return self.arguments[index + 1]
                if name.startswith("--") and word.startswith(f"{name}="):
                    return word.partition("=")[2]
                if not name.startswith("--") and word.startswith(name) and len(word) > 2 and not word.startswith("--"):
                    return word[2:].removeprefix("=")
        return None

    def positional(self, valued: set[str] = _VALUED) -> list[str]:
        """The words that are no option and no option's value."""
        found, skip = [], False
        for word in self.arguments:
            if skip or word.startswith("-"):
                skip = not skip and word in valued
            else:
                found.append(word)
        return found


def rewritten(arguments: Sequence[str], session: Session, current: str | None) -> list[str] | None:
    """The arguments for the real `pulumi`; None when the command was done here. `current` is the selected stack."""
    words = Words(arguments)
    positional = words.positional()
    command = positional[0] if positional else ""
    if command == "stack" and positional[1:2] == ["init"]:
        return _init(words, session)
    if command == "stack" and positional[1:2] in (["rm"], ["remove"]) and "--preserve-config" not in arguments:
        return [*arguments, "--preserve-config"]
    if command in OPERATIONS and words.option("--config-file") is None:
        stack = (words.option("-s", "--stack") or current or "").rsplit("/", 1)[-1]
        if stack in session.project.stacks:
            return [*arguments, "--config-file", str(LocalStack(session, stack).config_file())]
    return list(arguments)


def _init(words: Words, session: Session) -> list[str] | None:
    """`stack init NAME`: made in a folder of its own, then selected unless that was refused. Anything unusual is the engine's to judge."""
    name = words.option("-s", "--stack") or (words.positional(_INIT_VALUED)[2:3] or [""])[0]
    name = name.removeprefix(f"organization/{session.project.name}/")
    unusual = (
        words.option("--secrets-provider", "--copy-config-from", "--teams") is not None
        or "--help" in words.arguments
        or "-h" in words.arguments
    )
    if not name or "/" in name or unusual:
        return list(words.arguments)
    LocalStack(session, name).create()
    print(f"Created stack '{name}'", flush=True)  # noqa: T201
    return None if "--no-select" in words.arguments else ["stack", "select", name]


def needs_time(words: Words) -> bool:
    """Whether this runs the program, which declares what the warming plan says for the twin's time."""
    return any(word in OPERATIONS for word in words.positional()[:1])


def selected(session: Session) -> str | None:
    """The stack that is selected in this checkout, None without one."""
    try:
        return session.pulumi("stack", "--show-name").strip()
    except CommandError:
        return None


def write_shim(home: Home) -> Path:
    """Make the executable `pulumi` that runs this module with this interpreter; returns its folder."""
    home.prepare()
    shim = home.shims / "pulumi"
    # -P: the working folder is a checkout, perhaps another one than this command's.
    text = f'#!/bin/sh\nexec "{sys.executable}" -P -m pilotlight.cli.plain "$@"\n'
    if not shim.is_file() or shim.read_text() != text:
        part = shim.with_suffix(f".{os.getpid()}")
        part.write_text(text)
        part.chmod(0o755)
        part.replace(shim)
    return shim.parent


def main(arguments: Sequence[str]) -> int:
    """Become the real `pulumi`. Returns only when nothing is left to do (0) or there is no `pulumi` (the command's exit code)."""
    try:
        tools = find_tools()
        variables = {name: value for name, value in os.environ.items() if name != "PULUMI_CONFIG_PASSPHRASE"}
        variables |= {"PATH": environment.search_path(tools.path)}
        real = str(tools.pulumi)
        words = Words(arguments)
        try:
            project: Project | None = find(Path(words.option("-C", "--cwd") or "."))
        except CommandError:
            project = None
        final: list[str] | None = list(arguments)
        if project is not None:
            session = Session(project=project, home=Home.of_user(), where="local", tools=tools, variables=variables)
            needs_stack = needs_time(words) and words.option("-s", "--stack") is None
            final = rewritten(arguments, session, selected(session) if needs_stack else None)
            if needs_time(words) and NOW not in variables and (moved := moved_to(session.home.path)):
                variables[NOW] = moved
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    if final is None:
        return 0
    os.execve(real, [real, *final], variables)  # noqa: S606 (the point of this module)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
