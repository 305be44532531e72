"""Weights in safetensors straight into a GPU's memory.

Several threads read the file, each into memory of its own that is pinned, and the GPU fetches a block from there while the next one is
read: the file is in nobody's memory as a whole. What is mapped, in contrast, the driver must copy into pinned memory of its own first, in
one thread, and page after page is touched (`python -m benchmarks loader-gpu`).
"""

import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handlers.engines.safetensors_file import places

# Kernels read 16 bytes at a time, and CUDA's own allocations begin at such places (CUDA C++ programming guide, device memory accesses).
_ALIGNED = 256
# 1.7 GB to an H100 with 16 cores, without the time to pin memory: one thread took 0.35 s, two 0.17, four 0.09, eight 0.08. Pinning takes
# some 0.04 s once, more for larger blocks; torch keeps those 64 MB pinned.
_READERS, _BLOCK, _BUFFERS = 4, 8 << 20, 2


@dataclass(frozen=True, slots=True)
class _Part:
    """A tensor: where its bytes are in the file, where they go in the GPU's memory."""

    name: str
    dtype: torch.dtype
    shape: Sequence[int]
    start: int
    end: int
    place: int


def load(path: Path, device: torch.device) -> dict[str, Tensor]:
    """The tensors of numbers with a point by their names, all in one allocation; others are left out, nothing computes with them.

    Raises OSError, SafetensorError, torch.OutOfMemoryError.
    """
    parts, size = _parts(path)
    memory = torch.empty(size, dtype=torch.uint8, device=device)
    blocks = _Blocks([(part.start, part.end) for part in parts])
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(_READERS, thread_name_prefix="model-gpu") as readers:
        tasks = [readers.submit(_read, file.fileno(), blocks, parts, memory) for _ in range(_READERS)]
        for task in tasks:
            task.result()
    return {part.name: memory[part.place : part.place + part.end - part.start].view(part.dtype).view(part.shape) for part in parts}


def _parts(path: Path) -> tuple[list[_Part], int]:
    """What the file has, by its place there, and the bytes that it takes."""
    parts: list[_Part] = []
    place = 0
    for name, dtype, shape, start, end in places(path):
        if dtype is None or not dtype.is_floating_point:
            continue
        parts.append(_Part(name, dtype, shape, start, end, place))
        place += -(-(end - start) // _ALIGNED) * _ALIGNED
    return parts, place


class _Blocks:
    """What is left to read, handed out in order."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._left, self._lock = self._of(ranges), threading.Lock()

    def take(self) -> tuple[int, int] | None:
        """The next block's beginning and end, None when all are taken."""
        with self._lock:
            return next(self._left, None)

    def stop(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._left = iter(())

    def _of(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        if ranges:
            first, last = ranges[0][0], ranges[-1][1]
            yield from ((start, min(start + _BLOCK, last)) for start in range(first, last, _BLOCK))


def _read(descriptor: int, blocks: _Blocks, parts: Sequence[_Part], memory: Tensor) -> None:
    """Read blocks, and have them fetched, until there is none."""
    stream = torch.cuda.Stream(memory.device)
    try:
        with torch.cuda.stream(stream):
            pinned = [torch.empty(_BLOCK, dtype=torch.uint8, pin_memory=True) for _ in range(_BUFFERS)]
            fetched = [torch.cuda.Event() for _ in range(_BUFFERS)]
            turn = 0
            while (block := blocks.take()) is not None:
                fetched[turn].synchronize()
                _fill(descriptor, pinned[turn].numpy(), *block)
                _send(pinned[turn], block, parts, memory)
                fetched[turn].record(stream)
                turn = (turn + 1) % _BUFFERS
            stream.synchronize()
    except BaseException:
        blocks.stop()
        raise


def _fill(descriptor: int, buffer: Any, start: int, end: int) -> None:
    view = memoryview(buffer)[: end - start]
    while view:
        read = os.preadv(descriptor, [view], start)
        if not read:
            raise OSError(f"it ends at byte {start}, before its last weight does")
        view, start = view[read:], start + read


def _send(block: Tensor, place: tuple[int, int], parts: Sequence[_Part], memory: Tensor) -> None:
    """The bytes of a block to each tensor that has some there."""
    start, end = place
    for part in parts[_first(parts, start) :]:
        if part.start >= end:
            return
        low, high = max(part.start, start), min(part.end, end)
        target = part.place + low - part.start
        memory[target : target + high - low].copy_(block[low - start : high - start], non_blocking=True)


def _first(parts: Sequence[_Part], start: int) -> int:
    """The first part that ends behind a place."""
    return bisect_right(parts, start, key=lambda part: part.end)
