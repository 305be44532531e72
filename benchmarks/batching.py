"""Sentence vectors of texts of mixed lengths under load, beside every peer, with batches of 16 where it makes them, and ours without.

Same model (MiniLM-L6, fp32), same texts, 32 connections, turns taken, medians. Every answer under load is compared with the text's own.
Ours with int8 weights has a row of its own, whose answers may be as far from those as `pilotlight package` allows.
"""

import json
import operator
import random
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import own
from benchmarks.callers import Call, pace, saturate
from benchmarks.peers import environment, servers
from benchmarks.picture import Bars
from benchmarks.record import BenchmarkError, machine, summary
from benchmarks.rows import Figures, Rows, ratios
from benchmarks.servers import Server, resident_mb, running, same
from components.artifact import MAX_DRIFT, Shrink
from pilotlight.twin.ports import port_for_later

ALONE, INT8, LITSERVE = "one-at-a-time", "ours-int8", "litserve-transformers"
CONNECTIONS, ROUNDS, SECONDS, WARM_S, BUDGET_S = 32, 5, 6.0, 1.0, 330.0
# How long LitServe and MLServer gather a batch: LitServe's documentation's own for an encoder. BentoML decides for itself.
BATCH, BATCH_TIMEOUT_S = 16, 0.01
# Issue 7: at least so many times LitServe's throughput, with a p99 no higher than its own at its saturation.
PROMISED, PROMISED_INT8 = 1.5, 3.0
VOCABULARY = ("serverless", "model", "answers", "the", "first", "request", "quickly", "and", "costs", "nothing", "while", "nobody", "calls")


def texts() -> list[str]:
    """256 texts, the same in every run: most of them short, 4 to 120 words, by their logarithm."""
    draw = random.Random(7)
    return [" ".join(draw.choices(VOCABULARY, k=round(4 * 30 ** draw.random() ** 1.5))) for _ in range(256)]


def measure(rounds: int = ROUNDS, seconds: float = SECONDS, budget_s: float = BUDGET_S) -> Mapping[str, Any]:
    """The result: throughput and latencies of all, their ratios, and whether the promise holds."""
    about, inputs = machine(), texts()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        rows = Rows(budget_s)
        mine, alone = own.minilm(Path(folder)), own.minilm(Path(folder), ALONE, BATCH_SIZE="1")
        rows.add(own.OURS, lambda: mine)
        rows.add(ALONE, lambda: alone)
        rows.add(INT8, lambda: own.minilm(Path(folder), INT8, shrink=Shrink(quantize="int8")))
        for peer in servers.PEERS:
            batch = BATCH if peer in servers.BATCHING else 1
            rows.add(
                peer, partial(servers.server, peer, servers.VECTORS, Path(folder) / peer, batch=batch, batch_timeout_s=BATCH_TIMEOUT_S)
            )
        expected = answers_alone(alone, inputs)
        rows.take(rounds, lambda server: saturated(server, inputs, expected, seconds))
        figures = rows.figures()
        if "per_second" not in figures[LITSERVE]:
            raise BenchmarkError(f"Without LitServe there is no rate to compare at: {figures[LITSERVE]['error']}")
        # At the rate that LitServe can just hold, each as far from its own end as it is.
        rate = figures[LITSERVE]["per_second"]["median"]
        paced = [_paced(mine, inputs, expected, seconds, rate) for _ in range(min(rows.rounds, 3))]
    figures[own.OURS]["p99_ms_at_litserve_rate"] = summary(paced, 3)
    return _told(about, figures, rows.rounds, seconds, rate)


