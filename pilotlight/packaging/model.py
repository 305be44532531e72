"""Package a model: from a source's text to the artifact in the cache."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.artifact import Shrink, model_folder, model_key
from pilotlight.packaging import store, wheels
from pilotlight.packaging.archive import write_tar_gz
from pilotlight.packaging.build import Smaller, build
from pilotlight.packaging.errors import PackagingError, listed
from pilotlight.packaging.ready_onnx import find_ready, ready_files
from pilotlight.packaging.samples import Samples, read_samples
from pilotlight.packaging.shrink import shrink_problems
from pilotlight.packaging.sources import HUB, PYPI, Say, Source, resolve
from pilotlight.packaging.tensors import weight_files
from pilotlight.packaging.ways import WITH_TORCH, choose

ARCHIVE = "model.tar.gz"
INDEX = "artifact.json"
TASKS = (
    "feature-extraction",
    "sentence-embedding",
    "text-classification",
    "token-classification",
    "zero-shot-classification",
    "text-generation",
    "image-classification",
    "custom",
)
# engine -> the tasks that it computes.
ENGINES = {"onnx": tuple(task for task in TASKS if task != "text-generation"), "torch": TASKS[:6]}


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A complete artifact. `built` says whether this call made it, `index` is artifact.json, `record` how it was made."""

    key: str
    folder: Path
    archive: Path
    index: Mapping[str, Any]
    record: Mapping[str, Any]
    built: bool


def package_model(
    source: str,
    task: str,
    engine: str,
    cache: Path,
    *,
    progress: Say,
    force: bool = False,
    root: Path | None = None,
    shrink: Shrink | None = None,
    samples: Path | None = None,
) -> PackagedModel:
    """Make the artifact of a model, or find it in the cache. Byte for byte the same for the same source.

    source    a folder (relative to `root`), pypi:NAME, or hf://ORG/NAME@COMMIT
    cache     Pilotlight's cache folder; the artifact goes to `artifacts/<key>/`
    progress  called with a line for people before each long step
    force     build it even where a fitting one is there
    shrink    how to make it smaller; `record["shrunk"]` then tells what came of it
    samples   what a smaller one is tried on: a file with a text in each line, or a folder of images (None: those that are built in)

    Raises PackagingError; then the cache holds what it held before.
    """
    smaller = _checked(task, engine, shrink, samples)
    key = model_key(source, task, engine, root or Path.cwd(), shrink)
    folder = model_folder(cache, key)
    with store.writing(folder, progress=progress) as work:
        found = resolve(source, cache, progress=progress, root=root)
        outline = store.outline(found.folder)
        if not force and (index := _fresh(folder, found, outline)) and _tried_on(folder, smaller):
            return _packaged(key, folder, index, built=False)
        started = time.monotonic()
        index, record = _build(found, task, engine, work, cache, progress, smaller)
        if store.outline(found.folder) != outline:
            raise PackagingError(f"{found.folder} changed while it was packaged: run this again.")
        record |= {"source": source, "outline": outline, "seconds": round(time.monotonic() - started, 2)}
        store.publish(folder, work, archive=ARCHIVE, index=INDEX, content=index, record=record)
        return _packaged(key, folder, index, built=True)


def is_packaged(source: str, task: str, engine: str, cache: Path, *, root: Path | None = None, shrink: Shrink | None = None) -> bool:
    """Whether the cache holds the artifact, made from the source as it is now. Fetches and builds nothing.

    Raises PackagingError for a local folder that isn't there.
    """
    folder = model_folder(cache, model_key(source, task, engine, root or Path.cwd(), shrink))
    if store.complete(folder, archive=ARCHIVE, index=INDEX) is None:
        return False
    if HUB.fullmatch(source):
        return True  # Pinned: it can't have changed.
    if (match := PYPI.fullmatch(source)) and wheels.installed(match["name"], cache) is None:
        return False  # Of a version that nobody knows before it is installed.
    found = resolve(source, cache, progress=lambda _: None, root=root)
    return _fresh(folder, found, store.outline(found.folder)) is not None


