"""Engine torch for architectures that it has no forward pass of: a program exported with torch, or transformers where there is none."""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pilotlight.packaging import parity, torch_program
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.export import Say, TookTooLong, last_lines, run_there
from pilotlight.packaging.parity import Array, Parity

# What the manifest says of how the model is computed (handlers/engines/manifest.py).
PROGRAM, TRANSFORMERS = "program", "transformers"
REFERENCE = "safetensors, computed by transformers"


class Unmade(NamedTuple):
    """Why the model can't be made a program, and whether texts may be padded for it."""

    reason: str
    pads: bool


class Program(NamedTuple):
    """Program and weights by their names in the artifact, how far they are from the original, how many numbers it gives a text or a token,
    and whether texts may be padded for it."""

    members: dict[str, Path]
    parity: Parity
    width: int
    pads: bool


def export_program(
    folder: Path, task: str, batch: list[list[int]], work: Path, cache: Path, *, limit: int, progress: Say
) -> Program | Unmade:
    """The program, written into `work`. Raises PackagingError where the environment can't be made or the model can't be computed."""
    facts = work / torch_program.FACTS
    _forget(work)
    try:
        done = run_there(Path(torch_program.__file__), _order(folder, task, batch, limit, work), work, cache, progress)
    except TookTooLong as error:
        if not facts.is_file():
            raise
        return Unmade(str(error).rstrip("."), _pads(facts))
    killed = done.returncode < 0
    # It writes the facts when transformers has computed the model: what goes wrong from there on is the program's alone.
    if done.returncode and not (facts.is_file() and (killed or done.returncode == torch_program.FAILED)):
        raise PackagingError(f"{folder} can't be computed by transformers for {task}:\n{_ended(done)}")
    pads = _pads(facts)
    if done.returncode:
        return Unmade(_ended(done, 1), pads)
    expected, measured = _measured(work, "the program")
    if isinstance(measured, str):
        return Unmade(measured, pads)
    members = {name: work / name for name in (torch_program.PROGRAM, torch_program.WEIGHTS)}
    return Program(members, Parity(reference=REFERENCE, samples=len(batch), measured=measured), expected[0].shape[-1], pads)


def prove_transformers(
    folder: Path,
    members: Mapping[str, Path],
    unmade: Unmade,
    task: str,
    batch: list[list[int]],
    work: Path,
    cache: Path,
    *,
    limit: int,
    progress: Say,
) -> tuple[Parity, int]:
    """How far the engine that serves by transformers is from the model, over a folder that holds the artifact's files; and how many numbers
    the model gives a text or a token. Raises PackagingError where it can't be built or is too far."""
    served = work / "served"
    served.mkdir()
    for name, path in members.items():
        _put(path, served / name)
    order = _order(folder, task, batch, limit, work) | {"prove": {"folder": str(served), "pads": unmade.pads}}
    refused = f"{folder} can't be made a program for engine torch ({unmade.reason}), nor served by transformers for {task}"
    _forget(work)
    try:
        done = run_there(Path(torch_program.__file__), order, work, cache, progress, "Comparing what transformers serves with the original")
    except TookTooLong as error:
        raise PackagingError(f"{refused}: {error}") from error
    if done.returncode:
        raise PackagingError(f"{refused}:\n{_ended(done)}")
    expected, measured = _measured(work, "the engine")
    if isinstance(measured, str):
        raise PackagingError(f"{refused}: {measured}")
    return Parity(reference=REFERENCE, samples=len(batch), measured=measured), expected[0].shape[-1]


def _ended(done: subprocess.CompletedProcess[str], lines: int = 5) -> str:
    """Why: one that was killed says nothing of it."""
    return f"the process was ended by signal {-done.returncode}" if done.returncode < 0 else last_lines(done, lines)


def _order(folder: Path, task: str, batch: list[list[int]], limit: int, work: Path) -> dict[str, Any]:
    return {"folder": str(folder), "task": task, "batch": batch, "limit": limit, "out": str(work), "served": str(_served())}


def _forget(work: Path) -> None:
    """What an earlier run left: what is there afterwards is of this one."""
    for name in (torch_program.FACTS, torch_program.EXPECTED, torch_program.COMPUTED):
        (work / name).unlink(missing_ok=True)


def _pads(facts: Path) -> bool:
    return bool(json.loads(facts.read_text())["pads"])


def _put(path: Path, target: Path) -> None:
    """The same file once more; a copy of it where the file system has no second names, or is another one."""
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)


def _measured(work: Path, which: str) -> tuple[list[Array], float | str]:
    """The model's own results, and how far the others are from them; a text where that is too far."""
    expected = _results(work / torch_program.EXPECTED)
    try:
        measured = parity.furthest(expected, _results(work / torch_program.COMPUTED))
    except ValueError as error:
        return expected, f"{which}'s results have other shapes than the model's: {error}"
    # Written so that NaN is refused as well.
    if not measured <= parity.TOLERANCE:
        return expected, f"{which} is up to {measured:.3g} from the model, {parity.TOLERANCE:g} is allowed"
    return expected, measured


def _results(path: Path) -> list[Array]:
    with np.load(path, allow_pickle=False) as results:
        return [results[str(index)] for index in range(len(results.files))]


def _served() -> Path:
    """Where the model server's code lies, which computes the program to prove it. Raises PackagingError where it is not there."""
    found = importlib.util.find_spec("handlers.engines")
    if found is None or not found.submodule_search_locations:
        raise PackagingError("The model server's code (handlers/) is not beside this tool: package the model from a checkout.")
    return Path(next(iter(found.submodule_search_locations))).resolve().parents[1]
