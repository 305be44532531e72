"""The hash of a build context as the docker-build provider computes it, so that its diffs are the same."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pilotlight.twin.context import Ignore


class _Pruning(Ignore):
    """Also tells which folders need no look: without that, a walk reads every file of an environment it ignores."""

    def prunes(self, folder: str) -> bool:
        """Whether the folder is ignored and no exception begins below it (BuildKit's own rule)."""
        return self(folder) and not any(
            pattern.exclusion and f"{pattern.cleaned_pattern}/".startswith(f"{folder}/") for pattern in self._patterns
        )


def context_hash(context: Path, dockerfile: Path, named: Mapping[str, str | Path] | None = None) -> str:
    """Sha256 (hex) over the Dockerfile, then content, path and mode of every file that is not ignored, then named contexts by name.

    Times and owners do not count; permission bits do. Named contexts that are no folder here (URLs, images) do not count.
    """
    digest = hashlib.sha256(dockerfile.read_bytes())
    ignore = _Pruning(context, dockerfile)
    for base in (context, *(Path(named[name]) for name in sorted(named or {}) if named)):
        if base.is_dir():
            for relative, mode in _walk(base, "", ignore):
                _add(digest, base / relative, relative, mode)
    return digest.hexdigest()


def _walk(base: Path, below: str, ignore: _Pruning) -> Iterator[tuple[str, int]]:
    """(path, mode) of files and links, names sorted folder by folder."""
    for name in sorted(os.listdir(base / below)):
        relative = f"{below}/{name}" if below else name
        mode = (base / relative).lstat().st_mode
        if stat.S_ISDIR(mode):
            if not ignore.prunes(relative):
                yield from _walk(base, relative, ignore)
        elif (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) and not ignore(relative):
            yield relative, mode


def _add(digest: hashlib._Hash, path: Path, relative: str, mode: int) -> None:
    if path.is_dir():
        return
    with path.open("rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    digest.update(relative.encode())
    digest.update(_go_mode(mode).encode())


def _go_mode(mode: int) -> str:
    """`-rw-r--r--`; a link begins with L where Python writes l."""
    text = stat.filemode(mode)
    return f"L{text[1:]}" if text[0] == "l" else text
