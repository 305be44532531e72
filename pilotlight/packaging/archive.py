"""Archives whose bytes depend on their content alone: no times, no owners, no folder order, no compressor's version."""

import hashlib
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

# The largest stored block of DEFLATE (RFC 1951, 3.2.4).
BLOCK = 65535
COPY = 1 << 20
FILE_MODE = 0o644
# The earliest time that a zip can carry.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class StoredGzip:
    """A writable gzip stream (RFC 1952) of stored blocks, with the sha256 and the size of what it wrote.

    Trained float weights shrink by 7 % for seconds of packing and, worse, of unpacking in every cold start; and a compressor's
    bytes change with its version (zlib, zlib-ng), which would deploy equal models anew. Stored blocks have neither fault.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = b""
        self._crc = 0
        self._length = 0
        self._digest = hashlib.sha256()
        self.size = 0
        # Magic, deflate, no flags, no time, no hint, unknown system.
        self._emit(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)
        waiting = self._pending + data
        whole = len(waiting) - len(waiting) % BLOCK
        for start in range(0, whole, BLOCK):
            self._block(waiting[start : start + BLOCK], last=False)
        self._pending = waiting[whole:]
        return len(data)

    def finish(self) -> str:
        """Write the end. Returns the sha256 of the whole stream, in hex."""
        self._block(self._pending, last=True)
        self._emit(struct.pack("<II", self._crc, self._length & 0xFFFFFFFF))
        return self._digest.hexdigest()

    def _block(self, data: bytes, *, last: bool) -> None:
        self._emit(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF))
        self._emit(data)

    def _emit(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)


def write_tar_gz(path: Path, members: Mapping[str, Path]) -> tuple[str, int]:
    """Write a gzipped tar of the named files, in name order. Returns its sha256 and its size in bytes."""
    with path.open("wb") as file:
        stream = StoredGzip(file)
        # Where a file is too large for ustar's fields, or its name is, a header of its own says so; others have the bytes of ustar.
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="w|", bufsize=COPY, format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(members):
                info = tarfile.TarInfo(name)
                info.size = members[name].stat().st_size
                info.mode = FILE_MODE
                with members[name].open("rb") as content:
                    tar.addfile(info, content)
        digest = stream.finish()
    return digest, stream.size


def write_zip(path: Path, members: Mapping[str, Path]) -> tuple[str, int]:
    """Write an uncompressed zip of the named files, in name order; a file stays executable. Returns its sha256 and its size in bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, ZIP_EPOCH)
            info.create_system = 3
            executable = members[name].stat().st_mode & stat.S_IXUSR
            info.external_attr = (stat.S_IFREG | (0o755 if executable else FILE_MODE)) << 16
            archive.writestr(info, members[name].read_bytes())
    return file_sha256(path), path.stat().st_size


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
