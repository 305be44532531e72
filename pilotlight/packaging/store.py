"""The cache of packaged things: one writer at a time per key, complete or absent, never half."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pilotlight.packaging.archive import file_sha256
from pilotlight.packaging.errors import disk_errors_explained

Say = Callable[[str], None]
# How an entry was made: what the deployed bytes must not depend on, or say.
RECORD = "packaging.json"
SKIPPED_FOLDERS = {".git", "__pycache__", ".cache"}


@contextlib.contextmanager
def writing(folder: Path, *, progress: Say) -> Iterator[Path]:
    """Hold the entry's lock and yield an empty folder to build in, on the same disk; it is removed at the end, whatever happened."""
    work = folder.with_name(f".{folder.name}.work")
    with disk_errors_explained(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("Waiting for another packager of the same thing")
            lock.acquire()
        try:
            # What a killed packager left.
            shutil.rmtree(work, ignore_errors=True)
            _sweep(folder.parent)
            work.mkdir()
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            lock.release()


def _sweep(parent: Path) -> None:
    """Remove what killed packagers of other things left: gigabytes that nobody may ask for again."""
    for work in parent.glob(".*.work"):
        # Held by who builds there; of another user's there is nothing to remove.
        with contextlib.suppress(Timeout, OSError), FileLock(work.with_suffix(".lock"), timeout=0):
            shutil.rmtree(work, ignore_errors=True)


def publish(folder: Path, work: Path, *, archive: str, index: str, content: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Move a built archive into the entry. The index goes first and comes back last: its presence means a complete entry."""
    record = {**record, "archive_mtime_ns": (work / archive).stat().st_mtime_ns}
    for name, values in ((index, content), (RECORD, record)):
        (work / name).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    folder.mkdir(exist_ok=True)
    (folder / index).unlink(missing_ok=True)
    for name in (archive, RECORD, index):
        os.replace(work / name, folder / name)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, or None when there is none or it can't be read."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def complete(folder: Path, *, archive: str, index: str) -> dict[str, Any] | None:
    """The index of a complete entry, or None. An archive that isn't the one which the index describes is not complete."""
    content = read_json(folder / index)
    try:
        found = (folder / archive).stat()
    except OSError:
        return None
    if content is None or found.st_size != content.get("bytes"):
        return None
    record = read_json(folder / RECORD) or {}
    # Reading gigabytes at every `up` is spared while nobody has touched the file.
    if found.st_mtime_ns != record.get("archive_mtime_ns") and file_sha256(folder / archive) != content.get("sha256"):
        return None
    return content


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The files below a folder by their names there, those behind links as well; a link to a folder that it lies in leads no further."""
    found = []
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        parent, above = waiting.pop()
        try:
            state = parent.stat()
            inside = list(parent.iterdir())
        except OSError:
            continue
        here = (state.st_dev, state.st_ino)
        if here not in above:
            waiting += [(path, above | {here}) for path in inside if path.is_dir() and path.name not in SKIPPED_FOLDERS]
            found += [path for path in inside if path.is_file()]
    return sorted((path.relative_to(folder).as_posix(), path) for path in found)


def outline(folder: Path) -> str:
    """A hash over names, sizes and times of a folder's files: cheap, and changed by every ordinary edit."""
    stats = [(name, path.stat()) for name, path in _files(folder)]
    return _hash([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def content_hash(folder: Path) -> str:
    """A hash over names and contents of a folder's files: reads everything."""
    return _hash([[name, file_sha256(path)] for name, path in _files(folder)])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
