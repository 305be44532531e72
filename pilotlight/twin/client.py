"""Start, find and stop the twin's daemon; the variables with which unchanged clients reach it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import psutil

from pilotlight.twin import state as states
from pilotlight.twin.azure.variables import VARIABLES as AZURE
from pilotlight.twin.gcp.variables import VARIABLES as GOOGLE
from pilotlight.twin.state import State, TwinError, home_folder

__all__ = ["Running", "TwinError", "azure", "call", "ensure_running", "environment", "find", "forward", "google", "providers", "stop"]

LOG = "twin.log"
START_LOCK = "start.lock"
START_S = 60.0
STOP_S = 20.0
REGION = "us-east-1"
DEPLOYER_KEY = "AKIAPILOTLIGHTDEPLOY"
_POLL_S = 0.05
_USUAL = ("aws", "docker-build")
_TAIL_LINES = 20
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Running:
    """A daemon that answers. `token` opens its control API, `secret` is the deployer's AWS secret key."""

    front_url: str
    token: str
    pid: int
    home: Path
    secret: str


def find(home: Path | None = None) -> Running | None:
    """The daemon of a home if it runs and is ready, else None (a killed one's leftovers do not count)."""
    folder = home_folder(home)
    held = states.load(folder)
    if held is None or not held.alive or held.port is None:
        return None
    try:
        ready = _request(held.front_url, "health", None, None, timeout_s=2).get("status") == "ready"
    except TwinError:
        return None
    return _running(folder, held) if ready else None


def ensure_running(home: Path | None = None, *, deadline_s: float = START_S) -> Running:
    """The daemon of a home, started where it does not run. TwinError holds the end of its log where it does not come up."""
    folder = home_folder(home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with filelock.FileLock(folder / START_LOCK, timeout=deadline_s + 5):
            return _awaited(folder, deadline_s) or _start(folder, deadline_s)
    except filelock.Timeout:
        raise TwinError(f"Another command has been starting the twin in {folder} for too long. Try again.") from None


def providers(program_dir: Path, home: Path | None = None, *, uses: Collection[str] = ()) -> dict[str, int]:
    """Package -> port of the provider servers of a program's folder, started where they do not run. TwinError.

    `uses` names the packages that the program is about to use: they are made ready meanwhile. Where nobody knows, it is AWS's.
    """
    running = ensure_running(home)
    read = [name for cloud in (AZURE, GOOGLE) for names in cloud.values() for name in names]
    seen = {name: os.environ[name] for name in read if name in os.environ}
    wanted = {"program_dir": str(program_dir.absolute()), "environment": seen, "uses": list(uses or _USUAL)}
    answer = call(running, "providers", wanted, timeout_s=60)
    return {name: int(port) for name, port in answer.items()}


def stop(home: Path | None = None) -> bool:
    """Stop the daemon with everything that it runs; False where none ran. TwinError where it does not end."""
    folder = home_folder(home)
    held = states.load(folder)
    if held is None or not held.alive or held.pid is None:
        return False
    try:
        process = psutil.Process(held.pid)
        process.send_signal(signal.SIGTERM)
        if not _ended(process):
            process.kill()
            if not _ended(process):
                raise TwinError(f"The twin (process {held.pid}) does not end: see {folder / LOG}.")
    except psutil.NoSuchProcess:
        return True
    return True


def _ended(process: psutil.Process) -> bool:
    """Whether it ends within the time; one that nobody has reaped yet has ended."""
    deadline = time.monotonic() + STOP_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def call(running: Running, name: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 30) -> dict[str, Any]:
    """One request to the control API: GET without a body, POST with one. TwinError carries the daemon's message."""
    return _request(running.front_url, name, running.token, body, timeout_s=timeout_s)


def forward(
    running: Running, *, advance_s: float | None = None, until: str | float | None = None, timeout_s: float = 900
) -> dict[str, Any]:
    """Move the twin's clock by seconds, or to a time (ISO 8601 with its offset, or seconds since the epoch).

    Returns once everything that was due on the way has run: `{"now", "speed", "due": […], "ran": [{"at", "name", "said"}]}`.
    """
    body = {"advance_s": advance_s} if until is None else {"until": until}
    return call(running, "clock", body, timeout_s=timeout_s)


def azure(running: Running) -> dict[str, str]:
    """Variables by which a developer's programs trust the twin where it stands in for Azure. Its TLS front listens from now on."""
    return {name: str(value) for name, value in call(running, "azure").items()}


def google(running: Running) -> dict[str, str]:
    """Variables that lead Google Cloud's clients to the twin, as the developer. What serves them is started for it."""
    return {name: str(value) for name, value in call(running, "google").items()}


def environment(running: Running, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for AWS clients of any language. `inherited` (default: this process's) may name proxies to be kept.

    Nothing of the user's own AWS configuration is read while they are set.
    """
    inherited = os.environ if inherited is None else inherited
    direct = "127.0.0.1,localhost"
    kept = inherited.get("NO_PROXY") or inherited.get("no_proxy")
    proxies = f"{kept},{direct}" if kept and direct not in kept else kept or direct
    return {
        "AWS_ENDPOINT_URL": running.front_url,
        "AWS_ACCESS_KEY_ID": DEPLOYER_KEY,
        "AWS_SECRET_ACCESS_KEY": running.secret,
        # A token left over from a real login must not travel with the twin's key.
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": proxies,
        "no_proxy": proxies,
    }


def _running(folder: Path, held: State) -> Running:
    assert held.pid is not None
    return Running(front_url=held.front_url, token=held.token, pid=held.pid, home=folder, secret=held.secret)


def _awaited(folder: Path, deadline_s: float) -> Running | None:
    """The daemon that runs already, however busy it is; None where none runs. TwinError where it stays silent."""
    deadline = time.monotonic() + deadline_s
    while True:
        running = find(folder)
        if running is not None:
            return running
        held = states.load(folder)
        if held is None or not held.alive:
            return None
        if time.monotonic() > deadline:
            raise TwinError(
                f"The twin (process {held.pid}) has not answered for {deadline_s:.0f} s: see {folder / LOG}, or `pilotlight down`."
            )
        time.sleep(_POLL_S)


def _start(folder: Path, deadline_s: float) -> Running:
    log = folder / LOG
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "pilotlight.twin", "--home", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=_daemon_environment(),
            start_new_session=True,
        )
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        running = find(folder)
        if running is not None and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise TwinError(f"The twin ended with status {process.returncode} while it started.\n{_tail(log, begin)}")
        time.sleep(_POLL_S)
    process.terminate()
    raise TwinError(f"The twin was not ready within {deadline_s:.0f} s.\n{_tail(log, begin)}")


def _daemon_environment() -> dict[str, str]:
    # The package need not be installed: the daemon imports it from where this process did.
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    return f"The end of {log}:\n" + ("\n".join(lines[-_TAIL_LINES:]) or "(nothing was written)")


def _request(front_url: str, name: str, token: str | None, body: Mapping[str, Any] | None, *, timeout_s: float) -> dict[str, Any]:
    headers = {"X-Twin-Token": token} if token else {}
    data = None if body is None else json.dumps(dict(body)).encode()
    request = urllib.request.Request(f"{front_url}/_twin/{name}", data=data, headers=headers)  # noqa: S310 (our own address)
    try:
        with _DIRECT.open(request, timeout=timeout_s) as response:
            content = json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise TwinError(_message(error)) from None
    except (OSError, ValueError) as error:
        raise TwinError(f"The twin at {front_url} does not answer ({error}). Run `pilotlight down`, then try again.") from None
    return dict(content)


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError):
        return f"The twin answered {error.code}."
