"""What an image adds to its base, as a registry stores it: the bytes of its layers above the base, each compressed with gzip."""

import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pilotlight.twin.dockerfile import resolve
from tests.images.engines import Engine

MB = 10**6
# The most that an image that the tests build may add, in MB: of the model server's the issue says so. The others have a third of room;
# what they carry is in every cold start of a function.
MOST_MB = {"cpu": 150, "function-azure": 10, "function-gcp": 35}
GZIP = b"\x1f\x8b"
# zlib's word for a gzip stream: its window of 15 bits, and 16 for gzip's header.
_GZIP_WINDOW, _CHUNK = 15 + 16, 1 << 20


def payload(engine: Engine, image: str, *, dockerfile: Path, target: str, scratch: Path) -> int:
    """Bytes above the base of the target. ValueError for an image that does not stand on that base.

    The base is asked of a build that is nothing else: with BuildKit it need not lie among the local images, and where a stand-in takes its
    place it is that.
    """
    (scratch / "Dockerfile").write_text(f"ARG BASE={resolve(dockerfile, target).base}\nFROM ${{BASE}}\n")
    base = engine.diff_ids(engine.build(scratch, dockerfile=scratch / "Dockerfile"))
    return above(base, engine.diff_ids(image), engine.pushed_bytes(image))


def above(base: Sequence[str], layers: Sequence[str], sizes: Sequence[int]) -> int:
    """Bytes of the layers that do not belong to the base, whose own must come first."""
    if not base or list(layers[: len(base)]) != list(base):
        raise ValueError(f"The image's layers do not begin with those of its base: {len(base)} of the base, {len(layers)} of the image.")
    if len(sizes) != len(layers):
        raise ValueError(f"{len(layers)} layers and {len(sizes)} sizes: the image was not pushed as it is.")
    return sum(sizes[len(base) :])


def oci_bytes(folder: Path) -> list[int]:
    """Sizes of the layers of the one image in an OCI layout, the lowest first. ValueError where one is not compressed with gzip."""
    [entry] = json.loads((folder / "index.json").read_text())["manifests"]
    layers = json.loads(_blob(folder, entry).read_text())["layers"]
    if plain := {layer["mediaType"] for layer in layers if not layer["mediaType"].endswith("gzip")}:
        raise ValueError(f"Layers of type {', '.join(sorted(plain))}: only those compressed with gzip tell what is pulled.")
    return [_blob(folder, layer).stat().st_size for layer in layers]


def _blob(folder: Path, described: Mapping[str, str]) -> Path:
    return folder / "blobs" / described["digest"].replace(":", "/")


def archive_bytes(archive: Path) -> list[int]:
    """Sizes of the layers of the one image in a `docker save` archive, the lowest first, compressed here where they are not yet."""
    with tarfile.open(archive) as tar:
        [image] = json.load(_member(tar, "manifest.json"))
        return [_compressed(_member(tar, name)) for name in image["Layers"]]


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    member = tar.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is no file in the archive.")
    return member


def _compressed(layer: IO[bytes]) -> int:
    """Docker's store has layers as plain tar files, containerd's as they were pulled and built."""
    if layer.read(2) == GZIP:
        return layer.seek(0, 2)
    layer.seek(0)
    packer = zlib.compressobj(wbits=_GZIP_WINDOW)
    size = 0
    while chunk := layer.read(_CHUNK):
        size += len(packer.compress(chunk))
    return size + len(packer.flush())
