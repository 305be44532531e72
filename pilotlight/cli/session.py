"""Everything a command needs to run the engine: the checkout, where the stack lives, the toolchain, the variables."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight import toolchain
from pilotlight.cli import environment
from pilotlight.cli.addresses import reachable_outputs
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home, Where
from pilotlight.cli.project import Project, find


@dataclass(frozen=True, kw_only=True)
class Session:
    """`variables` is the whole environment of the engine; on the twin nothing in it leads elsewhere."""

    project: Project
    home: Home
    where: Where
    tools: toolchain.Toolchain
    variables: Mapping[str, str]

    @property
    def local(self) -> bool:
        return self.where == "local"

    @property
    def scratch(self) -> Path:
        return self.home.runs

    def pulumi(self, *arguments: str, folder: Path | None = None, stdin: str | None = None) -> str:
        """Run a short `pulumi` command and return its output; raises CommandError with the engine's own last words."""
        result = subprocess.run(
            [str(self.tools.pulumi), *arguments, "--non-interactive", "--color", "never"],
            cwd=folder or self.project.root,
            env=dict(self.variables),
            capture_output=True,
            text=True,
            input=stdin,
            check=False,
        )
        if result.returncode != 0:
            raise CommandError(_said(result.stderr) or f"`pulumi {arguments[0]}` ended with {result.returncode}.", Exit.FAILED)
        return result.stdout

    def outputs(self, stack: str, *, secrets: bool = False) -> dict[str, Any]:
        """The stack's outputs, with addresses that answer from here; secret ones are `[secret]` unless asked for."""
        found = json.loads(self.pulumi("stack", "output", "--stack", stack, "--json", *(["--show-secrets"] if secrets else [])))
        return reachable_outputs(found, self)

    def resources(self, stack: str) -> list[Mapping[str, Any]]:
        """The resources in the stack's state, secrets encrypted."""
        return list((json.loads(self.pulumi("stack", "export", "--stack", stack)).get("deployment") or {}).get("resources") or [])


def open_session(folder: Path, where: Where | None, stack: str | None = None) -> Session:
    """A session for a checkout around `folder`. Without `where` it is where the stack was last brought up.

    Raises CommandError for an unknown stack, a stack that was never brought up, or a machine without the Pulumi command line.
    """
    project = find(folder)
    home = Home.of_user()
    if stack is not None:
        project.stack_file(stack)
        where = where or home.last_up(project.name, stack)
        if where is None:
            raise CommandError(
                f"{stack} is not up: no `pilotlight up {stack}` is remembered here. Say --local for the twin or --cloud for the cloud.",
                Exit.MISSING,
            )
    tools = find_tools()
    if where == "cloud":
        if os.environ.get("PULUMI_BACKEND_URL") == home.backend_url:
            raise CommandError("This shell talks to the twin (`pilotlight env --local`): say --local, or use another shell for the cloud.")
        variables = dict(os.environ) | {"PATH": environment.search_path(tools.path), "PULUMI_SKIP_UPDATE_CHECK": "true"}
        # Where the stack's file names a profile, Pulumi deploys under it, whatever the shell has.
        profile = project.stack_config(stack).get("aws:profile") if stack is not None else None
        variables |= {"AWS_PROFILE": profile} if isinstance(profile, str) else {}
        home.prepare()
    else:
        variables = environment.merged(environment.local_variables(home, project, tools.path, stack))
    return Session(project=project, home=home, where=where or "local", tools=tools, variables=variables)


def find_tools() -> toolchain.Toolchain:
    """The engine and its language host; raises CommandError when `make setup` has not been run."""
    os.environ["PATH"] = environment.without_shims(os.environ.get("PATH", os.defpath))
    found = toolchain.find()
    if found is None:
        raise CommandError("The Pulumi command line or its Python host is missing: run `make setup` in the checkout.", Exit.MISSING)
    return found


def _said(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip() and not line.startswith("warning: using pulumi-language")]
    return with_advice(" ".join(lines[-3:]).removeprefix("error: "))


def with_advice(said: str) -> str:
    """The engine's words, and what to do where they leave that out."""
    advice = " Log in with `pulumi login`, or say --local for the twin." if "PULUMI_ACCESS_TOKEN must be set" in said else ""
    return f"{said}{'.' if advice and not said.endswith('.') else ''}{advice}"
