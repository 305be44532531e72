"""Weights in safetensors: one way to load them, whatever tier they come from, after what makes each tier quick.

Whatever was fetched lies in memory or in the page cache, and to map it copies nothing (`python -m benchmarks loader` has those that do
beside it); for a GPU it is copied there once (`gpu_weights.py`). What lies on a disk is read ahead, in order, while libraries are imported
and before a page of it is touched; over a network a page that is touched is a call, so there several threads read ahead. What is in memory
is left alone.
"""

import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LOCAL, VOLUME, STORE = "local", "volume", "store"
_BLOCK, _READERS = 16 << 20, 4
_MOUNTS = Path("/proc/self/mountinfo")
# proc(5) has the type of each mount behind " - ". Cloud Storage as a volume is FUSE, Azure Files SMB or NFS, EFS NFS.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "virtiofs")


def tier(folder: Path) -> str:
    """`volume` for what another machine holds, else `local`."""
    try:
        mounts = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return LOCAL
    place, found, kind = str(folder.resolve()), -1, ""
    for line in mounts:
        own, _, rest = line.partition(" - ")
        # proc(5): a blank, a tab, a line's end and a backslash are told by their octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), own.split(" ")[4])
        # The last of equal ones hides the others.
        if len(point) >= found and (place == point or place.startswith(point.rstrip("/") + "/")):
            found, kind = len(point), rest.split()[0]
    return VOLUME if kind in _NETWORK or kind == "fuse" or kind.startswith("fuse.") else LOCAL


def read_ahead(path: Path, held_by: str) -> None:
    """Begin to bring a file into the page cache, and return. What can't be read is for whoever opens it to tell."""
    if held_by == STORE or not hasattr(os, "RWF_NOWAIT"):
        return  # fetched a moment ago, or not Linux
    # Looked at here: a thread that has nothing to read would only take turns with whoever loads.
    absent = _absent(path)
    readers, bring = (_READERS, _read) if held_by == VOLUME else (1, _advise)
    for number in range(min(readers, len(absent))):
        threading.Thread(target=bring, args=(path, absent[number::readers]), name="model-ahead", daemon=True).start()


def load(path: Path, device: "torch.device") -> "dict[str, torch.Tensor]":
    """The tensors by their names, mapped where they lie, or in the GPU's memory.

    Raises OSError, SafetensorError, torch.OutOfMemoryError.
    """
    if device.type == "cuda":  # the module that names it imports torch
        from handlers.engines import gpu_weights

        return gpu_weights.load(path, device)
    from handlers.engines import cpu_weights

    return cpu_weights.load(path)


def _advise(path: Path, blocks: Sequence[int]) -> None:
    """The kernel reads what is not there yet, and is asked in pieces: of a whole file it takes no more than its own window."""
    try:
        with path.open("rb", buffering=0) as file:
            for start in blocks:
                os.posix_fadvise(file.fileno(), start, _BLOCK, os.POSIX_FADV_WILLNEED)
    except OSError:
        return


def _read(path: Path, blocks: Sequence[int]) -> None:
    """Each into the same memory: only the page cache keeps them."""
    block = bytearray(_BLOCK)
    try:
        with path.open("rb", buffering=0) as file:
            for start in blocks:
                os.preadv(file.fileno(), [block], start)
    except OSError:
        return


def _absent(path: Path) -> list[int]:
    """Where blocks begin of which the first page, or the one behind them, is not in memory: to ask for what is there costs a tenth of what
    loading does."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            edges = [*range(0, size, _BLOCK), size - 1]
            there = [_is_there(file.fileno(), edge) for edge in edges]
    except OSError:
        return []
    return [start for start, begins, ends in zip(edges, there, there[1:], strict=False) if not (begins and ends)]


def _is_there(descriptor: int, place: int) -> bool:
    """Whether a byte can be had without the disk or the network (preadv2(2)); not where the system does not tell."""
    try:
        return os.preadv(descriptor, [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except OSError:
        return False
