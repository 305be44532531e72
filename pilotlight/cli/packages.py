"""`package`, and what `up` packages on the spot: the model's artifact and the pattern's function zip."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.artifact import Shrink, shrink_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.project import Project, find
from pilotlight.cli.session import Session
from pilotlight.cli.shrunk import shrunk_table
from pilotlight.toolchain import cache_folder

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to package: a model, and the function of a checkout where one stands in front of the endpoint."""

    source: str
    task: str
    engine: str
    function: bool
    shrink: Shrink | None = None
    samples: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """One result: `kind` is model or function, `path` the archive, `built` whether this call made it; `shrunk` is the report of a model
    that was made smaller."""

    kind: str
    path: str
    sha256: str
    bytes: int
    built: bool
    shrunk: Mapping[str, Any] | None = None


def wanted_by(project: Project, stack: str) -> Wanted | None:
    """What a stack's file asks for; None when it is not clear: then the program says everything that is wrong with it."""
    from components.platform_facts import PLATFORM_FACTS, needs_functions

    service = project.service(stack)
    model, endpoint = service.get("model"), service.get("endpoint")
    if not isinstance(model, Mapping) or not isinstance(endpoint, Mapping):
        return None
    source, task, engine = model.get("source"), model.get("task"), model.get("engine", "onnx")
    platform = str(endpoint.get("platform"))
    if not all(isinstance(value, str) for value in (source, task, engine)) or platform not in PLATFORM_FACTS:
        return None
    rules, budget = service.get("warming"), service.get("budget")
    kinds = [str(rule.get("kind")) for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, list) else []
    drops = isinstance(budget, Mapping) and budget.get("onExceeded") == "drop-warming"
    if not _says_how(model):
        return None
    shrink = shrink_of(model.get("quantize"), model.get("prune"), model.get("maxDrift"))
    return Wanted(source=str(source), task=str(task), engine=str(engine), function=needs_functions(platform, kinds, drops), shrink=shrink)


def _says_how(model: Mapping[str, Any]) -> bool:
    """Whether what a stack's file says of shrinking is of the right kinds; the values are the program's and the packager's matter."""
    shares = [share for share in (model.get("prune"), model.get("maxDrift")) if share is not None]
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) for share in shares)
    return numbers and isinstance(model.get("quantize"), str | None)


def package_for_up(session: Session, stack: str, say: Say) -> None:
    """Package what the stack needs and has not; raises CommandError for a model that needs torch, which takes gigabytes and minutes."""
    wanted = wanted_by(session.project, stack)
    if wanted is None:
        return
    from pilotlight.packaging.errors import PackagingError
    from pilotlight.packaging.model import is_packaged, needs_torch

    cache, root = cache_folder(), session.project.root
    model = (wanted.source, wanted.task, wanted.engine)
    try:
        if not is_packaged(*model, cache, root=root, shrink=wanted.shrink) and needs_torch(*model, cache, progress=say, root=root):
            raise CommandError(f"The model {wanted.source} needs torch to be packaged: run `pilotlight package {stack}`.", Exit.FAILED)
    except PackagingError:
        # Wrong choices and missing sources are told by the program, together with every other mistake in the file.
        return
    package(wanted, root, say, force=False)


def package(wanted: Wanted, root: Path, say: Say, *, force: bool) -> list[Packaged]:
    """Package what is wanted, or find it in the cache; raises CommandError with the packager's reason."""
    from pilotlight.packaging.errors import PackagingError
    from pilotlight.packaging.model import package_model

    cache = cache_folder()
    try:
        model = package_model(
            wanted.source,
            wanted.task,
            wanted.engine,
            cache,
            progress=say,
            force=force,
            root=root,
            shrink=wanted.shrink,
            samples=wanted.samples,
        )
        found = [replace(_packaged("model", model.archive, model.index, built=model.built), shrunk=model.record.get("shrunk"))]
        if wanted.function:
            from pilotlight.packaging.function import package_function

            function = package_function(root, cache, progress=say, force=force)
            found.append(_packaged("function", function.archive, function.index, built=function.built))
    except PackagingError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    return found


def _packaged(kind: str, archive: Path, index: Mapping[str, Any], *, built: bool) -> Packaged:
    return Packaged(kind=kind, path=str(archive), sha256=str(index["sha256"]), bytes=int(index["bytes"]), built=built)


@dataclass(frozen=True, kw_only=True)
class Shrinking:
    """The options of `package` that make a model smaller, as they came."""

    quantize: str | None = None
    prune: float | None = None
    max_drift: float | None = None
    samples: Path | None = None


def command(
    target: str,
    folder: Path,
    *,
    task: str | None,
    engine: str | None,
    function: bool,
    force: bool,
    as_json: bool,
    say: Say,
    shrinking: Shrinking = Shrinking(),
) -> Exit:
    """`pilotlight package SOURCE|STACK`: a stack's name packages all that the stack needs, anything else is a model's source; with
    `function` the checkout's function too."""
    project = find(folder)
    if target in project.stacks:
        if task or engine or function:
            raise CommandError(
                f"{target} is a stack: {project.stack_file(target)} tells what it needs; leave --task, --engine and --function out."
            )
        if shrinking != Shrinking():
            raise CommandError(
                f"{target} is a stack: {project.stack_file(target)} tells what it needs; "
                "leave --quantize, --prune and --max-drift out and set model.quantize, model.prune and model.maxDrift there; "
                "leave --samples out."
            )
        wanted = wanted_by(project, target)
        if wanted is None:
            raise CommandError(
                f"{project.stack_file(target)} does not say which model on which platform: run `pilotlight preview {target}`."
            )
        found = package(wanted, project.root, say, force=force)
    else:
        if not task:
            stacks = ", ".join(project.stacks) or "none"
            raise CommandError(
                f"{target!r} is no stack (known: {stacks}); for a model's source say what it is for: --task feature-extraction, say."
            )
        wanted = _wanted(target, task, engine or "onnx", function, shrinking)
        found = package(wanted, project.root, say, force=force)
    if as_json:
        sys.stdout.write(json.dumps([asdict(item) for item in found], indent=2) + "\n")
    else:
        for item in found:
            state = "packaged" if item.built else "was packaged already"
            sys.stdout.write(f"{item.kind} {state}: {item.path} ({item.bytes:,} bytes, sha256 {item.sha256[:12]}…)\n")
            if item.shrunk:
                sys.stdout.write(shrunk_table(item.shrunk))
    return Exit.OK


def _wanted(source: str, task: str, engine: str, function: bool, options: Shrinking) -> Wanted:
    """What is asked for; raises CommandError for options without a meaning, together with whatever else is wrong."""
    from pilotlight.packaging.errors import listed
    from pilotlight.packaging.model import problems

    shrink = shrink_of(options.quantize, options.prune, options.max_drift)
    wrong = []
    if options.prune == 0:
        wrong.append("--prune 0: use a share above 0, or leave it out.")
    if shrink is None and options.max_drift is not None:
        wrong.append(f"--max-drift {options.max_drift:g}: it bounds what --quantize and --prune do; give one of them, or leave it out.")
    if wrong:
        raise CommandError(listed([*wrong, *problems(task, engine, shrink, options.samples)]))
    return Wanted(source=source, task=task, engine=engine, function=function, shrink=shrink, samples=options.samples)
