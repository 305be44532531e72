"""Weights to a GPU: our loader beside safetensors, fastsafetensors, runai-model-streamer and InstantTensor.

As `loader.py` does it for the CPU: a file of 1.7 GB, a process each, in turns, with a warm and with a cold page cache. Needs an NVIDIA GPU.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.loader import BYTES, COLD, DIRECT, OURS, ROOT, WARM, loaded, seconds_of, warmed, write_file
from benchmarks.peers import environment
from benchmarks.picture import Bars
from benchmarks.record import BenchmarkError, machine, summary

SCRIPT = ROOT / "benchmarks/peers/load_weights_gpu.py"
PINNED = "pinned-copy"
PEERS = ("safetensors", "map-and-copy", "fastsafetensors", "runai-model-streamer", "instanttensor")
PACKAGES = ("torch", "safetensors", "fastsafetensors", "runai-model-streamer", "instanttensor")
ROUNDS, BUDGET_S = 3, 300.0


def measure(size: int = BYTES, rounds: int = ROUNDS, budget_s: float = BUDGET_S) -> Mapping[str, Any]:
    """The result: seconds of all, warm and cold, and what each peer takes of our time."""
    about, interpreter = machine() | {"gpu": gpu()}, environment.python("loader-gpu")
    cache = environment.cache()
    cache.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(cache).free) < 2 * size:
        raise BenchmarkError(f"{cache} has {free / 1e9:.1f} GB left: the file alone takes {size / 1e9:.1f}.")
    found: dict[tuple[str, str], list[float]] = {}
    errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-loader-", dir=cache) as folder:
        file = Path(folder) / "model.safetensors"
        write_file(file, size)
        expected, until = loaded(interpreter, SCRIPT, "map-and-copy", file)["touched"], time.monotonic() + budget_s
        turns = [(state, name) for name in (OURS, *PEERS) for state in (COLD, WARM)] + [(WARM, PINNED), (COLD, DIRECT)]
        for number in range(rounds):
            for state, name in turns:
                if name in errors:
                    continue
                checked = expected if name in (OURS, *PEERS) else None
                cold = state == COLD
                try:
                    if not cold:
                        warmed(file)
                    found.setdefault((name, state), []).append(seconds_of(interpreter, SCRIPT, name, file, checked, cold=cold))
                except BenchmarkError as error:
                    if name not in PEERS:
                        raise
                    errors[name] = str(error)
            print(f"  round {number + 1} of {rounds}: " + ", ".join(f"{n} {s} {a[-1]:.3f} s" for (n, s), a in found.items()), flush=True)
            if time.monotonic() > until:
                break
    return _told(about, interpreter, found, errors, size)


def gpu() -> str:
    """The GPU's name and driver. BenchmarkError where there is none."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"This needs an NVIDIA GPU and its driver: nvidia-smi: {error}") from error


def _told(
    about: Mapping[str, Any], interpreter: Path, found: Mapping[tuple[str, str], list[float]], errors: Mapping[str, str], size: int
) -> Mapping[str, Any]:
    rows: dict[str, dict[str, Any]] = {
        name: {state: summary(found[name, state], 4) for state in (WARM, COLD) if found.get((name, state))} for name in (OURS, *PEERS)
    }
    floors = {PINNED: summary(found[PINNED, WARM], 4), DIRECT: summary(found[DIRECT, COLD], 4)}
    mine = {state: rows[OURS][state]["median"] for state in (WARM, COLD)}
    whole = [name for name in PEERS if name not in errors]
    ratios = {name: {state: round(rows[name][state]["median"] / mine[state], 2) for state in (WARM, COLD)} for name in whole}
    seconds = {f"{name}, {state}": rows[name].get(state, {}).get("median") for state in (WARM, COLD) for name in rows}
    seconds |= {"copy of pinned memory": floors[PINNED]["median"], "direct read, cold": floors[DIRECT]["median"]}
    return {
        "headline": f"{size / 1e9:.1f} GB in {mine[WARM]} s warm ({mine[WARM] / floors[PINNED]['median']:.1f} times a copy of pinned "
        "memory), "
        f"{mine[COLD]} s cold ({mine[COLD] / floors[DIRECT]['median']:.2f} times a direct read); "
        + ", ".join(f"{name} takes {each[WARM]} and {each[COLD]} times as long" for name, each in ratios.items()),
        "machine": about,
        "method": f"seconds until the GPU has every tensor, {len(found[OURS, WARM])} rounds in turns, a process each, libraries imported "
        "and CUDA begun before; sums of all tensors are compared; cold: POSIX_FADV_DONTNEED, checked with mincore. No proof of the file's "
        "hash is in any of them",
        "versions": environment.versions(interpreter, *PACKAGES),
        "bytes": size,
        "ours": rows[OURS],
        "peers": {name: rows[name] | ({"error": errors[name]} if name in errors else {}) for name in PEERS},
        "floors": floors,
        # The smaller of both; greater means that ours is better.
        "ratio": {name: min(ratios[name].values()) if name in ratios else None for name in PEERS},
        "ratios": ratios,
        "picture": Bars(f"Seconds for {size / 1e9:.1f} GB of weights to a GPU (less is better)", "s", seconds),
    }
