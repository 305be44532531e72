"""Archives of models of engine torch, for what brings them: weights of some megabytes, and nothing that could be served."""

import hashlib
import json
import struct
from pathlib import Path

from handlers.engines.manifest import MANIFEST
from pilotlight.packaging.archive import write_tar_gz

WEIGHTS = "model.safetensors"


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
