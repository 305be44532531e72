"""`analyze`: policy packs over a stack's saved state, where every value is known; what a rule can't run on is a failure here."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pilotlight.cli.diagnostics import Violation
from pilotlight.cli.events import Run
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Where
from pilotlight.cli.packs import NO_LEVELS, PACK, UNJUDGED, levels_of, own_config, policy_packs
from pilotlight.cli.project import Project
from pilotlight.cli.session import Session, open_session

RETENTION = "dataRetention"
# The engine's last words where it has judged everything.
FOUND = "one or more mandatory policy violations were found"


def analyze(stack: str, folder: Path, where: Where | None, packs: tuple[Path, ...], configs: tuple[Path, ...], *, as_json: bool) -> Exit:
    """Print each violation; 1 where one is mandatory, or where a rule could not run. Raises CommandError where the judging broke off."""
    session = open_session(folder, where, stack)
    with tempfile.TemporaryDirectory(prefix="pilotlight-analyze-") as scratch:
        theirs = session.project.root / PACK
        if not packs and theirs.is_dir():
            packs = (theirs,)
        if not configs and any(pack.resolve() == theirs.resolve() for pack in packs):
            written = _written(session.project, stack, theirs, Path(scratch))
            configs = tuple(written if pack.resolve() == theirs.resolve() else own_config(pack) or NO_LEVELS for pack in packs)
        if not packs:
            raise CommandError("No policy pack: name its folder with --policy-pack.")
        run, broken = _judged(session, stack, policy_packs(packs, configs))
    failed = [each for each in run.diagnostics.violations if each.level in ("mandatory", "undecided")]
    if run.diagnostics.violations or not broken:
        _print(stack, run, failed, as_json=as_json)
    if broken:
        raise CommandError(f"{stack} was not judged to the end: {broken}", Exit.FAILED)
    return Exit.FAILED if failed else Exit.OK


def _judged(session: Session, stack: str, packs: list[str]) -> tuple[Run, str]:
    """What the engine's `policy analyze` tells, event by event, and what broke it off: a pack that does not start, a rule that throws."""
    command = [str(session.tools.pulumi), "policy", "analyze", "--stack", stack, "--json", *packs, "--non-interactive", "--color", "never"]
    done = subprocess.run(command, cwd=session.project.root, env=dict(session.variables), capture_output=True, text=True, check=False)
    run = Run()
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            run.take(json.loads(line), 0.0)
    said = [line.strip() for line in done.stderr.splitlines() if line.strip() and "using pulumi-language" not in line]
    if run.result is not None and (done.returncode == 0 or f"error: {FOUND}" in said):
        return run, "" if run.packs else f"it {UNJUDGED}"
    return run, " ".join(said[-5:]).removeprefix("error: ") or f"the engine ended with {done.returncode} and said nothing"


def _written(project: Project, stack: str, pack: Path, scratch: Path) -> Path:
    """The pack's configuration, the fork's own included, with what the stack's file says of its data, which no state tells."""
    file = scratch / "config.json"
    retention = project.service(stack).get(RETENTION, "keep")
    schema = json.loads((pack / "config.schema.json").read_text())
    rules = {rule: levels for rule, described in schema["properties"].items() if (levels := _levels(described))}
    own = own_config(pack)
    told = levels_of(own) if own else {}
    for rule, level in rules.items():
        given = told.get(rule, {})
        told[rule] = {"enforcementLevel": level, RETENTION: retention} | (given if isinstance(given, dict) else {"enforcementLevel": given})
    file.write_text(json.dumps(told))
    return file


def _levels(described: Mapping[str, Any]) -> str | None:
    """The level that a rule has by itself, where it takes what the stack says of its data; else None."""
    for form in described.get("anyOf", ()):
        taken = form.get("properties", {})
        if RETENTION in taken:
            return str(taken["enforcementLevel"]["default"])
    return None


def _print(stack: str, run: Run, failed: list[Violation], *, as_json: bool) -> None:
    found = run.diagnostics.violations
    if as_json:
        told = {
            "stack": stack,
            "operation": "analyze",
            "result": "succeeded" if run.result == "succeeded" and not failed else "failed",
            "policyPacks": run.packs,
            "violations": [asdict(each) for each in found],
        }
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    for each in found:
        sys.stdout.write(f"{each.level}: {each.rule}: {f'{each.resource}: ' if each.resource else ''}{each.message}\n")
    sys.stdout.write(f"{stack} under {', '.join(run.packs)}: {len(failed)} failed, {len(found) - len(failed)} advisory\n")
