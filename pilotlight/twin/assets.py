"""Assets and archives of the program as files of this machine, which is what the hooks of a row get."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import ARCHIVE, SIGNATURE, is_asset

_ARCHIVE_SUFFIXES = (".zip", ".jar", ".tar", ".tgz", ".tar.gz")
# The earliest date a zip can hold: an archive's bytes must not depend on when it was made.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def resolve(value: Any, folder: Path, cache: Path) -> Any:
    """The value with every asset's `path` an absolute path of a file: the asset itself, or the archive as one zip.

    Relative paths are relative to `folder`, the program's. Texts and folders are written below `cache`, named by their hash.
    Raises Refusal for a missing file and for a remote asset.
    """
    if is_asset(value):
        return {**value, "path": str(_file(value, folder, cache))}
    if isinstance(value, Mapping):
        return {key: resolve(item, folder, cache) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, folder, cache) for item in value]
    return value


def _file(asset: Mapping[str, Any], folder: Path, cache: Path) -> Path:
    if "uri" in asset:
        raise Refusal("RemoteAsset", f"The twin fetches nothing from {asset['uri']}: use a file or a folder of this machine.")
    if asset[SIGNATURE] == ARCHIVE:
        return _archive(asset, folder, cache)
    if "text" in asset:
        return _cached(cache, str(asset["text"]).encode())
    return _existing(folder / str(asset.get("path", "")))


def _archive(asset: Mapping[str, Any], folder: Path, cache: Path) -> Path:
    if "assets" in asset:
        return _zip(cache, _members(asset["assets"], folder, cache))
    path = folder / str(asset.get("path", ""))
    if path.is_dir():
        return _zip(cache, _tree(path, ""))
    if not path.name.endswith(_ARCHIVE_SUFFIXES):
        raise Refusal("InvalidArchive", f"{path} is not an archive: use a folder or a file that ends in {', '.join(_ARCHIVE_SUFFIXES)}.")
    return _existing(path)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise Refusal("MissingFile", f"There is no file {path}: it was there when the program ran; bring it back and run again.")
    return Path(os.path.abspath(path))


def _members(assets: Mapping[str, Any], folder: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    for name, item in sorted(assets.items()):
        path = folder / str(item.get("path", ""))
        if item[SIGNATURE] == ARCHIVE and "assets" in item:
            yield from ((f"{name}/{below}", file) for below, file in _members(item["assets"], folder, cache))
        elif item[SIGNATURE] == ARCHIVE and path.is_dir():
            yield from _tree(path, f"{name}/")
        else:
            yield name, _file(item, folder, cache)


def _tree(root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for place, names, files in os.walk(root):
        names.sort()
        for file in sorted(files):
            path = Path(place, file)
            yield prefix + path.relative_to(root).as_posix(), path


def _cached(cache: Path, content: bytes) -> Path:
    target = cache / hashlib.sha256(content).hexdigest()
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _publish(target, lambda draft: draft.write_bytes(content))
    return target


def _zip(cache: Path, members: Iterator[tuple[str, Path]]) -> Path:
    """One zip per content; members keep their permission bits and nothing else of the file system."""
    listed = list(members)
    digest = hashlib.sha256()
    for name, file in listed:
        with file.open("rb") as source:
            digest.update(f"{name}\0{file.stat().st_mode:o}\0{hashlib.file_digest(source, 'sha256').hexdigest()}\n".encode())
    target = cache / f"{digest.hexdigest()}.zip"

    def write(draft: Path) -> None:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, file in listed:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr = file.stat().st_mode << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, file.read_bytes())

    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _publish(target, write)
    return target


def _publish(target: Path, write: Any) -> None:
    """Write beside the place and rename, so that a killed run leaves nothing that counts."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        write(draft)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
