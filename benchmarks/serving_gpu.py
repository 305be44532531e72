"""Sentence vectors on a GPU: process start to the first answer, then 32 connections, both engines beside FastAPI and LitServe.

As `cold_start.py` and `batching.py` do it on the CPU: same model (MiniLM-L6, fp32, no TF32), same texts, turns taken, every answer within
1e-4 of the text's own on the CPU. Needs an NVIDIA GPU.
"""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import own
from benchmarks.batching import BATCH, BATCH_TIMEOUT_S, CONNECTIONS, WARM_S, answers_alone, saturated, texts
from benchmarks.loader_gpu import gpu
from benchmarks.peers import environment, servers
from benchmarks.picture import Bars
from benchmarks.record import machine
from benchmarks.rows import OURS, Figures, Rows, ratios
from benchmarks.servers import Server, cold_start
from pilotlight.twin.ports import port_for_later

ONNX = "ours, engine onnx"
PEERS = ("fastapi-transformers", "litserve-transformers")
ROUNDS, SECONDS, BUDGET_S = 2, 3.0, 240.0


def measure(rounds: int = ROUNDS, seconds: float = SECONDS, budget_s: float = BUDGET_S) -> Mapping[str, Any]:
    """The result: cold start, throughput and latencies of all, and their ratios to engine torch's."""
    about, inputs = machine() | {"gpu": gpu()}, texts()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        rows, place = Rows(budget_s), Path(folder)
        on_gpu = partial(own.minilm, place, REQUIRE_GPU="1")
        expected = answers_alone(own.minilm(place, "on the CPU", CUDA_VISIBLE_DEVICES="", BATCH_SIZE="1"), inputs)
        rows.add(OURS, lambda: on_gpu(OURS, engine="torch", target=environment.OURS_GPU_TORCH))
        rows.add(ONNX, lambda: on_gpu(ONNX, target=environment.OURS_GPU))
        for peer in PEERS:
            batch = BATCH if peer in servers.BATCHING else 1
            made = partial(servers.server, peer, servers.VECTORS, place / peer, batch=batch, batch_timeout_s=BATCH_TIMEOUT_S, device="cuda")
            rows.add(peer, made)
        rows.take(rounds, lambda server: _measured(server, inputs, expected, seconds))
    return _told(about, rows, seconds)


def _measured(server: Server, inputs: Sequence[str], expected: Sequence[Any], seconds: float) -> Figures:
    start = cold_start(server, port_for_later(), inputs[0], expected[0])
    return {"cold_start_s": start.seconds, **saturated(server, inputs, expected, seconds)}


def _told(about: Mapping[str, Any], rows: Rows, seconds: float) -> Mapping[str, Any]:
    figures = rows.figures()
    mine = figures.pop(OURS)
    more = {name: ratios(mine, row, higher=("per_second",)) for name, row in figures.items()}
    rates = {name: row["per_second"]["median"] if "per_second" in row else None for name, row in ({"ours": mine} | figures).items()}
    return {
        "headline": f"{mine['per_second']['median']:.0f} texts/s, first answer after {mine['cold_start_s']['median']:.2f} s; "
        + ", ".join(f"{each.get('per_second')} and {each.get('cold_start_s')} times {name}" for name, each in more.items()),
        "machine": about,
        "method": f"exec to first right answer, then {CONNECTIONS} connections, each asks again once it is answered, {seconds:g} s after "
        f"{WARM_S:g} s that are not counted; {rows.rounds} rounds in turns. LitServe makes batches of {BATCH}. Every answer is within 1e-4 "
        "of the text's own on the CPU",
        "versions": {
            "ours": environment.versions(environment.python(environment.OURS_GPU_TORCH), "torch", "safetensors", "tokenizers", "uvicorn"),
            "ours, engine onnx": environment.versions(environment.python(environment.OURS_GPU), "onnxruntime-gpu"),
            "peers": environment.versions(environment.python(PEERS[0]), "torch", "transformers", "fastapi"),
        },
        "model": {"source": own.SOURCE, "task": own.TASK},
        "ours": mine,
        "peers": figures,
        "ratio": {name: each.get("per_second") for name, each in more.items()},
        "ratios": more,
        "picture": Bars(f"Texts a second on a GPU, MiniLM, {CONNECTIONS} connections, mixed lengths (more is better)", "/s", rates),
    }
