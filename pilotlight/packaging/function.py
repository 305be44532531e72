"""The zip of the pattern's function on AWS: the sources and, from a lock, what they need beside Lambda's runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.artifact import FUNCTION_LOCK, function_folder, function_key, function_sources
from pilotlight.packaging import store
from pilotlight.packaging.archive import write_zip
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.sources import Say
from pilotlight.packaging.uv import run_uv

ARCHIVE = "function.zip"
INDEX = "function.json"
ENTRY = "handlers/functions/api.py"
# Lambda's: what a zip may hold unpacked, layers included (AWS Lambda quotas, "Deployment package size").
UNPACKED_LIMIT = 262_144_000
# Lambda's Python 3.11 runtime on x86-64: wheels for it, whatever this machine is.
TARGET = ("--python-platform", "x86_64-manylinux2014", "--python-version", "3.11")
# What an installer leaves behind: nothing imports it, and some of it tells which installer that was.
LEFT_OUT = {"__pycache__", "bin", ".lock", "RECORD", "INSTALLER", "REQUESTED"}


@dataclass(frozen=True, kw_only=True)
class PackagedFunction:
    """A complete zip. `built` says whether this call made it, `index` is function.json."""

    key: str
    folder: Path
    archive: Path
    index: Mapping[str, Any]
    built: bool


def package_function(root: Path, cache: Path, *, progress: Say, force: bool = False) -> PackagedFunction:
    """Make the zip of the checkout at `root`, or find it in the cache. Byte for byte the same for the same sources and lock.

    Nothing of the environment that runs this goes in. Raises PackagingError; then the cache holds what it held before.
    """
    for needed in (ENTRY, FUNCTION_LOCK):
        if not (root / needed).is_file():
            raise PackagingError(f"{root} has no {needed}: run this in a checkout of Pilotlight.")
    key = function_key(root)
    folder = function_folder(cache, key)
    with store.writing(folder, progress=progress) as work:
        index = store.complete(folder, archive=ARCHIVE, index=INDEX)
        if force or index is None:
            progress("Packing the function")
            members = _packages(root / FUNCTION_LOCK, work / "packages", progress)
            members |= {path.relative_to(root).as_posix(): path for path in function_sources(root)}
            _require_size(members)
            digest, size = write_zip(work / ARCHIVE, members)
            if function_key(root) != key:
                raise PackagingError(f"{root} changed while its function was packed: run this again.")
            built = {"sha256": digest, "bytes": size}
            store.publish(folder, work, archive=ARCHIVE, index=INDEX, content=built, record={"files": sorted(members)})
            return PackagedFunction(key=key, folder=folder, archive=folder / ARCHIVE, index=built, built=True)
        return PackagedFunction(key=key, folder=folder, archive=folder / ARCHIVE, index=index, built=False)


def function_is_packaged(root: Path, cache: Path) -> bool:
    """Whether the cache holds the zip of these sources."""
    return store.complete(function_folder(cache, function_key(root)), archive=ARCHIVE, index=INDEX) is not None


def _packages(lock: Path, target: Path, progress: Say) -> dict[str, Path]:
    """The files of the locked packages, by their path in the zip. A lock may name none."""
    lines = [line.strip() for line in lock.read_text().splitlines()]
    if not any(line and not line.startswith("#") for line in lines):
        return {}
    progress("Installing the function's packages")
    options = ["--quiet", "--target", str(target), *TARGET, "--only-binary", ":all:", "--require-hashes", "--no-deps"]
    run_uv(["pip", "install", *options, "-r", str(lock)], purpose=f"Installing the function's packages from {lock.name}")
    files = [path for path in target.rglob("*") if path.is_file()]
    return {path.relative_to(target).as_posix(): path for path in files if not LEFT_OUT & set(path.relative_to(target).parts)}


def _require_size(members: Mapping[str, Path]) -> None:
    total = sum(path.stat().st_size for path in members.values())
    if total > UNPACKED_LIMIT:
        raise PackagingError(f"The function is {total} bytes unpacked, Lambda allows {UNPACKED_LIMIT}: shorten {FUNCTION_LOCK}.")
