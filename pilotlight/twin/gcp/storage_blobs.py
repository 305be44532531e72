"""The bytes of objects: files below one folder, each written once, under a name that nothing else ever has.

A file is whole before anything names it, and is removed after nothing does: what a killed process leaves is a file without an owner,
which `sweep` finds at the next start.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import google_crc32c

# What is written or hashed at once in the loop; more goes to a thread.
BLOCK = 1 << 20
# It has annotations for some of its functions only.
_crc32c: Any = google_crc32c


class Blobs:
    """Files by name; `folder` is made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        return self._folder / name

    def new(self) -> str:
        """The name of a file that is empty."""
        name = self.name()
        self.path(name).touch()
        return name

    def name(self) -> str:
        """That of a file which `append` makes."""
        return uuid.uuid4().hex

    def linked(self, name: str) -> str:
        """The same bytes under another name; they are stored once."""
        other = uuid.uuid4().hex
        os.link(self.path(name), self.path(other))
        return other

    async def copied(self, source: Path) -> str:
        """The bytes of a file that is not ours."""
        name = uuid.uuid4().hex
        await asyncio.to_thread(shutil.copyfile, source, self.path(name))
        return name

    async def append(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Write what comes to the file's end, made where there is none; its size in bytes. What came before `chunks` raises is written."""
        with self.path(name).open("ab") as file:
            waiting = bytearray()
            try:
                async for chunk in chunks:
                    waiting += chunk
                    if len(waiting) >= BLOCK:
                        await asyncio.to_thread(file.write, bytes(waiting))
                        waiting.clear()
            finally:
                file.write(waiting)
            return file.tell()

    def size(self, name: str) -> int:
        return self.path(name).stat().st_size

    def cut(self, name: str, unit: int) -> int:
        """Keep as many whole units as the file has; its size in bytes then."""
        size = self.size(name) // unit * unit
        os.truncate(self.path(name), size)
        return size

    async def hashes(self, name: str) -> dict[str, str]:
        """`md5Hash` and `crc32c` as Cloud Storage writes them."""
        if self.size(name) <= BLOCK:
            return hashes(self.path(name))
        return await asyncio.to_thread(hashes, self.path(name))

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, owned: Collection[str]) -> None:
        """Remove every file that is not `owned`."""
        self.remove(file.name for file in self._folder.iterdir() if file.name not in owned)


def hashes(source: Path | bytes) -> dict[str, str]:
    """`md5Hash` and `crc32c` of a file or of bytes, in base64."""
    md5, crc = hashlib.md5(usedforsecurity=False), _crc32c.Checksum()
    for block in [source] if isinstance(source, bytes) else _blocks(source):
        md5.update(block)
        crc.update(block)
    return {"md5Hash": base64.b64encode(md5.digest()).decode(), "crc32c": base64.b64encode(crc.digest()).decode()}


def mismatch(found: Mapping[str, str], said: Mapping[str, Any]) -> str | None:
    """What is wrong with the hashes that an uploader gave along; None where they are right, or absent."""
    for name, what in (("md5Hash", "MD5 hash"), ("crc32c", "CRC32C")):
        if said.get(name) and said[name] != found[name]:
            return f'Provided {what} "{said[name]}" doesn\'t match calculated {what} "{found[name]}".'
    return None


def _blocks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