def _told(about: Mapping[str, Any], figures: dict[str, dict[str, Any]], rounds: int, seconds: float, rate: float) -> Mapping[str, Any]:
    mine = figures[own.OURS]
    peers = {name: figures[name] for name in (ALONE, INT8)} | {name: {**servers.told(name), **figures[name]} for name in servers.PEERS}
    more = {name: ratios(mine, row, higher=("per_second",)) for name, row in peers.items()}
    ratio = {name: each.get("per_second") for name, each in more.items()}
    int8 = ratios(figures[INT8], peers[LITSERVE], higher=("per_second",)).get("per_second")
    at_rate, own_p99 = mine["p99_ms_at_litserve_rate"]["median"], peers[LITSERVE]["p99_ms"]["median"]
    per_second = {name: row["per_second"]["median"] if "per_second" in row else None for name, row in ({"ours": mine} | peers).items()}
    return {
        "headline": f"{mine['per_second']['median']:.0f} texts/s; "
        + ", ".join(f"{each} times {name}" if each else f"{name} could not be measured" for name, each in ratio.items())
        + f"; with int8 weights {int8} times {LITSERVE}; at {rate:.0f}/s p99 {at_rate:.0f} ms (LitServe {own_p99:.0f} ms)",
        "machine": about,
        "method": f"{CONNECTIONS} connections, each asks again once it is answered, {rounds} rounds of {seconds:g} s in turns after "
        f"{WARM_S:g} s that are not counted; then ours at LitServe's rate. Batches of {BATCH} where a peer makes them in its own process: "
        f"{', '.join(servers.BATCHING)}. Every answer is within 1e-4 of the text's own, "
        f"with int8 weights within a drift of {MAX_DRIFT:g} (1 - cosine)",
        "versions": {"ours": environment.versions(environment.python(environment.OURS), *own.LIBRARIES)},
        "model": {"source": own.SOURCE, "task": own.TASK},
        "ours": mine,
        "peers": peers,
        "ratio": ratio,
        "ratios": more,
        "promise": {
            "ratio": {LITSERVE: PROMISED},
            "int8": {LITSERVE: PROMISED_INT8, "found": int8},
            "p99": "no higher than LitServe's at its saturation",
            "kept": (ratio[LITSERVE] or 0) >= PROMISED and (int8 or 0) >= PROMISED_INT8 and at_rate <= own_p99,
        },
        "picture": Bars(f"Texts a second, MiniLM, {CONNECTIONS} connections, mixed lengths (more is better)", "/s", per_second),
    }


def _bodies(server: Server, inputs: Sequence[str]) -> list[bytes]:
    return [json.dumps(server.body(text)).encode() for text in inputs]


def answers_alone(server: Server, inputs: Sequence[str]) -> list[Any]:
    """The answer to each text by itself."""
    port, outputs, bodies = port_for_later(), dict[int, Any](), _bodies(server, inputs)
    with running(server, port, inputs[0]):
        while len(outputs) < len(inputs):
            calls = saturate(port, server.path, bodies, connections=1, seconds=5)
            outputs.update({call.place: server.outputs(call.value) for call in calls})
    return [outputs[place] for place in range(len(inputs))]


def saturated(server: Server, inputs: Sequence[str], expected: Sequence[Any], seconds: float) -> Figures:
    """Figures of a server under load. BenchmarkError for an answer that is not the text's own."""
    port, bodies = port_for_later(), _bodies(server, inputs)
    with running(server, port, inputs[0]) as start:
        saturate(port, server.path, bodies, connections=CONNECTIONS, seconds=WARM_S)
        calls = saturate(port, server.path, bodies, connections=CONNECTIONS, seconds=seconds)
        resident = resident_mb(start.pid)
    _check(server, calls, expected)
    times = sorted(call.seconds * 1000 for call in calls)
    shares = {f"p{share}_ms": round(times[len(times) * share // 100], 1) for share in (50, 99)}
    return {"per_second": round(len(calls) / max(call.ended_s for call in calls), 1), **shares, "resident_mb": resident}


def _paced(server: Server, inputs: Sequence[str], expected: Sequence[Any], seconds: float, rate: float) -> float:
    port, bodies = port_for_later(), _bodies(server, inputs)
    with running(server, port, inputs[0]):
        saturate(port, server.path, bodies, connections=CONNECTIONS, seconds=WARM_S)
        calls = pace(port, server.path, bodies, connections=CONNECTIONS, seconds=seconds, rate=rate)
    _check(server, calls, expected)
    return sorted(call.seconds * 1000 for call in calls)[len(calls) * 99 // 100]


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two vectors of length 1 are as near as a shrunk model's answers have to be."""
    return len(one) == len(other) and 1 - sum(map(operator.mul, one, other)) <= MAX_DRIFT


def _check(server: Server, calls: Sequence[Call], expected: Sequence[Any]) -> None:
    if not calls:
        raise BenchmarkError(f"{server.name} answered nothing.")
    agree = _near if server.name == INT8 else same
    for call in calls:
        if not agree(server.outputs(call.value), expected[call.place]):
            raise BenchmarkError(f"{server.name} gave another vector under load for text {call.place}.")
