"""What `pilotlight package` must have put into the cache before a stack can go up, found and checked."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import platformdirs
import pulumi

from components.args import ModelArtifact
from components.artifact import function_folder, function_key, missing, model_folder, model_key, shrink_of
from components.platform_facts import PLATFORM_FACTS, needs_functions
from stacks.settings_service import Settings
from stacks.sizes import memory_for, model_bytes

ROOT = Path(__file__).resolve().parent.parent
BUILD_INPUTS = ("containers", "handlers")


def cache_folder() -> Path:
    """The user's cache of packaged models and functions."""
    moved = os.environ.get("PILOTLIGHT_CACHE")
    return Path(moved) if moved else platformdirs.user_cache_path("pilotlight")


def find_model(settings: Settings, stack: str, cache: Path, root: Path = ROOT) -> ModelArtifact:
    """The packaged model of these settings. Raises RunError when it is missing, damaged or larger than the platform takes."""
    model = settings.model
    folder = model_folder(
        cache, model_key(model.source, model.task, model.engine, root, shrink_of(model.quantize, model.prune, model.max_drift))
    )
    if missing(folder, ["artifact.json", "model.tar.gz"]):
        raise pulumi.RunError(f"The model {model.source!r} is not packaged: run `pilotlight package {stack}`.")
    described = _described(folder / "artifact.json", stack)
    platform = settings.endpoint.platform
    most = model_bytes(settings.endpoint, PLATFORM_FACTS[platform])
    if described["bytes"] > most:
        raise pulumi.RunError(f"The packaged model has {described['bytes']} bytes, {platform!r} takes {most}: use a smaller model.")
    memory, least = settings.endpoint.memory_mb, memory_for(described["bytes"])
    if memory is not None and memory < least:
        raise pulumi.RunError(
            f"endpoint.memoryMb is {memory}: the packaged model has {described['bytes']} bytes, and with the server itself that takes "
            f"{least} MB or more."
        )
    found = (folder / "model.tar.gz").stat().st_size
    if found != described["bytes"]:
        raise pulumi.RunError(
            f"{folder / 'model.tar.gz'} is damaged ({found} bytes, {described['bytes']} were packaged): run `pilotlight package {stack}`."
        )
    return ModelArtifact(path=folder / "model.tar.gz", sha256=described["sha256"], size=described["bytes"], task=model.task)


def needs_function(settings: Settings) -> bool:
    """Whether the service runs functions of the packaged zip."""
    drops = settings.budget is not None and settings.budget.on_exceeded == "drop-warming"
    return needs_functions(settings.endpoint.platform, [rule.kind for rule in settings.warming], drops)


def find_function(settings: Settings, stack: str, cache: Path, root: Path = ROOT) -> Path | None:
    """The functions' zip, or None where the service has none. Raises RunError when it is missing."""
    if not needs_function(settings):
        return None
    folder = function_folder(cache, function_key(root))
    if missing(folder, ["function.json", "function.zip"]):
        raise pulumi.RunError(f"The function of this checkout is not packaged: run `pilotlight package {stack}`.")
    return folder / "function.zip"


def build_tag(root: Path = ROOT) -> str:
    """Registry tag of the image built from this checkout: it names the sources, so that an image is found by its commit."""
    digest = hashlib.sha256()
    files = (path for name in BUILD_INPUTS for path in (root / name).rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"build-{digest.hexdigest()[:12]}"


def _described(path: Path, stack: str) -> dict[str, Any]:
    try:
        described = json.loads(path.read_text())
        return {"sha256": str(described["sha256"]), "bytes": int(described["bytes"])}
    except (ValueError, KeyError, TypeError) as error:
        raise pulumi.RunError(f"{path} is damaged ({error!r}): run `pilotlight package {stack} --force`.") from error
