"""Weights in safetensors where they lie: one map of the file, and a view of it for each tensor, with which nothing is copied."""

import mmap
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from handlers.engines.safetensors_file import places


def load(path: Path) -> dict[str, Tensor]:
    """The tensors by their names. What is written to one stays this process's own. Raises OSError, SafetensorError."""
    found = places(path)
    if any(place.dtype is None or place.start % place.dtype.itemsize for place in found):
        # Not by views of bytes.
        return load_file(path)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    weights = {}
    for name, dtype, shape, start, end in found:
        assert dtype is not None
        if start == end:
            weights[name] = torch.empty(shape, dtype=dtype)
        else:
            # The map is there for as long as one of them is.
            weights[name] = torch.frombuffer(mapped, dtype=dtype, count=(end - start) // dtype.itemsize, offset=start).view(shape)
    return weights
