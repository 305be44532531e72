"""Pickles among the files of a model of one's own, whatever they are called and packed in: they run code when they are opened."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

from pilotlight.packaging.tensors import pickled

_Readable = IO[bytes] | gzip.GzipFile
_GZIP = b"\x1f\x8b\x08"
_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def holds_pickle(path: Path) -> bool:
    """Whether a file is one by how it begins (protocols 2 to 5), an array of NumPy's that holds Python objects or hides what it holds, or
    has such a file in it: zip (`.npz` is one), gzip and
    tar are looked into, one in another is not but for `.tar.gz`."""
    with path.open("rb") as file:
        try:
            return _is_pickle(file) or any(pickled([name]) or _is_pickle(inside) for name, inside in _inside(file))
        except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError):
            # Cut off, locked or packed in a way that is not known here: what it holds is not seen.
            return True


def _is_pickle(file: _Readable) -> bool:
    start = file.read(len(npy.MAGIC_PREFIX))
    if start != npy.MAGIC_PREFIX:
        return start[:2] in _PROTOCOLS
    file.seek(0)
    try:
        # The versions after the first differ in how the names of fields are read.
        read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
        return bool(read(file)[2].hasobject)
    except ValueError:
        return True


def _inside(file: _Readable) -> Iterator[tuple[str, _Readable]]:
    """What it packs, by names."""
    file.seek(0)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            for name in packed.namelist():
                with packed.open(name) as member:
                    yield name, member
        return
    file.seek(0)
    if file.read(len(_GZIP)) != _GZIP:
        yield from _in_tar(file)
        return
    file.seek(0)
    with gzip.open(file) as packed:
        yield "", packed
        yield from _in_tar(packed)


def _in_tar(file: _Readable) -> Iterator[tuple[str, _Readable]]:
    """What it packs, nothing where it is no tar."""
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for entry in archive:
                if (content := archive.extractfile(entry)) is not None:
                    yield entry.name, content
    except tarfile.ReadError:
        return
