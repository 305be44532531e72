"""Where a file of safetensors has what. safetensors itself proves the header, and that nothing lies outside the file or twice; it does not
tell where."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open

# By their names in the file. Of others, packed or of new kinds, safetensors knows what they are.
TYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Place(NamedTuple):
    """A tensor, whose bytes are from `start` to `end` of the file; `dtype` is None for one that TYPES has not."""

    name: str
    dtype: torch.dtype | None
    shape: Sequence[int]
    start: int
    end: int


def places(path: Path) -> list[Place]:
    """What the file has, in the order of its places. Raises OSError, SafetensorError."""
    with safe_open(path, framework="pt") as opened:
        names = list(opened.keys())
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    found, first = [], 8 + length
    for name in sorted(names, key=lambda name: header[name]["data_offsets"]):
        told = header[name]
        start, end = told["data_offsets"]
        found.append(Place(name, TYPES.get(told["dtype"]), told["shape"], first + start, first + end))
    return found
