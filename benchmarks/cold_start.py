"""Process start to the first right answer over HTTP, resident memory after it and what is installed, beside every peer.

Same model (MiniLM-L6, fp32, sentence vectors), same sentence, turns taken, medians. Answers are compared with each other. The page cache is
warm; ours and the peers that a promise names are started once more in each round with nothing of their environment and their model in it.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import own, page_cache
from benchmarks.peers import environment, servers
from benchmarks.picture import Bars
from benchmarks.record import machine
from benchmarks.rows import Figures, Rows, ratios
from benchmarks.servers import Server, cold_start
from pilotlight.twin.ports import port_for_later

INPUTS = "Serverless means that nobody pays while nobody calls."
# After one that is not counted; the peers together take a minute and a half a round.
ROUNDS, BUDGET_S = 5, 330.0
# Of issue 7, for two cores: with a warm page cache, and with a cold one.
PROMISED, PROMISED_COLD, PROMISED_RESIDENT, PROMISED_MB = {"fastapi-transformers": 20, "litserve-transformers": 20}, 15, 6, 150


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
        rows.warm(lambda server: _started(server, expected))
        rows.take(rounds, lambda server: _measured(server, expected))
    return _told(about, rows)


def _started(server: Server, expected: Any) -> Figures:
    start = cold_start(server, port_for_later(), INPUTS, expected)
    return {"seconds": start.seconds, "resident_mb": start.resident_mb}


def _measured(server: Server, expected: Any) -> Figures:
    found = _started(server, expected)
    if server.name in (own.OURS, *PROMISED):
        found["cold_cache_share"] = _cooled(server)
        found["cold_cache_seconds"] = _started(server, expected)["seconds"]
    return found


def _cooled(server: Server) -> float:
    """Give up what the kernel holds of a server's environment, its own code and its model, but for what other processes map; the share of
    their bytes that is left."""
    folders = [
        Path(server.argv[0]).parents[1],
        server.cwd / "handlers",
        *(Path(value) for value in server.env.values() if value.startswith("/") and Path(value).is_dir()),
    ]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in files:
        page_cache.drop(path)
    sizes = {path: path.stat().st_size for path in files}
    return sum(page_cache.resident(path) * size for path, size in sizes.items() if size) / sum(sizes.values())


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
    kept = all(
        (ratio[name] or 0) >= least
        and more[name].get("resident_mb", 0) >= PROMISED_RESIDENT
        and more[name].get("cold_cache_seconds", 0) >= PROMISED_COLD
        for name, least in PROMISED.items()
    )
    seconds = {name: row["seconds"]["median"] if "seconds" in row else None for name, row in ({"ours": mine} | peers).items()}
    return {
        "headline": f"{mine['seconds']['median']} s and {mine['resident_mb']['median']:.0f} MB; "
        + ", ".join(f"{name} takes {each} times as long" if each else f"{name} could not be measured" for name, each in ratio.items()),
        "machine": about,
        "method": f"exec to first right answer, {rows.rounds} rounds in turns after one that is not counted, warm page cache; "
        "cold_cache_seconds: the same without what the kernel held of environment, code and model; "
        "cold_cache_share: of their bytes those that other processes map",
        "versions": {"ours": environment.versions(interpreter, *own.LIBRARIES)},
        "model": {"source": own.SOURCE, "task": own.TASK},
        "ours": mine,
        "peers": peers,
        "ratio": ratio,
        "ratios": more,
        "promise": {
            "ratio": PROMISED,
            "cold_cache_seconds ratio": PROMISED_COLD,
            "resident_mb ratio": PROMISED_RESIDENT,
            "resident_mb": PROMISED_MB,
            "kept": kept and mine["resident_mb"]["median"] <= PROMISED_MB,
        },
        "picture": Bars("Seconds from process start to the first right answer, MiniLM (less is better)", "s", seconds),
    }
