"""Where packaged things lie and what they are called: shared by the program, the packager and the tests. Pure."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Raised when the packager's output changes for equal settings, so that stale cache entries are never deployed.
MODEL_FORMAT = 5
SHRINK_FORMAT = 1
FUNCTION_FORMAT = 2
FUNCTION_SOURCES = ("handlers/__init__.py", "handlers/functions")
# What other clouds' functions run is none of a zip for Lambda.
FUNCTION_LEFT_OUT = ("handlers/functions/azure", "handlers/functions/gcp")
FUNCTION_LOCK = "containers/requirements/function-aws.txt"
# What --quantize and `model.quantize` take; the bounds of --prune and `model.prune`, and how far answers may move where nothing is said.
QUANTIZED = ("int8", "fp16")
MOST_PRUNED = 0.9
MAX_DRIFT = 0.03


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """How a model is made smaller: `quantize` (one of QUANTIZED), `prune` (the share of its neurons that goes), and how far its answers
    may move by it."""

    quantize: str | None = None
    prune: float = 0.0
    max_drift: float = MAX_DRIFT


def shrink_of(quantize: str | None, prune: float | None, max_drift: float | None) -> Shrink | None:
    """What is asked for; None where the model stays as it is."""
    if quantize is None and not prune:
        return None
    return Shrink(quantize=quantize, prune=prune or 0.0, max_drift=MAX_DRIFT if max_drift is None else max_drift)


def model_key(source: str, task: str, engine: str, root: Path, shrink: Shrink | None = None) -> str:
    """Cache key of a packaged model: 16 hex digits over everything that decides its bytes but the source's content.

    A folder counts with its full path (relative ones lie below `root`), so that two checkouts don't take each other's model.
    """
    if not source.startswith(("pypi:", "hf:")):
        source = os.path.abspath(root / Path(source).expanduser())
    said: list[object] = [MODEL_FORMAT, source, task, engine]
    if shrink is not None:
        said += [SHRINK_FORMAT, shrink.quantize, float(shrink.prune), float(shrink.max_drift)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def function_sources(root: Path) -> list[Path]:
    """The files that go into the function's zip, sorted by their path."""
    found: list[Path] = []
    for entry in FUNCTION_SOURCES:
        path = root / entry
        found += [path] if path.is_file() else [file for file in path.rglob("*.py")]
    left_out = {root / folder for folder in FUNCTION_LEFT_OUT}
    return sorted(file for file in found if left_out.isdisjoint(file.parents))


def function_key(root: Path) -> str:
    """Cache key of the pattern's function zip: 16 hex digits over its sources and its lock."""
    digest = hashlib.sha256(json.dumps(FUNCTION_FORMAT).encode())
    for path in [*function_sources(root), root / FUNCTION_LOCK]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def model_folder(cache: Path, key: str) -> Path:
    return cache / "artifacts" / key


def function_folder(cache: Path, key: str) -> Path:
    return cache / "functions" / key


def missing(folder: Path, names: Iterable[str]) -> list[str]:
    """The names that are not in the folder."""
    return [name for name in names if not (folder / name).is_file()]
