"""Pickles among the files of a model of one's own, whatever they are called and packed in: they run code when they are opened."""

import bz2
import gzip
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from numpy.lib import format as npy

from pilotlight.packaging.tensors import pickled

# A compressed stream by how it begins, and what opens it.
_PACKED = ((re.compile(rb"\x1f\x8b\x08"), gzip.open), (re.compile(rb"BZh[1-9]1AY&SY"), bz2.open), (re.compile(rb"\xfd7zXZ\x00"), lzma.open))
_START = 16
_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def holds_pickle(path: Path) -> bool:
    """Whether a file is one by how it begins (protocols 2 to 5), an array of NumPy's that holds Python objects or hides what it holds, or
    has such a file in it: zip (`.npz` is one), tar, gzip, bzip2 and xz are looked into, one in another is not but for a compressed tar."""
    with path.open("rb") as file:
        try:
            return _is_pickle(file) or any(pickled([name]) or _is_pickle(inside) for name, inside in _inside(file))
        except Exception:  # noqa: BLE001  (each format has errors of its own)
            # Cut off, locked or packed in a way that is not known here: what it holds is not seen.
            return True


def _is_pickle(file: IO[bytes]) -> bool:
    start = file.read(len(npy.MAGIC_PREFIX))
    if start != npy.MAGIC_PREFIX:
        return start[:2] in _PROTOCOLS
    file.seek(0)
    # The versions after the first differ in how the names of fields are read.
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    return bool(read(file)[2].hasobject)


def _inside(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """What it packs, by names."""
    file.seek(0)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            for name in packed.namelist():
                with packed.open(name) as member:
                    yield name, member
    # That is told by a file's end, and by its beginning others read something else out of the same one.
    file.seek(0)
    start = file.read(_START)
    file.seek(0)
    opened: Any = next((opened for begins, opened in _PACKED if begins.match(start)), None)
    if opened is None:
        yield from _in_tar(file)
        return
    with opened(file) as content:
        yield "", content
        yield from _in_tar(content)


def _in_tar(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """What it packs, nothing where it is no tar."""
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for entry in archive:
                if (content := archive.extractfile(entry)) is not None:
                    yield entry.name, content
    except tarfile.ReadError:
        return
