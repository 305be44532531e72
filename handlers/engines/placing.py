"""Where the bytes of a fetched file go: to the disk, or, weights that fit, to memory, from where they are used as they lie.

A file in memory has no name on any disk. It is reached by a link to this process's own descriptor, so that whoever opens it by its place in
the model's folder maps those very pages; processes that are forked share them.
"""

import errno
import fcntl
import glob
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from handlers.functions import logs

# Of engine torch, which maps them. ONNX Runtime copies its weights, and opens none that a link leads out of the model's folder to.
_MAPPED = ".safetensors"
_CHUNK = 1 << 20
_DESCRIPTORS = Path("/proc/self/fd")
# Beside the folder that they are made for: nobody else names a folder so.
_DRAFT, _LOCK = ".{}.fetching-", ".{}.lock"
_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def goes_to_memory(name: str, size: int) -> bool:
    """Whether a file is kept in memory: twice its size is free, since a model that runs needs some too."""
    return name.endswith(_MAPPED) and hasattr(os, "memfd_create") and 2 * size <= free_memory()


def free_memory() -> int:
    """Bytes that this container may still take, 0 where the system does not tell."""
    try:
        told = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return 0
    for limit, used in _LIMITS:
        try:
            free = min(free, int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text()))
        except (OSError, ValueError):
            continue  # the other version, or "max"
    return max(free, 0)


@contextmanager
def in_memory(place: Path) -> Iterator[BinaryIO]:
    """A new file in memory, reached by `place` and held while this process lives; nothing of it is left where the block fails."""
    descriptor = os.memfd_create(place.name)
    try:
        place.symlink_to(_DESCRIPTORS / str(descriptor))
        with open(descriptor, "wb", closefd=False) as target:
            yield target
    except BaseException:
        place.unlink(missing_ok=True)
        os.close(descriptor)
        raise


def release(folder: Path) -> None:
    """Give up what of a model's folder lies in memory: the weights are where they are computed with. They can't be loaded again."""
    for path in _in_memory(folder):
        os.ftruncate(int(path.readlink().name), 0)


def copied(source: Source, target: BinaryIO, size: int) -> str:
    """Copy `size` bytes; their SHA-256 in hex digits, which another thread computes meanwhile. Raises EOFError where fewer come."""
    digest, last = hashlib.sha256(), Future[None]()
    last.set_result(None)
    with ThreadPoolExecutor(1, thread_name_prefix="model-hash") as hashing:
        while size and (chunk := source.read(min(size, _CHUNK))):
            last.result()
            last = hashing.submit(digest.update, chunk)
            target.write(chunk)
            size -= len(chunk)
    if size:
        raise EOFError(f"{size} bytes of a file are missing")
    return digest.hexdigest()


@contextmanager
def draft(cache: Path) -> Iterator[Path]:
    """A new folder beside `cache`, which no other process has at the same time: it waits for one that has. It is removed with all that it
    holds unless it was renamed or holds weights in memory, which are there while this process lives; so are those of processes that were
    killed.

    Raises OSError.
    """
    # As in fetching.py: most starts need neither.
    import shutil
    import tempfile

    cache.parent.mkdir(parents=True, exist_ok=True)
    prefix = _DRAFT.format(cache.name)
    with _alone(cache.parent / _LOCK.format(cache.name)) as alone:
        for left in cache.parent.glob(f"{glob.escape(prefix)}*") if alone else ():
            _sweep(left)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=cache.parent))
        held = os.open(folder, os.O_RDONLY)
        try:
            _locked(held, folder)
            yield folder
        except BaseException:
            for path in _in_memory(folder):
                os.close(int(path.readlink().name))
            os.close(held)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if not _in_memory(folder):
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)


def remove(cache: Path) -> None:
    """Remove a fetched model, within its `draft`, and at once for whoever looks: were this process killed in the middle, half a model would
    be left that nobody knows for one. Raises OSError."""
    import shutil
    import tempfile

    if cache.exists():
        aside = Path(tempfile.mkdtemp(prefix=_DRAFT.format(cache.name), dir=cache.parent))
        try:
            cache.rename(aside)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # A folder of an image's layer: overlayfs moves none ("Renaming directories").
            shutil.rmtree(cache)
        shutil.rmtree(aside, ignore_errors=True)


def _in_memory(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"*{_MAPPED}") if path.is_symlink() and path.readlink().parent == _DESCRIPTORS]


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether no other process is in this block, on this machine; False where the file system knows no locks."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except PermissionError:
        if not lock.exists():
            raise
        # Another user's, which a sticky folder keeps from being written, or from being opened so at all.
        try:
            descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
        except PermissionError:
            yield False
            return
    try:
        yield _locked(descriptor, lock)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, place: Path) -> bool:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            began = time.monotonic()
            logs.write("model_waits", level="WARNING", message=f"Another process fetches the same model: this one waits for {place}.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            logs.write("model_waited", seconds=round(time.monotonic() - began, 1))
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove it unless a process that lives holds it."""
    import shutil

    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(held)
