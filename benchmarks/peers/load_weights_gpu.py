"""Weights to the GPU by one loader, in a process of its own: LOADER FILE → a JSON line with the seconds and a sum over every tensor.

Libraries are imported and CUDA is begun before the clock starts; it stops when the GPU has every tensor.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

DEVICE = torch.device("cuda", 0)
Tensors = dict[str, torch.Tensor]


def ours(path: Path) -> Tensors:
    from handlers.engines import weights

    weights.read_ahead(path, weights.LOCAL)
    return weights.load(path, DEVICE)


def safetensors(path: Path) -> Tensors:
    from safetensors.torch import load_file

    return load_file(path, device=str(DEVICE))


def map_and_copy(path: Path) -> Tensors:
    """What most do: mapped on the CPU, then each tensor to the GPU."""
    from safetensors.torch import load_file

    return {name: tensor.to(DEVICE) for name, tensor in load_file(path).items()}


def fastsafetensors(path: Path) -> Tensors:
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    loader = SafeTensorsFileLoader(SingleGroup(), str(DEVICE), nogds=True)
    loader.add_filenames({0: [str(path)]})
    # Tensors lie in the buffers, which live as long as this process.
    buffers = loader.copy_files_to_device()
    _KEPT.append((loader, buffers))
    return {name: buffers.get_tensor(name) for name in loader.get_keys()}


def runai(path: Path) -> Tensors:
    from runai_model_streamer import SafetensorsStreamer

    with SafetensorsStreamer() as streamer:
        streamer.stream_file(str(path))
        return {name: tensor.to(DEVICE) for name, tensor in streamer.get_tensors()}


def instanttensor(path: Path) -> Tensors:
    from instanttensor import safe_open

    with safe_open(str(path), framework="pt", device=0) as file:
        return dict(file.tensors())


_KEPT: list[object] = []
LOADERS: dict[str, Callable[[Path], Tensors]] = {
    "ours": ours,
    "safetensors": safetensors,
    "map-and-copy": map_and_copy,
    "fastsafetensors": fastsafetensors,
    "runai-model-streamer": runai,
    "instanttensor": instanttensor,
}
IMPORTS = {
    "ours": ("handlers.engines.weights", "handlers.engines.gpu_weights"),
    "fastsafetensors": ("fastsafetensors",),
    "runai-model-streamer": ("runai_model_streamer",),
    "instanttensor": ("instanttensor",),
}


def _direct(path: Path) -> float:
    """Seconds of the floor with a cold cache (load_weights.py)."""
    from benchmarks.peers.load_weights import direct_read

    started = time.perf_counter()
    direct_read(path)
    return time.perf_counter() - started


def _pinned(path: Path) -> float:
    """Seconds of the floor with a warm cache: as many bytes to the GPU out of memory that is pinned, and filled, already."""
    size = path.stat().st_size
    source, target = (torch.empty(size, dtype=torch.uint8, **where) for where in ({"pin_memory": True}, {"device": DEVICE}))
    source.fill_(1)
    torch.cuda.synchronize()
    started = time.perf_counter()
    target.copy_(source, non_blocking=True)
    torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    loader, file = sys.argv[1], Path(sys.argv[2])
    for module in ("safetensors.torch", *IMPORTS.get(loader, ())):
        __import__(module)
    torch.zeros(1, device=DEVICE)
    torch.cuda.synchronize()
    floors = {"direct-read": _direct, "pinned-copy": _pinned}
    if loader in floors:
        print(json.dumps({"seconds": floors[loader](file), "touched": {}}))
    else:
        started = time.perf_counter()
        tensors = LOADERS[loader](file)
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        sums = {name: int(tensor.reshape(-1).view(torch.int32).sum(dtype=torch.int64)) for name, tensor in tensors.items()}
        print(json.dumps({"seconds": seconds, "touched": sums}))
