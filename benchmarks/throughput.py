"""What a server costs beside its model: the sum of eight numbers, one worker, 32 connections, then one, then a fixed rate.

Ours has every route, check, limit and metric on. Every peer has a row; one that can't be installed, started or asked so says why. A floor
stands beside them, an ASGI program of a dozen lines: what HTTP, the caller and the machine take of all of it.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import own, wire
from benchmarks.peers import environment, servers
from benchmarks.picture import Bars
from benchmarks.record import BenchmarkError, machine
from benchmarks.rows import Figures, Rows, ratios
from benchmarks.servers import Server, resident_mb, running, same
from pilotlight.twin.ports import port_for_later

INPUTS, EXPECTED = {"values": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]}, 32.0
CONNECTIONS, RATE, ROUNDS, BUDGET_S = 32, 300.0, 5, 400.0
WARM_S, SECONDS, ALONE_S, PACED_S = 1.0, 3.0, 1.5, 3.0
# Ours, asked with the very same bytes each time.
REPEATED = "ours-repeated"
# Of issue 7: so many times the peer's requests a second, and a p50 of one connection in ms.
PROMISED = {"fastapi-transformers": 2, "litserve-transformers": 15, "mlserver": 6, "kserve": 6, "sagemaker-inference": 8}
PROMISED_P50_MS = 0.25


def measure(rounds: int = ROUNDS, seconds: float = SECONDS, budget_s: float = BUDGET_S) -> Mapping[str, Any]:
    """The result: throughput, latencies and memory of all, and their ratios."""
    about = machine()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        rows = Rows(budget_s)
        rows.add(own.OURS, lambda: own.sums(Path(folder)))
        rows.add(REPEATED, lambda: replace(own.sums(Path(folder)), name=REPEATED))
        for peer in servers.PEERS:
            rows.add(peer, partial(servers.server, peer, servers.SUMS, Path(folder) / peer))
        rows.add(servers.BARE, lambda: servers.bare(Path(folder) / servers.BARE))
        rows.take(rounds, lambda server: _measured(server, seconds))
    return _told(about, rows)


def _measured(server: Server, seconds: float) -> Figures:
    asked, port = wire.request(server.path, server.body(INPUTS), repeated=server.name == REPEATED), port_for_later()
    failure: BenchmarkError | None = None
    with running(server, port, INPUTS) as start:
        if not same(start.outputs, EXPECTED):
            raise BenchmarkError(f"{server.name} answered {start.outputs!r} in place of {EXPECTED}.")
        heard: list[wire.Heard] = []
        found = {"first_s": start.seconds}
        try:
            # First what every server can do: one that answers one request at a time has these figures all the same.
            wire.saturate(port, asked, connections=1, seconds=WARM_S / 2)
            heard.append(wire.saturate(port, asked, connections=1, seconds=ALONE_S))
            found["alone_p50_ms"] = _share(heard[0], 50)
            wire.saturate(port, asked, connections=CONNECTIONS, seconds=WARM_S)
            heard.append(wire.saturate(port, asked, connections=CONNECTIONS, seconds=seconds))
            heard.append(wire.pace(port, asked, connections=CONNECTIONS, seconds=PACED_S, rate=RATE))
        except BenchmarkError as error:
            failure = error
        found["resident_mb"] = resident_mb(start.pid)
    for answer in (answer for each in heard for answer in each.last):
        if not same(server.outputs(wire.body(answer)), EXPECTED):
            raise BenchmarkError(f"{server.name} gave another answer under load: {answer[-300:]!r}.")
    if len(heard) > 1:
        full = heard[1]
        found |= {"per_second": len(full.seconds) / full.span_s, "p50_ms": _share(full, 50), "p99_ms": _share(full, 99)}
    if failure is not None:
        raise Rows.partly(found, failure)
    return found | {"paced_p99_ms": _share(heard[2], 99)}


def _share(heard: wire.Heard, percent: int) -> float:
    ordered = sorted(heard.seconds)
    return round(ordered[len(ordered) * percent // 100] * 1000, 3)


def _told(about: Mapping[str, Any], rows: Rows) -> Mapping[str, Any]:
    figures = rows.figures()
    mine = figures[own.OURS]
    peers = {REPEATED: figures[REPEATED]} | {name: {**servers.told(name), **figures[name]} for name in servers.PEERS}
    more = {name: ratios(mine, row, higher=("per_second",)) for name, row in peers.items()}
    ratio = {name: each.get("per_second") for name, each in more.items()}
    kept = {name: (ratio[name] is not None and ratio[name] >= least) for name, least in PROMISED.items()}
    kept["alone_p50_ms"] = mine["alone_p50_ms"]["median"] <= PROMISED_P50_MS
    per_second = {name: row["per_second"]["median"] if "per_second" in row else None for name, row in ({"ours": mine} | peers).items()}
    floor = figures[servers.BARE]
    if "command" in floor:  # it could be made
        floor["versions"] = environment.versions(environment.python(servers.BARE_IN), "uvicorn", "uvloop", "httptools")
    return {
        "headline": f"{mine['per_second']['median']:.0f} requests/s, one connection p50 {mine['alone_p50_ms']['median']} ms; "
        + ", ".join(f"{each} times {name}" if each else f"{name} could not be measured" for name, each in ratio.items()),
        "machine": about,
        "method": f"sum of 8 numbers, one worker; {rows.rounds} rounds in turns, a process each: one connection {ALONE_S:g} s, "
        f"{CONNECTIONS} connections {SECONDS:g} s after {WARM_S:g} s that are not counted, then {RATE:g} requests/s for {PACED_S:g} s. "
        "Every request has an id of its own, but for ours-repeated. The caller (benchmarks/wire.py) shares the machine",
        "versions": {"ours": environment.versions(environment.python(environment.OURS), *own.LIBRARIES)},
        "ours": {"installed_mb": environment.installed_mb(environment.python(environment.OURS)), **mine},
        "peers": peers,
        "ratio": ratio,
        "ratios": more,
        "floors": {servers.BARE: floor},
        "promise": {
            "ratio": PROMISED,
            "alone_p50_ms": PROMISED_P50_MS,
            "kept": all(kept.values()),
            "missed": [name for name, is_kept in kept.items() if not is_kept],
        },
        "picture": Bars(f"Requests a second of a model that takes no time, {CONNECTIONS} connections (more is better)", "/s", per_second),
    }
