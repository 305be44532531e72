"""Process start to the first right answer over HTTP, resident memory after it and what is installed, beside every peer.

Same model (MiniLM-L6, fp32, sentence vectors), same sentence, warm page cache, turns taken, medians. Answers are compared with each other.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import own
from benchmarks.peers import environment, servers
from benchmarks.picture import Bars
from benchmarks.record import machine
from benchmarks.rows import Figures, Rows, ratios
from benchmarks.servers import Server, cold_start
from pilotlight.twin.ports import port_for_later

INPUTS = "Serverless means that nobody pays while nobody calls."
# After one that is not counted; the peers together take a minute and a half a round.
ROUNDS, BUDGET_S = 5, 330.0
# Of issue 7, for two cores and a warm page cache.
PROMISED, PROMISED_RESIDENT, PROMISED_MB = {"fastapi-transformers": 20, "litserve-transformers": 20}, 6, 150


def measure(rounds: int = ROUNDS, budget_s: float = BUDGET_S) -> Mapping[str, Any]:
    """The result: all absolutes, their ratios, and whether the promise holds."""
    about = machine()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as folder:
        rows = Rows(budget_s)
        mine = own.minilm(Path(folder))
        rows.add(own.OURS, lambda: mine)
        for peer in servers.PEERS:
            rows.add(peer, partial(servers.server, peer, servers.VECTORS, Path(folder) / peer))
        expected = cold_start(mine, port_for_later(), INPUTS).outputs
        rows.warm(lambda server: _measured(server, expected))
        rows.take(rounds, lambda server: _measured(server, expected))
    return _told(about, rows)


def _measured(server: Server, expected: Any) -> Figures:
    start = cold_start(server, port_for_later(), INPUTS, expected)
    return {"seconds": start.seconds, "resident_mb": start.resident_mb}


def _told(about: Mapping[str, Any], rows: Rows) -> Mapping[str, Any]:
    figures = rows.figures()
    interpreter = environment.python(environment.OURS)
    mine = {"installed_mb": environment.installed_mb(interpreter), **figures[own.OURS]}
    peers = {name: {**servers.told(name), **figures[name]} for name in servers.PEERS}
    more = {name: ratios(mine, row) for name, row in peers.items()}
    for name, row in peers.items():
        if "installed_mb" in row:
            more[name]["installed_mb"] = round(row["installed_mb"] / mine["installed_mb"], 2)
    ratio = {name: each.get("seconds") for name, each in more.items()}
    kept = all((ratio[name] or 0) >= least and more[name].get("resident_mb", 0) >= PROMISED_RESIDENT for name, least in PROMISED.items())
    seconds = {name: row["seconds"]["median"] if "seconds" in row else None for name, row in ({"ours": mine} | peers).items()}
    return {
        "headline": f"{mine['seconds']['median']} s and {mine['resident_mb']['median']:.0f} MB; "
        + ", ".join(f"{name} takes {each} times as long" if each else f"{name} could not be measured" for name, each in ratio.items()),
        "machine": about,
        "method": f"exec to first right answer, {rows.rounds} rounds in turns after one that is not counted, warm page cache",
        "versions": {"ours": environment.versions(interpreter, *own.LIBRARIES)},
        "model": {"source": own.SOURCE, "task": own.TASK},
        "ours": mine,
        "peers": peers,
        "ratio": ratio,
        "ratios": more,
        "promise": {
            "ratio": PROMISED,
            "resident_mb ratio": PROMISED_RESIDENT,
            "resident_mb": PROMISED_MB,
            "kept": kept and mine["resident_mb"]["median"] <= PROMISED_MB,
        },
        "picture": Bars("Seconds from process start to the first right answer, MiniLM (less is better)", "s", seconds),
    }
