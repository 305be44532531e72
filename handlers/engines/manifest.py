"""The manifest of a packaged model, and the proof that the files beside it are the ones that it names."""

import hashlib
import json
import mmap
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from handlers.tasks import CUSTOM, IMAGE_TASKS, TEXT_TASKS

MANIFEST = "manifest.json"
FORMAT = 1
# Nothing else is ever opened. Formats that run code when they are read (pickle, and what wraps it) are not among them.
FILES = {
    "onnx": ("model.onnx", "model.onnx.data", "tokenizer.json"),
    "torch": ("model.safetensors", "config.json", "tokenizer.json"),
}
# What engine `torch` computes a model by: a forward pass of ours over its weights, a program that was made when it was packaged, or all of
# transformers.
WEIGHTS, PROGRAM, TRANSFORMERS = "weights", "program", "transformers"
PROGRAM_FILE = "program.json"
_BY_PROGRAM = ("model.safetensors", PROGRAM_FILE, "tokenizer.json")
_OPTIONAL = {"model.onnx.data"}
_TOKENIZER = "tokenizer.json"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}")
# What runs code when it is opened, or may; as the packager has it (pilotlight/packaging/tensors.py).
PICKLES = frozenset({".bin", ".ckpt", ".dill", ".h5", ".joblib", ".mar", ".msgpack", ".pickle", ".pkl", ".pt", ".pth"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE_BYTES = 16 << 20
# Beyond what any model reads, and any disk holds.
_MOST_TOKENS, _MOST_BYTES = 1 << 24, 1 << 60
# What NFS keeps of a file that was removed while somebody reads it, and where filers show earlier states of a folder.
_OF_VOLUMES = re.compile(r"\.nfs[0-9a-f]{8,32}|\.snapshot")
# What the model server itself leaves beside a model that it fetched (fetching.py).
_OURS = ".origin"


class ModelError(Exception):
    """The model can't be served: a file, what was expected of it, what was found, what to do."""


class FileRecord(NamedTuple):
    """What a file must be: its SHA-256 in hex digits and its size in bytes."""

    sha256: str
    bytes: int


class ImageInput(NamedTuple):
    """How an image becomes a model's input: resized (to `size`, height and width, or by its shortest edge; `resample` is Pillow's
    number of the filter), the middle of `crop` (height, width) taken, times `scale`, less `mean`, divided by `deviation`. Before that a
    colour that is transparent becomes white where it is to be `white`."""

    size: tuple[int, int] | None
    shortest_edge: int | None
    resample: int
    crop: tuple[int, int] | None
    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    white: bool = False


class Generation(NamedTuple):
    """How a model writes: tokens that end a text, and what makes one text of a chat (a Jinja template, None where there is none) with the
    texts of its first and last token, and of the `others` that have a name for templates."""

    ends: tuple[int, ...]
    chat_template: str | None
    bos_token: str
    eos_token: str
    others: Mapping[str, str] = MappingProxyType({})


class Manifest(NamedTuple):
    """A packaged model's own description. `labels` are in the order of the model's outputs, `image` is an image task's,
    `generation` that of one that writes; `plain` is whether a graph's answers stay the same however its weights lie in memory;
    `computed_by` is how engine `torch` computes it, WEIGHTS, PROGRAM or TRANSFORMERS, and `pads` whether a text's numbers then stay the
    same beside padding.

    Of a model of one's own, `architecture` is its name, the folder of its code in `handlers/models`.
    """

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
    image: ImageInput | None = None
    generation: Generation | None = None
    plain: bool = False
    computed_by: str = WEIGHTS
    pads: bool = True


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
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{path} can't be read ({type(error).__name__}: {error}): package the model again.") from error
    try:
        _check_names(folder, manifest)
    except OSError as error:
        raise ModelError(f"{folder} can't be read ({error.strerror}): let the server's user read the folder and its files.") from error
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


def state_of(file: Path | int) -> tuple[int, ...]:
    """Of a file, by its path or opened: another one where it was replaced or written to. Raises OSError."""
    found = os.stat(file)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def is_same(found: tuple[int, ...], proven: tuple[int, ...], *, far: bool) -> bool:
    """Whether these are states of one file. One that is `far`, on a volume, may have another number each time that it is looked up."""
    return found[2:] == proven[2:] and (far or found == proven)


def verify(folder: Path, manifest: Manifest, name: str, found: str | None = None, *, mapped: bool = False) -> tuple[int, ...]:
    """The state of the file that was proven. Raises ModelError unless it has the hash that the manifest gives; `found` is its own where it
    is known. One that is `mapped` must be on a disk of this machine: what can't be read of it ends the process."""
    path, record = folder / name, manifest.files[name]
    try:
        state = state_of(path)
        if found is None:
            found, state = _digest(path, mapped)
    except OSError as error:
        raise ModelError(f"{path}: expected sha256 {record.sha256}, found nothing to read ({error.strerror}).") from error
    if found != record.sha256:
        raise ModelError(f"{path}: expected sha256 {record.sha256}, found {found}: the file was changed, fetch the model again.")
    return state


def _digest(path: Path, mapped: bool) -> tuple[str, tuple[int, ...]]:
    """In as few calls as can be: between two of them a thread waits for the interpreter's lock, up to 5 ms each time while others are
    imported."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        state = state_of(file.fileno())
        size = os.fstat(file.fileno()).st_size
        if mapped and size > _PIECE_BYTES:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as whole:
                digest.update(whole)
        else:
            piece = bytearray(min(size, _PIECE_BYTES) or 1)
            while read := file.readinto(piece):
                digest.update(memoryview(piece)[:read])
    return digest.hexdigest(), state


def _manifest(value: Mapping[str, Any]) -> Manifest:
    labels = value.get("labels")
    return Manifest(
        source=str(value["source"]),
        task=str(value["task"]),
        engine=str(value["engine"]),
        architecture=str(value["architecture"]),
        max_tokens=_within("max_tokens", value["max_tokens"], 0 if value["task"] in (CUSTOM, *IMAGE_TASKS) else 1, _MOST_TOKENS),
        labels=tuple(str(labels[str(index)]) for index in range(len(labels))) if labels else None,
        pooling=value.get("pooling"),
        normalize=bool(value.get("normalize")),
        problem_type=value.get("problem_type"),
        files={str(name): _record(record) for name, record in value["files"].items()},
        image=image_of(value["image"]) if value.get("image") else None,
        generation=_generation(value["generation"]) if value.get("generation") else None,
        plain=value.get("plain") is True,
        computed_by=str(value.get("computed_by", WEIGHTS)),
        pads=value.get("pads") is not False,
    )


def image_of(value: Mapping[str, Any]) -> ImageInput:
    """The `image` of a manifest. Raises KeyError, TypeError, ValueError."""
    pairs = {name: None if value[name] is None else (int(value[name][0]), int(value[name][1])) for name in ("size", "crop")}
    edge = value["shortest_edge"]
    return ImageInput(
        size=pairs["size"],
        shortest_edge=None if edge is None else int(edge),
        resample=int(value["resample"]),
        crop=pairs["crop"],
        scale=float(value["scale"]),
        mean=tuple(map(float, value["mean"])),
        deviation=tuple(map(float, value["deviation"])),
        # Packages from before it was told do not have it.
        white=value.get("white") is True,
    )


def _generation(value: Mapping[str, Any]) -> Generation:
    template = value["chat_template"]
    return Generation(
        ends=tuple(map(int, value["ends"])),
        chat_template=None if template is None else str(template),
        bos_token=str(value["bos_token"]),
        eos_token=str(value["eos_token"]),
        # Packages from before they were told do not have them.
        others={str(name): str(text) for name, text in value.get("other_tokens", {}).items()},
    )


def _record(value: Mapping[str, Any]) -> FileRecord:
    return FileRecord(_hash(value["sha256"]), _within("bytes", value["bytes"], 0, _MOST_BYTES))


def _within(name: str, value: Any, least: int, most: int) -> int:
    number = int(value)
    if not least <= number <= most:
        raise ValueError(f"{name} is {number}, {least} to {most} are allowed")
    return number


def _hash(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError(f"sha256 {value!r} is not 64 hex digits")
    return value


def _check_names(folder: Path, manifest: Manifest) -> None:
    if manifest.engine not in FILES:
        raise ModelError(f"{folder / MANIFEST}: engine {manifest.engine!r}, this server has {', '.join(FILES)}.")
    ways = (WEIGHTS, PROGRAM, TRANSFORMERS) if manifest.engine == "torch" and manifest.task in TEXT_TASKS else (WEIGHTS,)
    if manifest.computed_by not in ways:
        raise ModelError(
            f"{folder / MANIFEST}: computed_by {manifest.computed_by!r}, which engine {manifest.engine} does not know for {manifest.task}: "
            f"{', '.join(ways)}."
        )
    allowed = _allowed(manifest)
    if others := sorted(set(manifest.files) - set(allowed)):
        can = f"engine {manifest.engine} opens {', '.join(allowed)} only" if manifest.task != CUSTOM else "such names are never opened"
        raise ModelError(f"{folder / MANIFEST} lists {', '.join(others)}: {can}.")
    if absent := sorted(set(allowed) - _OPTIONAL - set(manifest.files)):
        raise ModelError(f"{folder / MANIFEST} lists no {', '.join(absent)}: engine {manifest.engine} needs it.")
    # A graph names the files of its weights itself, and ONNX Runtime opens whatever it names beside it.
    graph = manifest.engine == "onnx" and manifest.task != CUSTOM
    if unproven := sorted(_unproven(folder, {*manifest.files, MANIFEST, _OURS})) if graph else []:
        raise ModelError(f"{folder} holds {', '.join(unproven)}, which {MANIFEST} does not list and nothing proves: remove them.")
    if pickles := sorted(path.name for path in folder.iterdir() if _is_pickle(path.name)):
        raise ModelError(
            f"{folder} holds {', '.join(pickles)}: such files can run code when they are opened and are never served; remove them."
        )


def _unproven(folder: Path, known: Collection[str]) -> Iterator[str]:
    """What lies beside the files that are known: hidden ones and folders too, but for those that volumes bring, which are empty, can't be
    read, or hold the very same files (Kubernetes' `..data`)."""
    for path in folder.iterdir():
        if path.name in known or _OF_VOLUMES.fullmatch(path.name):
            continue
        try:
            if path.is_dir() and all(each.name in known and each.samefile(folder / each.name) for each in path.iterdir()):
                continue
        except PermissionError:
            continue
        except OSError:
            pass  # a file that is not beside it
        yield path.name


def _is_pickle(name: str) -> bool:
    """By any of its endings: `model.pkl.gz` is one in a wrapper."""
    return any(f".{part}" in PICKLES for part in name.lower().split(".")[1:])


def _allowed(manifest: Manifest) -> tuple[str, ...]:
    """What may be opened. The files of a model of one's own are its own business, but for paths and pickles."""
    if manifest.task == CUSTOM:
        return tuple(name for name in manifest.files if _PLAIN_NAME.fullmatch(name) and not _is_pickle(name))
    files = _BY_PROGRAM if manifest.computed_by == PROGRAM else FILES[manifest.engine]
    return tuple(name for name in files if name != _TOKENIZER or manifest.task not in IMAGE_TASKS)
