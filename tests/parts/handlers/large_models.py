"""Models of engine torch for what brings them: weights of some megabytes, of many small parts, and nothing that could be served."""

import hashlib
import json
import struct
from pathlib import Path

import pytest

from handlers.engines import fetching, ranges, weights
from handlers.engines.fetching import Fetched
from handlers.engines.manifest import MANIFEST, read_manifest
from pilotlight.packaging.archive import write_tar_gz
from tests.parts.handlers.http_servers import Front

WEIGHTS = "model.safetensors"
PART = 1 << 20


def write_archive(folder: Path, size: int) -> Path:
    """`model.tar.gz` in the folder, with `size` bytes of weights, no two blocks of which are alike."""
    files = folder / "files"
    files.mkdir(parents=True)
    content = b"".join(hashlib.sha256(str(place).encode()).digest() for place in range(size // 32))
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(content)], "data_offsets": [0, len(content)]}}).encode()
    (files / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + content)
    for name in ("config.json", "tokenizer.json"):
        (files / name).write_text("{}")
    contents = {path.name: path.read_bytes() for path in files.iterdir()}
    records = {name: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)} for name, body in contents.items()}
    about = {"format": 1, "source": "here", "task": "feature-extraction", "engine": "torch", "architecture": "bert", "max_tokens": 8}
    (files / MANIFEST).write_text(json.dumps(about | {"files": records}))
    write_tar_gz(folder / "model.tar.gz", {path.name: path for path in files.iterdir()})
    return folder / "model.tar.gz"


def with_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a megabyte, so that a model of some has several."""
    monkeypatch.setattr(fetching, "PART", PART)
    monkeypatch.setattr(ranges.Ranges.__init__, "__kwdefaults__", {"part": PART, "at_once": 4})


def asked_ranges(front: Front, header: str = "range") -> list[str]:
    return [headers[header] for _, _, headers in front.seen if header in headers]


def parts_of(archive: Path) -> set[str]:
    """The ranges that are all of it."""
    size = archive.stat().st_size
    return {f"bytes={at}-{min(at + PART, size) - 1}" for at in range(0, size, PART)}


def assert_whole(fetched: Fetched, archive: Path) -> None:
    assert fetched.tier == weights.STORE
    assert (fetched.folder / WEIGHTS).read_bytes() == (archive.parent / "files" / WEIGHTS).read_bytes()
    records = read_manifest(fetched.folder).files
    assert {name: fetched.hashes[name] for name in records} == {name: record.sha256 for name, record in records.items()}
