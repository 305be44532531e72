"""Engine torch for architectures that it has no forward pass of: a program exported with torch, or transformers where there is none."""

import importlib.util
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pilotlight.packaging import parity, torch_program
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.export import Say, last_lines, run_there
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
    order = {"folder": str(folder), "task": task, "batch": batch, "limit": limit, "out": str(work), "served": str(_served())}
    done = run_there(Path(torch_program.__file__), order, work, cache, progress)
    if done.returncode not in (0, torch_program.FAILED):
        raise PackagingError(f"{folder} can't be computed by transformers for {task}:\n{last_lines(done)}")
    pads = json.loads((work / torch_program.FACTS).read_text())["pads"]
    if done.returncode:
        return Unmade(last_lines(done, 1), pads)
    expected = _results(work / torch_program.EXPECTED)
    try:
        measured = parity.furthest(expected, _results(work / torch_program.COMPUTED))
    except ValueError as error:
        return Unmade(f"the program's results have other shapes than the model's: {error}", pads)
    # Written so that NaN is refused as well.
    if not measured <= parity.TOLERANCE:
        return Unmade(f"the program is up to {measured:.3g} from the model, {parity.TOLERANCE:g} is allowed", pads)
    members = {name: work / name for name in (torch_program.PROGRAM, torch_program.WEIGHTS)}
    return Program(members, Parity(reference=REFERENCE, samples=len(batch), measured=measured), expected[0].shape[-1], pads)


def _results(path: Path) -> list[Array]:
    with np.load(path, allow_pickle=False) as results:
        return [results[str(index)] for index in range(len(results.files))]


def _served() -> Path:
    """Where the model server's code lies, which computes the program to prove it. Raises PackagingError where it is not there."""
    found = importlib.util.find_spec("handlers.engines")
    if found is None or not found.submodule_search_locations:
        raise PackagingError("The model server's code (handlers/) is not beside this tool: package the model from a checkout.")
    return Path(next(iter(found.submodule_search_locations))).resolve().parents[1]
