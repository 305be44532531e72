"""Which files of a build context a Dockerfile's COPY takes, with the ignore file applied as Docker applies it."""

from __future__ import annotations

import compileall
import os
import posixpath
import py_compile
import shutil
from collections.abc import Iterator
from pathlib import Path

from docker.utils.build import PatternMatcher  # type: ignore[import-untyped]

from pilotlight.twin.dockerfile import Copy, DockerfileError


class Ignore:
    """`<Dockerfile>.dockerignore`, else `.dockerignore` in the context; the last pattern that matches a path or a parent decides."""

    def __init__(self, context: Path, dockerfile: Path) -> None:
        candidates = (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore")
        found = next((path for path in candidates if path.is_file()), None)
        lines = found.read_text(encoding="utf-8").splitlines() if found else []
        rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        self._patterns = PatternMatcher(rules).patterns

    def __call__(self, relative: str) -> bool:
        parts = relative.split("/")
        prefixes = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        ignored = False
        for pattern in self._patterns:
            if any(pattern.match(prefix) for prefix in prefixes):
                ignored = not pattern.exclusion
        return ignored


def _files(context: Path, source: str, ignore: Ignore, where: str) -> Iterator[tuple[Path, str]]:
    """(file, path below the source; "" for the source itself)."""
    relative = posixpath.normpath(source.lstrip("/") or ".")
    if relative.startswith(".."):
        raise DockerfileError(f"{where}: COPY {source} leaves the build context.")
    start = context / relative
    if start.is_file():
        if ignore(relative):
            raise DockerfileError(f"{where}: COPY {source}: the ignore file excludes it.")
        yield start, ""
        return
    if not start.is_dir():
        raise DockerfileError(f"{where}: COPY {source}: there is no such file or folder in the build context {context}.")
    for folder, names, files in os.walk(start):
        names.sort()
        for name in sorted(files):
            file = Path(folder, name)
            if not ignore(file.relative_to(context).as_posix()):
                yield file, file.relative_to(start).as_posix()


def copy_sources(context: Path, dockerfile: Path, copies: tuple[Copy, ...], root: Path) -> None:
    """Write what the COPY instructions take from the context below `root`, readable for every user. Raises DockerfileError."""
    ignore = Ignore(context, dockerfile)
    for copy in copies:
        if copy.stage is not None:
            continue
        where = f"{dockerfile.name}:{copy.line}"
        for source in copy.sources:
            for file, below in _files(context, source, ignore, where):
                if below:
                    target = posixpath.join(copy.target, below)
                else:
                    target = posixpath.join(copy.target, file.name) if copy.folder else copy.target
                _copy_file(file, root / target.lstrip("/"), copy.mode)


def _copy_file(source: Path, target: Path, mode: int | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod((mode if mode is not None else source.stat().st_mode & 0o777) | 0o444)


def compile_sources(root: Path) -> None:
    """Bytecode that needs no look at the source's date, since the image's files are read-only and never change."""
    compileall.compile_dir(root, quiet=2, stripdir=root, prependdir="/", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
