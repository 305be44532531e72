"""Ministack behind S3 and DynamoDB: one process, started with the twin, watched, started again when it dies, never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections import deque
from pathlib import Path

import httpx

from pilotlight.twin.processes import Process, Processes

SERVICES = ("s3", "dynamodb")
# It takes half a second; a machine that is busy with other things gets time.
START_S = 40.0
STOP_S = 5.0
_LOG_LINES = 15


class EmulatorError(Exception):
    """The emulator does not start or does not answer; the message holds the end of its log."""


class Emulators:
    """`endpoint` is the emulator's own address: only the twin uses it, clients go through the front.

    Objects are files in the twin's home; tables, items and the settings of buckets are on disk before a request is answered
    (`emulator_host.py`). A multipart upload that is under way does not survive the emulator's end.
    """

    def __init__(self, home: Path, processes: Processes, *, account: str, region: str = "us-east-1") -> None:
        self._folder = home / "emulators"
        self._processes = processes
        self._account = account
        self._region = region
        self.port = free_port()
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self._lock = asyncio.Lock()
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self.starts = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process and self._process.running else None

    async def start(self) -> None:
        """Start and wait until it answers; EmulatorError after START_S."""
        await self.revive()
        self._watcher = asyncio.create_task(self._watch(), name="emulator watch")

    async def stop(self) -> None:
        """End it: politely, then by force."""
        self._stopping = True
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        if self._process:
            await self._process.stop(STOP_S)

    async def revive(self) -> None:
        """Make sure that it runs and answers: called where a request could not reach it."""
        async with self._lock:
            if self._stopping:
                raise EmulatorError("The twin is stopping.")
            if self.pid is None:
                await self._spawn()
            await self._answers()

    async def _watch(self) -> None:
        while not self._stopping:
            if self._process:
                await self._process.wait()
            if not self._stopping:
                # Should it not come up, the next request tries again and tells its caller.
                with contextlib.suppress(EmulatorError):
                    await self.revive()
                await asyncio.sleep(0.5)

    async def _spawn(self) -> None:
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        self.starts += 1
        argv = [sys.executable, "-m", "pilotlight.twin.emulator_host"]
        self._process = await self._processes.run(
            argv, self._environment(), name="ministack", cwd=str(self._folder), on_line=self._lines.append
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder / "tmp"),
            # Without these it listens on every interface, for MQTT and SFTP too.
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "SERVICES": ",".join(SERVICES),
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": self._account,
            "MINISTACK_REGION": self._region,
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._folder / "s3"),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._folder / "state"),
            "LOG_LEVEL": "WARNING",
        }

    async def _answers(self) -> None:
        deadline = time.monotonic() + START_S
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while time.monotonic() < deadline and self.pid is not None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.endpoint}/_ministack/health")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        tail = "\n".join(self._lines) or "(it printed nothing)"
        raise EmulatorError(f"ministack (S3, DynamoDB) did not answer within {START_S:.0f} s. The end of its log:\n{tail}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
