"""The manifest of a packaged model, and the proof that the files beside it are the ones that it names."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1
# Nothing else is ever opened. Formats that run code when they are read (pickle, and what wraps it) are not among them.
FILES = {
    "onnx": ("model.onnx", "model.onnx.data", "tokenizer.json"),
    "torch": ("model.safetensors", "config.json", "tokenizer.json"),
}
_OPTIONAL = {"model.onnx.data"}
_PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".mar", ".pickle", ".pkl", ".pt", ".pth"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelError(Exception):
    """The model can't be served: a file, what was expected of it, what was found, what to do."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file must be: its SHA-256 in hex digits and its size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A packaged model's own description. `labels` are in the order of the model's outputs."""

    source: str
    task: str
    engine: str
    architecture: str
    max_tokens: int
    labels: tuple[str, ...] | None
    pooling: str | None
    normalize: bool
    problem_type: str | None
    files: Mapping[str, FileRecord]


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder. Raises ModelError when it is missing, of another format, or lists what must not be opened."""
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text())
        if value["format"] != FORMAT:
            raise ModelError(f"{path}: format {value['format']!r}, this server reads {FORMAT}: package the model again.")
        manifest = _manifest(value)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist: put an unpacked model there, or set MODEL_URI.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} can't be read ({type(error).__name__}: {error}): package the model again.") from error
    _check_names(folder, manifest)
    return manifest


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Raises ModelError unless every file is there with its size: quick, and before anything is mapped past a file's end."""
    for name, record in manifest.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ModelError(f"{path}: expected sha256 {record.sha256}, found nothing to read ({error.strerror}).") from error
        if size != record.bytes:
            raise ModelError(f"{path}: expected {record.bytes} bytes (sha256 {record.sha256}), found {size} bytes: fetch the model again.")


def verify(folder: Path, manifest: Manifest, name: str) -> None:
    """Raises ModelError unless the file has the hash that the manifest gives."""
    path, record = folder / name, manifest.files[name]
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: expected sha256 {record.sha256}, found nothing to read ({error.strerror}).") from error
    if found != record.sha256:
        raise ModelError(f"{path}: expected sha256 {record.sha256}, found {found}: the file was changed, fetch the model again.")


def _manifest(value: Mapping[str, Any]) -> Manifest:
    labels = value.get("labels")
    return Manifest(
        source=str(value["source"]),
        task=str(value["task"]),
        engine=str(value["engine"]),
        architecture=str(value["architecture"]),
        max_tokens=int(value["max_tokens"]),
        labels=tuple(str(labels[str(index)]) for index in range(len(labels))) if labels else None,
        pooling=value.get("pooling"),
        normalize=bool(value.get("normalize")),
        problem_type=value.get("problem_type"),
        files={str(name): FileRecord(_hash(record["sha256"]), int(record["bytes"])) for name, record in value["files"].items()},
    )


def _hash(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError(f"sha256 {value!r} is not 64 hex digits")
    return value


def _check_names(folder: Path, manifest: Manifest) -> None:
    if manifest.engine not in FILES:
        raise ModelError(f"{folder / MANIFEST}: engine {manifest.engine!r}, this server has {', '.join(FILES)}.")
    allowed = FILES[manifest.engine]
    if others := sorted(set(manifest.files) - set(allowed)):
        raise ModelError(f"{folder / MANIFEST} lists {', '.join(others)}: engine {manifest.engine} opens {', '.join(allowed)} only.")
    if absent := sorted(set(allowed) - _OPTIONAL - set(manifest.files)):
        raise ModelError(f"{folder / MANIFEST} lists no {', '.join(absent)}: engine {manifest.engine} needs it.")
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _PICKLES):
        raise ModelError(f"{folder} holds {', '.join(pickles)}: pickled weights can run code and are never served; remove them.")
