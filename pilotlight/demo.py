"""`make demo`: the main job on the twin, from `up` to nothing left, with the very commands that a user types.

It runs in a twin of its own (a temporary `PILOTLIGHT_HOME`), so it neither disturbs nor needs one that is already running.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table

STACK = "aws-sagemaker-api"
SENTENCE = "Serverless means that nobody pays while nobody calls."
# More than the burst of 40 that the ready stack allows, sent at once: some must be refused.
BURST = 200
COMMAND = Path(sys.prefix) / "bin" / "pilotlight"
console = Console(highlight=False, soft_wrap=True)


class DemoError(Exception):
    """A step did not show what it promises."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the deployed API: status, body, the whole call's time, and the stages that the answer names (ms)."""

    status: int
    body: Any
    milliseconds: float
    stages: Mapping[str, float]


def main() -> int:
    """Run the demo; 0 when every step showed what it should, 1 with the reason otherwise, 130 when interrupted."""
    started = time.monotonic()
    try:
        with own_twin():
            show()
        check_nothing_left()
    except DemoError as error:
        console.print(f"[red]demo: {error}[/red]")
        return 1
    except KeyboardInterrupt:
        console.print("demo: interrupted; everything it started is stopped.")
        return 130
    console.print(f"[bold green]Done in {time.monotonic() - started:.0f} s: everything destroyed, no process left.[/bold green]")
    return 0


@contextmanager
def own_twin() -> Iterator[None]:
    """A twin in a temporary folder; stopped and removed whatever happens."""
    home = tempfile.mkdtemp(prefix="pilotlight-demo-")
    os.environ["PILOTLIGHT_HOME"] = home
    try:
        yield
    finally:
        subprocess.run([COMMAND, "down"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)


def show() -> None:
    """The steps, each checked."""
    heading(1, "Deploy the blueprint with the real Pulumi engine, on the local twin")
    pilotlight("up", STACK, "--local")
    status = json.loads(pilotlight("status", STACK, "--json", quiet=True))
    outputs = status["outputs"]
    console.print(f"The API: [bold]POST {outputs['url']}[/bold]")
    key = api_key()

    heading(2, "Call it without the key")
    refused = call(outputs["url"], None)
    expect(refused.status in (401, 403), f"a call without a key was answered {refused.status}, not 401 or 403")
    console.print(f"refused: {refused.status} {json.dumps(refused.body)}")

    heading(3, "The first call: a cold start, measured")
    cold = call(outputs["url"], key)
    expect(cold.status == 200, f"the first call was answered {cold.status}: {cold.body}")
    expect(bool(cold.stages), "the first answer names no cold-start stages")
    warm = call(outputs["url"], key)
    expect(warm.status == 200, f"the second call was answered {warm.status}: {warm.body}")
    vector = cold.body["outputs"][0][0]
    expect(len(vector) == 384, f"the embedding has {len(vector)} numbers, not 384")
    console.print(f'"{SENTENCE}" → {len(cold.body["outputs"][0])} tokens × {len(vector)}: [{", ".join(f"{x:.4f}" for x in vector[:4])}, …]')
    console.print(stage_table(cold, warm))

    heading(4, "Call it faster than its usage plan allows")
    # One client for all: a new one for each call would be the slowest part, and the plan refills while it is made.
    with httpx.Client(headers={"x-api-key": key}, timeout=60) as client, ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(lambda _: client.post(outputs["url"], json={}).status_code, range(BURST)))
    expect(429 in statuses, f"{BURST} calls at once were answered {sorted(set(statuses))}, none of them 429")
    console.print(f"{BURST} calls at once: " + ", ".join(f"{statuses.count(code)} × {code}" for code in sorted(set(statuses))))

    heading(5, "Destroy everything")
    pilotlight("destroy", STACK)


def pilotlight(*arguments: str, quiet: bool = False) -> str:
    """Run one command as a user would and return what it printed; its own messages are the error."""
    console.print(f"[dim]$ pilotlight {' '.join(arguments)}[/dim]")
    result = subprocess.run([COMMAND, *arguments], check=False, stdout=subprocess.PIPE if quiet else None, text=True)
    if result.returncode == 130:
        raise KeyboardInterrupt
    expect(result.returncode == 0, f"`pilotlight {' '.join(arguments)}` ended with {result.returncode}")
    return result.stdout or ""


def api_key() -> str:
    """The key as the stack's `apiKeyCommand` says, with the environment that `pilotlight env --local` prints."""
    environment = json.loads(pilotlight("env", "--local", "--json", quiet=True))
    command = ["pulumi", "stack", "output", "apiKey", "--show-secrets", "--stack", STACK]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    expect(result.returncode == 0, f"the key could not be read: {result.stderr.strip()}")
    return result.stdout.strip()


def call(url: str, key: str | None) -> Call:
    headers = {"x-api-key": key} if key else {}
    started = time.perf_counter()
    response = httpx.post(url, json={"inputs": SENTENCE}, headers=headers, timeout=60)
    milliseconds = (time.perf_counter() - started) * 1000
    return Call(status=response.status_code, body=response.json(), milliseconds=milliseconds, stages=stages(response.headers))


def stages(headers: Mapping[str, str]) -> dict[str, float]:
    """`Server-Timing: boot;dur=12.5, load;dur=80` → {"boot": 12.5, "load": 80.0}."""
    found = {}
    for part in headers.get("server-timing", "").split(","):
        name, _, rest = part.strip().partition(";dur=")
        if rest:
            found[name] = float(rest)
    return found


def stage_table(cold: Call, warm: Call) -> Table:
    table = Table("where the time went", "cold (ms)", "warm (ms)")
    for column in (1, 2):
        table.columns[column].justify = "right"
    for name in cold.stages:
        table.add_row(name, f"{cold.stages[name]:.1f}", f"{warm.stages[name]:.1f}" if name in warm.stages else "-")
    table.add_section()
    table.add_row("whole call", f"{cold.milliseconds:.1f}", f"{warm.milliseconds:.1f}")
    return table


def heading(number: int, text: str) -> None:
    console.print(f"\n[bold cyan]{number}. {text}[/bold cyan]")


def expect(held: bool, otherwise: str) -> None:
    if not held:
        raise DemoError(otherwise)


def check_nothing_left() -> None:
    """No process that was started for this demo's twin is alive (they carry its home in their environment or arguments)."""
    home = os.environ["PILOTLIGHT_HOME"]
    left = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid == os.getpid():
            continue
        try:
            mentions = any(home in part for part in process.info["cmdline"] or []) or process.environ().get("PILOTLIGHT_HOME") == home
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if mentions:
            left.append(f"{process.info['pid']} {' '.join(process.info['cmdline'] or [])[:80]}")
    expect(not left, "processes are left: " + "; ".join(left))


if __name__ == "__main__":
    raise SystemExit(main())
