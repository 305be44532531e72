"""Weights to the CPU, every page of them touched: our loader beside safetensors, fastsafetensors and runai-model-streamer.

A file of 1.7 GB is made on the spot and removed. Each load is a process of its own, with its libraries imported before the clock starts, in
turns. Cold means that the kernel was asked to give the file's pages up (posix_fadvise, POSIX_FADV_DONTNEED, which needs no right) and that
none was left (mincore).
"""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import page_cache
from benchmarks.peers import environment
from benchmarks.picture import Bars
from benchmarks.record import BenchmarkError, machine, summary

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks/peers/load_weights.py"
OURS, MAP, PIECES, DIRECT = "ours", "plain-map", "map-in-pieces", "direct-read"
PEERS = ("safetensors", "fastsafetensors", "runai-model-streamer")
WARM, COLD = "warm", "cold"
BYTES, TENSORS, ROUNDS, BUDGET_S, PATIENCE_S = 1_700_000_000, 242, 7, 380.0, 120
# Of issue 7: warm, within a tenth of a plain memory map; cold, so many times a plain direct read of the file.
MOST_OF_MAP, MOST_OF_DIRECT = 1.1, 1.2


def measure(size: int = BYTES, rounds: int = ROUNDS, budget_s: float = BUDGET_S) -> Mapping[str, Any]:
    """The result: seconds of all, warm and cold, and what each peer takes of our time."""
    about, interpreter = machine(), environment.python("loader")
    cache = environment.cache()
    if (free := shutil.disk_usage(cache).free) < 2 * size:
        raise BenchmarkError(f"{cache} has {free / 1e9:.1f} GB left: the file alone takes {size / 1e9:.1f}.")
    found: dict[tuple[str, str], list[float]] = {}
    errors: dict[str, str] = {}
    # On the disk that models lie on: a folder of the system's may be memory, which is never cold.
    with tempfile.TemporaryDirectory(prefix="bench-loader-", dir=cache) as folder:
        file = Path(folder) / "model.safetensors"
        write_file(file, size)
        expected, until = loaded(interpreter, SCRIPT, "safetensors", file)["touched"], time.monotonic() + budget_s
        for number in range(rounds):
            warmed(file)
            # The first user of these pages takes up to twenty times as long as the next.
            loaded(interpreter, SCRIPT, MAP, file)
            for state, name in _turns(number):
                if name in errors:
                    continue
                try:
                    checked = expected if name in (OURS, *PEERS) else None
                    cold = state == COLD
                    found.setdefault((name, state), []).append(seconds_of(interpreter, SCRIPT, name, file, checked, cold=cold))
                except BenchmarkError as error:
                    if name not in PEERS:
                        raise
                    errors[name] = str(error)
            print(
                f"  round {number + 1} of {rounds}: " + ", ".join(f"{n} {s} {all_[-1]:.2f} s" for (n, s), all_ in found.items()), flush=True
            )
            if time.monotonic() > until:
                break
    return _told(about, interpreter, found, errors, size)