def needs_torch(source: str, task: str, engine: str, cache: Path, *, progress: Say, root: Path | None = None) -> bool:
    """Whether packaging this model exports it with torch (5 GB installed on first need). Fetches the source where it isn't there yet."""
    _checked(task, engine, None, None)
    if task in ("custom", "image-classification", "text-generation"):
        return False  # Served as they are.
    found = resolve(source, cache, progress=progress, root=root)
    return choose(found.folder, found.config, task, engine) in WITH_TORCH


def problems(task: str, engine: str, shrink: Shrink | None, samples: Path | None) -> list[str]:
    """Everything that is wrong with what is asked for beside the model."""
    return _read(task, engine, shrink, samples)[0]


def _checked(task: str, engine: str, shrink: Shrink | None, samples: Path | None) -> Smaller | None:
    """What is asked for beside the model. Raises PackagingError with everything that is wrong with it."""
    found, read = _read(task, engine, shrink, samples)
    if found:
        raise PackagingError(listed(found))
    return Smaller(shrink=shrink, samples=read) if shrink else None


def _read(task: str, engine: str, shrink: Shrink | None, samples: Path | None) -> tuple[list[str], Samples]:
    found = [
        f"Model {name} {value!r}: use {', '.join(allowed)}."
        for name, value, allowed in (("task", task, TASKS), ("engine", engine, ENGINES))
        if value not in allowed
    ]
    if not found and task not in ENGINES[engine]:
        other = next(name for name, tasks in ENGINES.items() if task in tasks)
        found.append(f"Model engine {engine!r} serves {', '.join(ENGINES[engine])}, not {task}: use {other}.")
    found += shrink_problems(shrink, task, engine)
    read = Samples()
    try:
        read = read_samples(samples, task)
    except PackagingError as error:
        found.append(str(error))
    if samples is not None and shrink is None:
        found.append(f"--samples {samples}: what a shrunk model is tried on; ask for quantize or prune as well, or leave it out.")
    return found, read


def _tried_on(folder: Path, smaller: Smaller | None) -> bool:
    """Whether a shrunk artifact was tried on these samples."""
    record = store.read_json(folder / store.RECORD) or {}
    return smaller is None or record.get("samples") == smaller.samples.mark


def _fresh(folder: Path, found: Source, outline: str) -> dict[str, Any] | None:
    """The index of a complete artifact of this very source. Contents are read only where names, sizes or times have changed."""
    index = store.complete(folder, archive=ARCHIVE, index=INDEX)
    record = store.read_json(folder / store.RECORD)
    if index is None or record is None:
        return None
    if record.get("outline") == outline:
        return index
    return index if record.get("content") == store.content_hash(found.folder) else None


def _build(
    found: Source, task: str, engine: str, work: Path, cache: Path, progress: Say, smaller: Smaller | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    _require_space(found, engine, work)
    built = build(found, task, engine, work=work, cache=cache, progress=progress, smaller=smaller)
    progress("Packing the artifact")
    digest, size = write_tar_gz(work / ARCHIVE, built.members)
    index = {"sha256": digest, "bytes": size, "task": task, "engine": engine, "source": found.shown}
    record: dict[str, Any] = {
        "content": store.content_hash(found.folder),
        "revision": found.revision,
        "max_abs_difference": built.parity.measured,
    }
    if smaller and built.shrunk:
        record |= {"shrunk": built.shrunk.report(), "samples": smaller.samples.mark}
    return index, record


def _require_space(found: Source, engine: str, work: Path) -> None:
    """A copy of the weights and the archive must fit: said before the work, not in its middle."""
    graph = find_ready(found.folder) if engine == "onnx" else None
    files = ready_files(graph) if graph else weight_files(found.folder)
    needed = 2.2 * sum(file.stat().st_size for file in files)
    free = shutil.disk_usage(work).free
    if free < needed:
        raise PackagingError(
            f"Packaging needs {needed / 1e9:.1f} GB in {work.parent}, {free / 1e9:.1f} GB are free: "
            "free some space, or move the cache with PILOTLIGHT_CACHE=FOLDER."
        )


def _packaged(key: str, folder: Path, index: Mapping[str, Any], *, built: bool) -> PackagedModel:
    record = store.read_json(folder / store.RECORD) or {}
    return PackagedModel(key=key, folder=folder, archive=folder / ARCHIVE, index=index, record=record, built=built)
