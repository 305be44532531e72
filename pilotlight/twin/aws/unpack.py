"""Unpack archives of others without being led outside the folder, once per content."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock


class BadArchive(ValueError):
    """An archive that is broken, too large when unpacked, or reaches outside its folder."""


def sha256_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def unpack_once(archive: Path, place: Path, *, limit: int, unpack: Callable[[Path, Path, int], None]) -> None:
    """Unpack to `place` unless it is there. Written beside it and renamed, so that an interrupted run leaves nothing that counts."""
    if place.is_dir():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.parent / f".{place.name}.lock"):
        if place.is_dir():
            return
        draft = place.with_name(f".{place.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            unpack(archive, draft, limit)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise BadArchive(f"{error}") from error
        except BadArchive:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        draft.rename(place)


def prune(folder: Path, *, older_than_s: float, keep: Collection[str]) -> None:
    """Remove what was unpacked there, but for the names in `keep` and what was touched within `older_than_s` seconds."""
    for place in folder.glob("[0-9a-f]*") if folder.is_dir() else ():
        if place.name not in keep and time.time() - place.stat().st_mtime > older_than_s:
            shutil.rmtree(place, ignore_errors=True)


def unzip(archive: Path, folder: Path, limit: int) -> None:
    """All members, readable for every user. BadArchive above `limit` bytes."""
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        if (size := sum(member.file_size for member in members)) > limit:
            raise BadArchive(f"Unzipped size must be smaller than {limit} bytes, and it is {size}")
        for member in members:
            written = Path(opened.extract(member, folder))
            bits = member.external_attr >> 16 & 0o777
            written.chmod(0o755 if member.is_dir() else bits | 0o444)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


def untar(archive: Path, folder: Path, limit: int) -> None:
    """All members of a `.tar.gz`; links that lead outside, devices and set-uid bits are refused. BadArchive above `limit` bytes."""
    size = 0

    def judged(member: tarfile.TarInfo, destination: str) -> tarfile.TarInfo | None:
        nonlocal size
        size += member.size
        if size > limit:
            raise BadArchive(f"the unpacked files exceed {limit} bytes")
        kept = tarfile.data_filter(member, destination)
        return kept.replace(mode=0o755 if kept.isdir() else (kept.mode or 0) | 0o444)

    with tarfile.open(archive, "r:gz") as opened:
        opened.extractall(folder, filter=judged)  # noqa: S202 (judged by the data filter)
