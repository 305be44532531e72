"""Ministack behind S3 and DynamoDB: one process, started with the twin, watched, started again when it dies, never left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx

from pilotlight.twin.ports import port_for_later
from pilotlight.twin.processes import Process, Processes
from pilotlight.twin.supervised import EmulatorError, Supervised

__all__ = ["EmulatorError", "Emulators"]

SERVICES = ("s3", "dynamodb")


class Emulators(Supervised):
    """`endpoint` is the emulator's own address: only the twin uses it, clients go through the front.

    Objects are files in the twin's home; tables, items and the settings of buckets are on disk before a request is answered
    (`emulator_host.py`). A multipart upload that is under way does not survive the emulator's end.
    """

    name = "ministack (S3, DynamoDB)"

    def __init__(self, home: Path, processes: Processes, *, account: str, region: str = "us-east-1") -> None:
        super().__init__()
        self._folder = home / "emulators"
        self._processes = processes
        self._account = account
        self._region = region
        self.port = port_for_later()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def spawn(self) -> Process:
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "pilotlight.twin.emulator_host"]
        return await self._processes.run(argv, self._environment(), name="ministack", cwd=str(self._folder), on_line=self.lines.append)

    async def answers(self) -> bool:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            try:
                return (await client.get(f"{self.endpoint}/_ministack/health")).status_code == 200
            except httpx.HTTPError:
                return False

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
