"""The artifact of a model of one's own: the files beside its code. The code itself goes with the image."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.pickles import holds_pickle
from pilotlight.packaging.sources import Source
from pilotlight.packaging.tensors import pickled

PLACE = "handlers/models"
CODE, FILES = "model.py", "files"
_VERBS = ("load", "predict")
# As the model server has it (handlers/engines/manifest.py).
_MOST_MEMBERS = 1000
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}")


def own_members(source: Source) -> Mapping[str, Path]:
    """The files by their names.

    Raises PackagingError for a folder that holds no such model, or files that are never served.
    """
    folder = source.folder
    if folder.parent.as_posix().rpartition("/handlers/")[2] != "models" or not (folder / CODE).is_file():
        raise PackagingError(f"Task custom serves {PLACE}/NAME with its {CODE}, which goes with the image: {folder} is no such folder.")
    _require_verbs(folder / CODE)
    found = sorted((folder / FILES).iterdir()) if (folder / FILES).is_dir() else []
    if strange := [path.name for path in found if not _PLAIN_NAME.fullmatch(path.name) or path.name == "manifest.json"]:
        raise PackagingError(
            f"{folder / FILES} holds {', '.join(strange)}: name files with letters, digits, '.', '_', '-', not manifest.json."
        )
    if folders := [path.name for path in found if not path.is_file()]:
        raise PackagingError(
            f"{folder / FILES} holds {', '.join(folders)}: an artifact has files alone, put what is in it beside the others."
        )
    if len(found) >= _MOST_MEMBERS:
        raise PackagingError(
            f"{folder / FILES} holds {len(found)} files: an artifact has {_MOST_MEMBERS} at most, its manifest among them."
        )
    if links := [path.name for path in found if not path.resolve().is_relative_to(folder.resolve())]:
        raise PackagingError(f"{folder / FILES} holds {', '.join(links)}, links to outside of {folder}: put copies of the files there.")
    if pickles := sorted({*pickled([path.name for path in found]), *(path.name for path in found if holds_pickle(path))}):
        raise PackagingError(
            f"{folder / FILES} holds {', '.join(pickles)}, which can run code when opened or hide what they hold: use safetensors or ONNX."
        )
    return {path.name: path for path in found}


def _require_verbs(code: Path) -> None:
    """Read, not run: what it imports is the image's."""
    try:
        tree = ast.parse(code.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise PackagingError(f"{code} is no Python: {error}.") from error
    kind = next((part for part in tree.body if isinstance(part, ast.ClassDef) and part.name == "Model"), None)
    there = {part.name for part in kind.body if isinstance(part, ast.FunctionDef)} if kind else set()
    if missing := [verb for verb in _VERBS if verb not in there]:
        raise PackagingError(f"{code}: class Model lacks {' and '.join(missing)}: see {PLACE}/__init__.py.")
