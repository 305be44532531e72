"""What of a file the kernel holds in memory, and how to make it let go of that without a right that others lack."""

import ctypes
import mmap
import os
from pathlib import Path


def drop(path: Path) -> None:
    """Ask for a file's pages to be given up, which is done for clean pages that nobody maps (posix_fadvise(2), POSIX_FADV_DONTNEED)."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident(path: Path) -> float:
    """The share of a file that is in memory, 0 to 1 (mincore(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        pages = -(-len(mapped) // mmap.PAGESIZE)
        told = (ctypes.c_ubyte * pages)()
        first = ctypes.c_char.from_buffer(mapped)
        try:
            failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(mapped)), told)
        finally:
            del first  # else the map can't be closed
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
    return sum(page & 1 for page in bytes(told)) / pages
