"""`preview`, `up`, `refresh` and `destroy`: one engine run each, from getting ready to the last line."""

import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import typer

from pilotlight.cli.addresses import reachable_outputs
from pilotlight.cli.clock import NOW, moved_to
from pilotlight.cli.diagnostics import Diagnostic
from pilotlight.cli.drift import NO_DRIFT, changed, foreseen
from pilotlight.cli.engine_run import EngineRun, scratch_folder
from pilotlight.cli.events import Run
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Where
from pilotlight.cli.packs import UNJUDGED, levels_given, policy_packs
from pilotlight.cli.report import Report
from pilotlight.cli.retention import protected, refuse_to_lose_data
from pilotlight.cli.session import Session, open_session, with_advice
from pilotlight.cli.stacks import LocalStack

Operation = Literal["preview", "up", "refresh", "destroy"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for. `where` None: where the stack was last brought up. `at`: the moment that is declared for. `refresh`: what
    is really there is read first. `unchanged`: a preview that would change something fails."""

    operation: Operation
    stack: str
    folder: Path
    where: Where | None
    policy_packs: tuple[Path, ...] = ()
    pack_configs: tuple[Path, ...] = ()
    as_json: bool = False
    yes: bool = False
    at: datetime | None = None
    skip_doctor: bool = False
    refresh: bool = False
    unchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class Done:
    """One engine run: what it did, its result (succeeded, failed, interrupted), how many seconds it took."""

    run: Run
    result: str
    seconds: float


def run(request: Request) -> Exit:
    """Do it and return the exit code; raises CommandError for what is wrong before the engine starts."""
    packs = policy_packs(request.policy_packs, request.pack_configs)
    report = Report(request.operation, request.stack, as_json=request.as_json)
    session = open_session(request.folder, request.where, request.stack)
    # A file that is no YAML is told here, by name.
    session.project.stack_config(request.stack)
    local = LocalStack(session, request.stack) if session.local else None
    if local:
        if request.operation in ("refresh", "destroy") and not local.exists:
            raise CommandError(
                f"{request.stack} is not on the twin: bring it up with `pilotlight up {request.stack} --local`.", Exit.MISSING
            )
        local.make_ready(report.say, destroying=request.operation == "destroy")
    if request.operation == "destroy":
        refuse_to_lose_data(session, request.stack)
    if request.operation == "up" and not session.local and not request.skip_doctor:
        from pilotlight.cli.doctor import before_up

        before_up(session.project, request.stack)
    if request.operation == "up":
        from pilotlight.cli.packages import package_for_up

        package_for_up(session, request.stack, report.say)
    if not session.local and request.operation != "preview" and not request.yes:
        _confirm(request, session, packs)
    elif request.operation == "up" and protected(session.resources(request.stack)):
        # The engine refuses to delete what is protected after it has changed the rest; its preview refuses that before.
        preview = Report("preview", request.stack, as_json=request.as_json)
        foreseen = run_engine(replace(request, operation="preview"), session, local, packs, preview)
        if foreseen.result != "succeeded":
            preview.finish(foreseen.run, foreseen.result, foreseen.seconds)
            return _exit(foreseen)
    ended = _engine(request, session, local, packs, report)
    if ended is Exit.OK and request.operation == "up" and not session.local and not request.skip_doctor:
        from pilotlight.cli.doctor import after_up

        after_up(session.project, request.stack)
    return ended


def _engine(request: Request, session: Session, local: LocalStack | None, packs: list[str], report: Report) -> Exit:
    """The engine run itself, told by `report`."""
    done = run_engine(request, session, local, packs, report)
    report.finish(done.run, done.result, done.seconds)
    return _exit(done)


def _exit(done: Done) -> Exit:
    return {"succeeded": Exit.OK, "interrupted": Exit.INTERRUPTED}.get(done.result, Exit.FAILED)


def run_engine(request: Request, session: Session, local: LocalStack | None, packs: list[str], report: Report) -> Done:
    """Run the engine to its end; `packs` are its arguments for policy packs."""
    started = time.monotonic()
    done = Run()
    with scratch_folder(session.scratch) as scratch:
        command = _command(request, session, local, packs)
        variables = {**session.variables, **_moment(request, session)}
        engine = EngineRun(command, folder=session.project.root, environment=variables, scratch=scratch, say=report.say)
        with report.live():
            engine.follow(lambda event: report.show(done.take(event, time.monotonic())))
        if engine.status != 0 and not done.diagnostics.errors and not engine.interrupts:
            report.show(
                done.diagnostics.add(Diagnostic(severity="error", resource="", message=_last_words(engine.output(), engine.status)))
            )
    done.levels = levels_given(packs)
    # What the engine did was done, but nobody has judged it: that must not pass for a verdict.
    unjudged = engine.status == 0 and bool(packs) and not done.packs
    if unjudged:
        report.show(done.diagnostics.add(Diagnostic(severity="error", resource="", message=f"This {request.operation} {UNJUDGED}")))
    well = engine.status == 0 and not unjudged
    drifted = request.unchanged and well and _drifted(session, request.stack, done, report)
    result = "interrupted" if engine.interrupts and engine.status != 0 else "succeeded" if well and not drifted else "failed"
    _remember(request.operation, session, request.stack, succeeded=engine.status == 0)
    done.outputs = reachable_outputs(done.outputs, session)
    return Done(run=done, result=result, seconds=time.monotonic() - started)


def _drifted(session: Session, stack: str, done: Run, report: Report) -> bool:
    """Whether something would change that is drift; tells of each change why it is, or is not."""
    drifted, steps = [], changed(done.steps.values())
    resources = session.resources(stack) if steps else []
    for step in steps:
        if why := foreseen(step, resources):
            report.show(done.diagnostics.add(Diagnostic(severity="info", resource=step.name, message=f"{NO_DRIFT}{why}")))
        else:
            drifted.append(step.name)
    if drifted:
        text = f"no changes were expected, and these would change: {', '.join(dict.fromkeys(drifted))}"
        report.show(done.diagnostics.add(Diagnostic(severity="error", resource="", message=text)))
    return bool(drifted)


def _command(request: Request, session: Session, local: LocalStack | None, packs: list[str]) -> list[str]:
    """The engine's arguments; on the twin the stack's file is a copy, and the engine shows no preview before `up`."""
    plain = ["--non-interactive", "--color", "never", "--suppress-progress"]
    command = [str(session.tools.pulumi), request.operation, "--stack", request.stack, *plain]
    if request.operation != "preview":
        command += ["--skip-preview", "--yes"]
    if request.refresh:
        command.append("--refresh")
    if local:
        command += ["--config-file", str(local.config_file())]
    return command + packs


def _moment(request: Request, session: Session) -> dict[str, str]:
    """The variable by which the program knows the moment to declare for: as asked for, else the twin's time where that was moved."""
    if request.operation not in ("preview", "up"):
        return {}
    if request.at is not None:
        return {NOW: request.at.isoformat()}
    moved = moved_to(session.home.path) if session.local and NOW not in session.variables else None
    return {NOW: moved} if moved else {}


def _confirm(request: Request, session: Session, packs: list[str]) -> None:
    """In a cloud: show what would happen, then ask. Raises CommandError when nobody can answer or the answer is no."""
    if not sys.stdin.isatty():
        raise CommandError(f"`{request.operation}` changes a cloud account: say --yes, or --local for the twin.")
    if request.operation == "up":
        preview = replace(request, operation="preview", as_json=False)
        if _engine(preview, session, None, packs, Report("preview", request.stack, as_json=False)) is not Exit.OK:
            raise CommandError("The preview failed: nothing was changed.", Exit.FAILED)
    if not typer.confirm(f"{request.operation} {request.stack} in the cloud?", err=True):
        raise CommandError("Nothing was changed.", Exit.FAILED)


def _remember(operation: Operation, session: Session, stack: str, *, succeeded: bool) -> None:
    """A stack counts as up from its first `up` on, failed or not (there is something to look at), until a whole destroy."""
    if operation == "up":
        session.home.remember(session.project.name, stack, session.where)
    elif operation == "destroy" and succeeded and session.home.last_up(session.project.name, stack) == session.where:
        session.home.remember(session.project.name, stack, None)


def _last_words(output: str, status: int) -> str:
    """What the engine said before it failed without an event."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("warning: using pulumi-language")]
    first = next((number for number, line in enumerate(lines) if line.startswith("error: ")), -3)
    said = " ".join(line.removeprefix("error: ") for line in lines[first:])
    return with_advice(said) if said else f"the engine ended with status {status} and said nothing."
