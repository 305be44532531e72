"""Everything that a stack deploys and that must be packaged before: its model, and its pattern's function."""

from dataclasses import dataclass
from pathlib import Path

from components.artifact import Shrink
from pilotlight.packaging.function import PackagedFunction, function_is_packaged, package_function
from pilotlight.packaging.model import PackagedModel, is_packaged, package_model
from pilotlight.packaging.sources import Say


@dataclass(frozen=True, kw_only=True)
class PackagedStack:
    """What was packaged; `function` is None for a stack without one (the model is its own function)."""

    model: PackagedModel
    function: PackagedFunction | None


def package_stack(
    source: str,
    task: str,
    engine: str,
    *,
    function: bool,
    root: Path,
    cache: Path,
    progress: Say,
    force: bool = False,
    shrink: Shrink | None = None,
) -> PackagedStack:
    """Package what a stack's settings name (`model.source`, `model.task`, `model.engine`, and how it is shrunk), and with `function` its
    pattern's function.

    `root` is the checkout: its handlers go into the function, and a relative model folder lies in it. Raises PackagingError.
    """
    zipped = package_function(root, cache, progress=progress, force=force) if function else None
    model = package_model(source, task, engine, cache, progress=progress, force=force, root=root, shrink=shrink)
    return PackagedStack(model=model, function=zipped)


def stack_is_packaged(
    source: str, task: str, engine: str, *, function: bool, root: Path, cache: Path, shrink: Shrink | None = None
) -> bool:
    """Whether the cache holds everything that `package_stack` makes, from the sources as they are now."""
    if function and not function_is_packaged(root, cache):
        return False
    return is_packaged(source, task, engine, cache, root=root, shrink=shrink)