def write_file(path: Path, size: int) -> None:
    """Tensors of float32, on the disk when this returns."""
    each = size // TENSORS // 4 * 4
    places = {f"layer.{number}.weight": [number * each, (number + 1) * each] for number in range(TENSORS)}
    tensors = {name: {"dtype": "F32", "shape": [each // 4], "data_offsets": place} for name, place in places.items()}
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _ in range(TENSORS):
            file.write(os.urandom(each))
        file.flush()
        os.fsync(file.fileno())


def _turns(number: int) -> list[tuple[str, str]]:
    """Of one round. The warm ones come first, all on the very same pages: how a file lies in memory differs each time that it is read.
    Those that copy it leave a system that is busy with their memory to whoever comes next."""
    mapping, copying = [OURS, "safetensors", MAP, PIECES], [name for name in PEERS if name != "safetensors"]
    first = number % len(mapping)
    warm = [*mapping[first:], *mapping[:first], *copying]
    return [(WARM, name) for name in warm] + [(COLD, name) for name in (OURS, *PEERS, DIRECT)]


def warmed(file: Path) -> None:
    """Read it anew, into pages that nobody has used."""
    page_cache.drop(file)
    with file.open("rb") as content:
        while content.read(1 << 24):
            pass


def seconds_of(interpreter: Path, script: Path, name: str, file: Path, expected: Any | None, *, cold: bool) -> float:
    """The seconds that one loader takes. BenchmarkError where it does not stand, or where its tensors are others than `expected`."""
    if cold:
        page_cache.drop(file)
        if (left := page_cache.resident(file)) > 0.001:
            raise BenchmarkError(
                f"{file.parent.parent} keeps {left:.0%} of a file in memory that nobody uses: there is no cold cache here."
            )
    found = loaded(interpreter, script, name, file)
    if expected is not None and found["touched"] != expected:
        raise BenchmarkError(f"{name} loaded other weights than safetensors.")
    return float(found["seconds"])


def loaded(interpreter: Path, script: Path, name: str, file: Path) -> dict[str, Any]:
    """What the script says of one load: `seconds`, and a sum by tensor under `touched`."""
    command = [str(interpreter), str(script), name, str(file)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(file.parent), "RUNAI_STREAMER_LOG_LEVEL": "ERROR"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{name} was not done within {PATIENCE_S} s.") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _told(
    about: Mapping[str, Any], interpreter: Path, found: Mapping[tuple[str, str], list[float]], errors: Mapping[str, str], size: int
) -> Mapping[str, Any]:
    rows: dict[str, dict[str, Any]] = {
        name: {state: summary(found[name, state], 5) for state in (WARM, COLD) if found.get((name, state))} for name in (OURS, *PEERS)
    }
    floors = {MAP: summary(found[MAP, WARM], 5), PIECES: summary(found[PIECES, WARM], 5), DIRECT: summary(found[DIRECT, COLD], 5)}
    mine = {state: rows[OURS][state]["median"] for state in (WARM, COLD)}
    of_pieces = mine[WARM] / floors[PIECES]["median"]
    of_map, of_direct = mine[WARM] / floors[MAP]["median"], mine[COLD] / floors[DIRECT]["median"]
    whole = [name for name in PEERS if name not in errors]
    ratios = {name: {state: round(rows[name][state]["median"] / mine[state], 2) for state in (WARM, COLD)} for name in whole}
    seconds = {f"{name}, {state}": rows[name].get(state, {}).get("median") for state in (WARM, COLD) for name in rows}
    seconds |= {"plain map, warm": floors[MAP]["median"], "in pieces, warm": floors[PIECES]["median"]}
    seconds |= {"direct read, cold": floors[DIRECT]["median"]}
    return {
        "headline": f"{size / 1e9:.1f} GB in {mine[WARM]:.4f} s warm ({of_map:.2f} times a plain map, {of_pieces:.2f} "
        f"times one that is read in as many pieces), {mine[COLD]:.3f} s cold ({of_direct:.2f} "
        "times a direct read); " + ", ".join(f"{name} takes {each[WARM]} and {each[COLD]} times as long" for name, each in ratios.items()),
        "machine": about,
        "method": f"seconds until one thread has read a byte of every page, {len(found[OURS, WARM])} rounds in turns, a process each, "
        "libraries imported before; warm: all of a round on the same pages, which one that is not counted has used; cold: "
        "POSIX_FADV_DONTNEED, checked with mincore. No proof of the file's hash is in any of them",
        "versions": environment.versions(interpreter, "torch", *PEERS),
        "bytes": size,
        "ours": rows[OURS],
        "peers": {name: rows[name] | ({"error": errors[name]} if name in errors else {}) for name in PEERS}
        | {"instanttensor": {"error": "only supports CUDA devices: see loader-gpu"}},
        "floors": floors,
        # The smaller of both; greater means that ours is better.
        "ratio": {name: min(ratios[name].values()) if name in ratios else None for name in PEERS},
        "ratios": ratios,
        "promise": {
            "warm, of a plain map": MOST_OF_MAP,
            "cold, of a direct read": MOST_OF_DIRECT,
            "found": {"warm": round(of_map, 2), "warm, in as many pieces": round(of_pieces, 2), "cold": round(of_direct, 2)},
            "kept": of_map <= MOST_OF_MAP and of_direct <= MOST_OF_DIRECT,
        },
        "picture": Bars(f"Seconds for {size / 1e9:.1f} GB of weights to the CPU, every page touched (less is better)", "s", seconds),
    }
