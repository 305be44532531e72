"""`doctor`: what a stack will meet where it goes, every problem at once; `up` asks the same before it touches an account."""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli import environment
from pilotlight.cli.app import say
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home, Where
from pilotlight.cli.project import SERVICE, Project, find
from pilotlight.cli.session import find_tools
from pilotlight.doctor.findings import Finding
from pilotlight.doctor.subject import AzureApis, Clients, GoogleApis, Subject, cloud_of
from pilotlight.toolchain import Toolchain

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(stack: str, folder: Path, where: Where, *, as_json: bool) -> Exit:
    """Print every finding; 1 where one is a failure. Changes nothing."""
    from pilotlight.doctor.checks import checks_of
    from pilotlight.doctor.run import examine

    started = time.monotonic()
    subject = subject_of(find(folder), stack, where)
    checks = checks_of(subject.cloud)
    findings = examine(subject, checks.who, checks.every)
    seconds = time.monotonic() - started
    worst = worst_of(findings)
    if as_json:
        document = {
            "stack": stack,
            "where": where,
            "result": worst,
            "seconds": round(seconds, 3),
            "findings": [finding.document() for finding in findings],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _print(findings, seconds)
    return Exit.FAILED if worst == "fail" else Exit.OK


def before_up(project: Project, stack: str) -> None:
    """Tell what is not as it should be, and raise CommandError where `up` would fail."""
    from pilotlight.doctor.checks import checks_of
    from pilotlight.doctor.run import examine

    subject = subject_of(project, stack, "cloud")
    checks = checks_of(subject.cloud)
    findings = examine(subject, checks.who, checks.before_up)
    for finding in findings:
        if finding.status != "ok":
            say("\n".join(lines(finding)))
    if worst_of(findings) == "fail":
        raise CommandError("Nothing was changed: mend the above, or go on with --skip-doctor.", Exit.FAILED)


def after_up(project: Project, stack: str, where: Where = "cloud") -> None:
    """Tell of a floor that no plan asks for any more and that `up` could not know of: it is billed until somebody takes it away.

    Where there is a plan its schedules mend what differs.
    """
    from pilotlight.doctor.checks import checks_of
    from pilotlight.doctor.floors import ID
    from pilotlight.doctor.run import examine

    subject = subject_of(project, stack, where)
    if subject.settings is None or subject.settings.warming:
        return
    checks = checks_of(subject.cloud)
    for finding in examine(subject, checks.who, [check for check in checks.every if check.id == ID]):
        if finding.id == ID and finding.status != "ok":
            say("\n".join(lines(finding)))


def subject_of(project: Project, stack: str, where: Where) -> Subject:
    """The stack as the checks see it. A missing engine and mistakes in the stack's file are findings, not errors here."""
    from pulumi import RunError

    from stacks.settings import parse

    config, home, tools = project.stack_config(stack), Home.of_user(), _tools()
    path = tools.path if tools else ()
    if where == "local":
        variables = environment.merged(environment.local_variables(home, project, path))
    else:
        variables = dict(os.environ) | {"PATH": environment.search_path(path)}
    settings, problems = None, ""
    place = {key: value for key, value in config.items() if isinstance(value, str)}
    try:
        settings = parse(config.get(SERVICE), stack, place)
    except RunError as error:
        problems = str(error)
    return Subject(
        project=project,
        stack=stack,
        home=home,
        where=where,
        variables=variables,
        tools=tools,
        config=config,
        settings=settings,
        problems=problems,
        clients=_clients(cloud_of(project, stack), variables, config, local=where == "local"),
    )


def _clients(cloud: str, variables: Mapping[str, str], config: Mapping[str, Any], *, local: bool) -> Clients | GoogleApis | AzureApis:
    if cloud == "gcp":
        return GoogleApis(variables if local else None)
    if cloud == "azure":
        from pilotlight.cli.azure.logins import Given

        return AzureApis(variables if local else None, Given(config, variables))
    profile = config.get("aws:profile")
    return Clients(variables, local=local, profile=profile if isinstance(profile, str) else None)


def _tools() -> Toolchain | None:
    try:
        return find_tools()
    except CommandError:
        return None


def worst_of(findings: Iterable[Finding]) -> str:
    """`fail`, `warn` or `ok`."""
    found = {finding.status for finding in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


def lines(finding: Finding) -> list[str]:
    """The finding in words: what came, what is allowed, what to do."""
    further = [(name, text) for name, text in (("allowed", finding.allowed), ("mend", finding.mend)) if text]
    first, *rest = finding.found.splitlines() or [""]
    return [
        f"{finding.status:<4}  {finding.id:<15} {first}",
        *(f"{'':<22}{line}" for line in rest),
        *(f"{'':<22}{line}" for name, text in further for line in f"{name}: {text}".splitlines()),
    ]


def _print(findings: list[Finding], seconds: float) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(Text("\n".join(lines(finding)), style="" if finding.status == "ok" else _COLOURS[finding.status]))
    counts = [(sum(finding.status == status for finding in findings), word) for status, word in (("fail", "failed"), ("warn", "warn"))]
    told = ", ".join(f"{count} {word}" for count, word in counts if count) or "all is well"
    console.print(Text(f"{len(findings)} answers in {seconds:.1f} s: {told}", style=_COLOURS[worst_of(findings)]))
