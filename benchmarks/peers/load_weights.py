"""Weights to the CPU by one loader, in a process of its own: LOADER FILE → a JSON line with the seconds and a sum over every page.

Libraries are imported before the clock starts; it stops when a byte of every page of every tensor was read.
"""

import json
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

_PAGE, _BLOCK = 4096, 16 << 20
# Of the file (loader.py).
TENSORS = 242
Touched = dict[str, int]


def touched(tensors: Iterable[tuple[str, torch.Tensor]]) -> Touched:
    """A sum of a byte of every page of each tensor, by its name. By NumPy, which takes half of what torch does for a short one: it is no
    loader's time."""
    return {name: _sum(tensor.reshape(-1).view(torch.uint8)) for name, tensor in tensors}


def _sum(pages: torch.Tensor) -> int:
    return int(np.add.reduce(pages.numpy()[::_PAGE], dtype=np.int64))


def ours(path: Path) -> Touched:
    from handlers.engines import weights

    weights.read_ahead(path, weights.LOCAL)
    return touched(weights.load(path, torch.device("cpu")).items())


def safetensors(path: Path) -> Touched:
    from safetensors.torch import load_file

    return touched(load_file(path).items())


def fastsafetensors(path: Path) -> Touched:
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    loader = SafeTensorsFileLoader(SingleGroup(), "cpu", nogds=True)
    loader.add_filenames({0: [str(path)]})
    buffers = loader.copy_files_to_device()
    try:
        return touched((name, buffers.get_tensor(name)) for name in loader.get_keys())
    finally:
        buffers.close()
        loader.close()


def runai(path: Path) -> Touched:
    from runai_model_streamer import SafetensorsStreamer

    with SafetensorsStreamer() as streamer:
        streamer.stream_file(str(path))
        return touched(streamer.get_tensors())


def plain_map(path: Path) -> Touched:
    """The floor with a warm cache: no tensors, a byte of every page of the map."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
        pages = torch.frombuffer(mapped, dtype=torch.uint8)
        total = _sum(pages)
        del pages
    return {"": total}


def map_in_pieces(path: Path) -> Touched:
    """The same by as many sums as there are tensors, which take time of their own that is no loader's."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
        pages = torch.frombuffer(mapped, dtype=torch.uint8)
        found = touched((str(number), piece) for number, piece in enumerate(pages.tensor_split(TENSORS)))
        del pages
    return found


def direct_read(path: Path) -> Touched:
    """The floor with a cold cache: blocks past the page cache, as `dd iflag=direct` reads them."""
    block, read = mmap.mmap(-1, _BLOCK), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        while (count := os.preadv(descriptor, [block], read)) > 0:
            read += count
    finally:
        os.close(descriptor)
    return {"": read}


LOADERS: dict[str, Callable[[Path], Touched]] = {
    "ours": ours,
    "safetensors": safetensors,
    "fastsafetensors": fastsafetensors,
    "runai-model-streamer": runai,
    "plain-map": plain_map,
    "map-in-pieces": map_in_pieces,
    "direct-read": direct_read,
}


def imported(name: str) -> None:
    """What the loader needs, outside of its time."""
    {
        "ours": lambda: __import__("handlers.engines.weights", fromlist=["weights"]) and __import__("handlers.engines.cpu_weights"),
        "safetensors": lambda: __import__("safetensors.torch"),
        "fastsafetensors": lambda: __import__("fastsafetensors"),
        "runai-model-streamer": lambda: __import__("runai_model_streamer"),
    }.get(name, lambda: None)()


if __name__ == "__main__":
    loader, file = sys.argv[1], Path(sys.argv[2])
    # All of them with as many, whatever a loader leaves to torch.
    torch.set_num_threads(1)
    imported(loader)
    started = time.perf_counter()
    found = LOADERS[loader](file)
    print(json.dumps({"seconds": time.perf_counter() - started, "touched": found}))
