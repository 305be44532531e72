"""`check`: what CI asks of a checkout, by one command: settings, each plan on the twin under the policy pack, linters."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pilotlight.ci.linters import LINTERS, Linter
from pilotlight.cli.app import say
from pilotlight.cli.deploy import Request, run_engine
from pilotlight.cli.diagnostics import Diagnostics
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.packs import PACK, policy_packs
from pilotlight.cli.project import SERVICE, Project, find
from pilotlight.cli.report import Report, document
from pilotlight.cli.session import open_session
from pilotlight.cli.stacks import LocalStack

_COLOURS = {"ok": "green", "skipped": "yellow", "fail": "red"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One check of a stack or a file: its problems, and what is worth knowing and no problem. `missing`: what would check is not here."""

    check: str
    subject: str
    status: Literal["ok", "fail", "skipped"]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: bool = False


def check(
    stacks: tuple[str, ...], folder: Path, packs: tuple[Path, ...], *, plans: Path | None, as_json: bool, strict: bool = False
) -> Exit:
    """Print every result; 1 where one is a failure, `strict` also where what would check is not here. `plans`: a folder for each stack's
    plan, as `preview --json` has it.

    Raises CommandError for stacks that there are none of, all at once.
    """
    started = time.monotonic()
    project = find(folder)
    _must_be_there(project, stacks)
    if not packs and (project.root / PACK).is_dir():
        packs = (project.root / PACK,)
    if plans:
        plans.mkdir(parents=True, exist_ok=True)
    results = []
    for came in _results(project, stacks or tuple(project.stacks), packs, plans):
        result = replace(came, status="fail", problems=came.notes, notes=()) if strict and came.missing else came
        results.append(result)
        if not as_json:
            _print(result)
    failed = sum(result.status == "fail" for result in results)
    seconds = time.monotonic() - started
    if as_json:
        told = {"result": "fail" if failed else "ok", "seconds": round(seconds, 3), "checks": [asdict(result) for result in results]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        skipped = ", ".join(result.check for result in results if result.missing)
        verdict = f"{failed} failed" if failed else "what was checked is well" if skipped else "all is well"
        sys.stdout.write(f"{len(results)} checks in {seconds:.1f} s: {verdict}{f'; not checked: {skipped}' if skipped else ''}\n")
    return Exit.FAILED if failed else Exit.OK


def _must_be_there(project: Project, stacks: tuple[str, ...]) -> None:
    unknown = [stack for stack in stacks if stack not in project.stacks]
    if unknown:
        known = ", ".join(project.stacks) or "none"
        raise CommandError(f"There is no stack {', '.join(map(repr, unknown))}: known stacks are {known}.", Exit.MISSING)


def _results(project: Project, stacks: tuple[str, ...], packs: tuple[Path, ...], plans: Path | None) -> Iterator[Result]:
    for stack in stacks:
        settings = _settings(project, stack)
        yield settings
        # A plan of settings that are wrong would say the same again.
        if settings.status == "ok":
            yield _plan(project, stack, packs, plans)
    for linter in LINTERS:
        yield _linted(linter, project.root)


def _settings(project: Project, stack: str) -> Result:
    from pulumi import RunError

    from stacks.settings import parse

    try:
        config = project.stack_config(stack)
        place = {key: value for key, value in config.items() if isinstance(value, str)}
        parse(config.get(SERVICE), stack, place)
    except (CommandError, RunError) as error:
        return Result(check="settings", subject=stack, status="fail", problems=tuple(str(error).splitlines()))
    return Result(check="settings", subject=stack, status="ok")


def _plan(project: Project, stack: str, packs: tuple[Path, ...], plans: Path | None) -> Result:
    """The stack's plan by the real engine on the twin, judged by the packs."""
    from pilotlight.cli.packages import package_for_up

    request = Request(operation="preview", stack=stack, folder=project.root, where="local", policy_packs=packs)
    try:
        arguments = policy_packs(packs)
        session = open_session(project.root, "local", stack)
        local, report = LocalStack(session, stack), _Quiet("preview", stack, as_json=True)
        local.make_ready(report.say)
        package_for_up(session, stack, say)
        done = run_engine(request, session, local, arguments, report)
    except CommandError as error:
        return Result(check="plan", subject=stack, status="fail", problems=tuple(str(error).splitlines()))
    if plans:
        told = document("preview", stack, done.run, done.result, done.seconds)
        (plans / f"{stack}.json").write_text(json.dumps(told, indent=2) + "\n")
    found = done.run.diagnostics.found
    problems = tuple(str(each) for each in found if each.severity == "error")
    notes = _notes(done.run.diagnostics)
    if done.result == "succeeded":
        return Result(check="plan", subject=stack, status="ok", notes=notes)
    return Result(check="plan", subject=stack, status="fail", problems=problems or (f"the preview {done.result}",), notes=notes)


def _notes(diagnostics: Diagnostics) -> tuple[str, ...]:
    """Warnings; of rules that wait for values which `up` makes known, one line together."""
    undecided = [each for each in diagnostics.violations if each.level == "undecided"]
    untold = tuple(each.message for each in undecided)
    notes = [str(each) for each in diagnostics.found if each.severity == "warning" and not each.message.endswith(untold)]
    if undecided:
        rules = ", ".join(f"{rule} ({count})" for rule, count in Counter(each.rule for each in undecided).most_common())
        notes.append(f"decided after `up`, by `pilotlight analyze`: {rules}")
    return tuple(notes)


def _linted(linter: Linter, root: Path) -> Result:
    subject = linter.subject
    if not linter.files(root):
        return Result(check=linter.name, subject=subject, status="skipped", notes=("there is none",))
    if linter.program is None:
        return Result(
            check=linter.name, subject=subject, status="skipped", missing=True, notes=(f"{linter.name} is not installed: {linter.install}",)
        )
    problems = linter.problems(root)
    return Result(check=linter.name, subject=subject, status="fail" if problems else "ok", problems=tuple(problems))


def _print(result: Result) -> None:
    from rich.console import Console
    from rich.text import Text

    lines = [f"{result.status:<8} {result.check:<11} {result.subject}"]
    lines += [f"{'':<21}{line}" for line in (*result.problems, *(f"note: {note}" for note in result.notes))]
    Console(highlight=False, soft_wrap=True).print(Text("\n".join(lines), style=_COLOURS[result.status]))


class _Quiet(Report):
    """A report of which nothing is shown: a dozen plans are thousands of lines."""

    def say(self, text: str) -> None:
        return None

    def show(self, news: object) -> None:
        return None
