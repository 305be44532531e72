"""The weights of a model folder: `model.safetensors`, whole or in shards, read without loading what isn't asked for."""

import json
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from pilotlight.packaging.errors import PackagingError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
COPY_BYTES = 1 << 22
# Formats that run code when they are opened, or that only one framework can read: never opened, refused by name, and by the model server
# too (handlers/engines/manifest.py), which the wheel of this tool does not carry.
PICKLES = (".bin", ".ckpt", ".dill", ".h5", ".joblib", ".mar", ".msgpack", ".pickle", ".pkl", ".pt", ".pth")

Array = npt.NDArray[np.float32]
# File, type, shape, first byte, byte after the last.
_Place = tuple[Path, str, tuple[int, ...], int, int]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, in name order. Empty when it has none.

    Raises PackagingError for an index that names a file outside the folder, or a shard that isn't there.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        return []
    try:
        names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PackagingError(f"{folder / INDEX} is no index of safetensors shards: it needs a `weight_map` object.") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise PackagingError(f"{folder / INDEX} names the shard {name!r}: only *.safetensors files beside it are allowed.")
        if not (folder / name).is_file():
            raise PackagingError(f"{folder / INDEX} names the shard {name!r}, which is not there: get the whole model.")
    return [folder / name for name in names]


def pickled(names: list[str]) -> list[str]:
    """Of the given file names, those that are never served: one such ending is enough, as in `model.pkl.gz`."""
    return sorted(name for name in names if any(f".{part}" in PICKLES for part in Path(name).name.lower().split(".")[1:]))


def pickled_weights(names: list[str]) -> list[str]:
    """Of these, those of weights: without what a trainer leaves beside them, and without lists of shards."""
    return [name for name in pickled(names) if "training_args" not in name and not name.endswith(".json")]


class Weights:
    """Tensors by name, as float32. Raises PackagingError for a damaged file, and for a tensor that is missing or of another kind."""

    def __init__(self, files: list[Path]) -> None:
        self._where: dict[str, _Place] = {}
        for file in files:
            self._where.update(_contents(file))

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def names(self) -> list[str]:
        return sorted(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._find(name)[2]

    def dtype(self, name: str) -> str:
        """As safetensors calls it: F32, F16, BF16, I8, …"""
        return self._find(name)[1]

    def get(self, name: str) -> Array:
        """A read-only float32 array: a view of the file where the file is float32, else an upcast copy."""
        file, dtype, shape, start, end = self._find(name)
        if dtype not in ("F32", "F16", "BF16"):
            raise PackagingError(f"{file}: tensor {name!r} is {dtype}; F32, F16 and BF16 are served. Save the model unquantised.")
        if start == end:
            return np.zeros(shape, np.float32)
        raw = np.memmap(file, np.uint8, "r", offset=start, shape=(end - start,))
        if dtype == "F32":
            return raw.view("<f4").reshape(shape)
        if dtype == "F16":
            return raw.view("<f2").astype(np.float32).reshape(shape)
        # bfloat16 is the upper half of a float32.
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)

    def write_single(self, path: Path) -> None:
        """Write all tensors, as they are, into one safetensors file, in name order."""
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in self.names():
            _, dtype, shape, first, last = self._where[name]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + last - first]}
            end += last - first
        text = json.dumps(header, separators=(",", ":")).encode()
        # The format wants the data aligned to 8 bytes; spaces may fill the header up.
        text += b" " * (-len(text) % 8)
        with path.open("wb") as target:
            target.write(struct.pack("<Q", len(text)) + text)
            for name in self.names():
                file, _, _, first, last = self._where[name]
                with file.open("rb") as origin:
                    origin.seek(first)
                    for start in range(first, last, COPY_BYTES):
                        target.write(origin.read(min(COPY_BYTES, last - start)))

    def _find(self, name: str) -> _Place:
        try:
            return self._where[name]
        except KeyError:
            raise PackagingError(
                f"The weights have no tensor {name!r}: they don't belong to the architecture that config.json names."
            ) from None


def _contents(file: Path) -> dict[str, _Place]:
    try:
        # The library checks the header against the file's size: bounds, overlaps and a cut-off end are found here.
        with safe_open(file, "np"):
            pass
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(length))
    except (SafetensorError, ValueError, struct.error) as error:
        raise PackagingError(f"{file} is damaged or no safetensors file ({error}): get the model again.") from error
    base = 8 + length
    return {
        name: (file, entry["dtype"], tuple(entry["shape"]), base + entry["data_offsets"][0], base + entry["data_offsets"][1])
        for name, entry in header.items()
        if name != "__metadata__"
    }
