"""A real model server, or another server of ours, as a process on a free local port."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from pilotlight.twin.ports import port_for_later

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60
MODEL_SERVER = ("handlers.server", "serve")


@dataclass(frozen=True)
class Server:
    """A running server: its process, its port, and a client for it. `log` holds what it has written so far."""

    process: subprocess.Popen[bytes]
    port: int
    client: httpx.Client
    log_file: Path
    probe: str = "/ping"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def predict(self, body: object, route: str = "/predict") -> httpx.Response:
        return self.client.post(route, json=body)

    def until_ready(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.client.get(self.probe).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready, exit status {self.process.poll()}: {self.log}")

    def until_packed(self) -> None:
        """Until its answers are by packed weights, whose last digits are other ones (docs/decisions/0027)."""
        until = time.monotonic() + PATIENCE_S
        while '"weights_packed"' not in self.log:
            assert self.process.poll() is None, f"exit status {self.process.poll()}: {self.log}"
            assert time.monotonic() < until, self.log
            time.sleep(0.02)


def launch(log: IO[bytes], module: Sequence[str] = MODEL_SERVER, **variables: str) -> subprocess.Popen[bytes]:
    """`python -m MODULE ARGUMENTS` with these variables and nothing of the caller's environment."""
    needed = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1"}
    command = [sys.executable, "-m", *module]
    return subprocess.Popen(command, cwd=ROOT, env=needed | variables, stdout=log, stderr=subprocess.STDOUT)


def packs(variables: dict[str, str]) -> bool:
    """Whether a server packs its weights behind its first answer: then two answers are the same to the last digit only after that."""
    folder = Path(variables.get("MODEL_DIR", "/none"))
    if "WORKERS" in variables or not (folder / "model.onnx.data").is_file():
        return False
    return json.loads((folder / "manifest.json").read_text()).get("plain") is True


@contextmanager
def running(
    folder: Path, *, ready: bool = True, module: Sequence[str] = MODEL_SERVER, probe: str = "/ping", **variables: str
) -> Iterator[Server]:
    """A server that is gone after the block; `folder` takes its log."""
    port = int(variables.setdefault("PORT", str(port_for_later())))
    log_file = folder / f"server-{port}.log"
    with log_file.open("wb") as log, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        process = launch(log, module, **variables)
        server = Server(process, port, client, log_file, probe)
        try:
            if ready:
                server.until_ready()
                if packs(variables):
                    server.until_packed()
            yield server
        finally:
            process.kill()
            process.wait()


def exit_of(folder: Path, module: Sequence[str] = MODEL_SERVER, **variables: str) -> tuple[int, str]:
    """Exit status and log of a server that refuses to start."""
    log_file = folder / "refused.log"
    with log_file.open("wb") as log:
        process = launch(log, module, **{"PORT": str(port_for_later())} | variables)
        try:
            status = process.wait(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()
    return status, log_file.read_text()
