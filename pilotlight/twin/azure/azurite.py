"""Azurite behind Azure Storage: one process for all accounts, started with the first, ended with the twin."""

from __future__ import annotations

import asyncio
import base64
import secrets
from pathlib import Path

from pilotlight.twin.azure import azurite_install
from pilotlight.twin.ports import port_for_later
from pilotlight.twin.processes import Process, Processes
from pilotlight.twin.supervised import Supervised
from pilotlight.twin.upstream import Upstream

SERVICES = ("blob", "queue", "table")
# Longer than the front's connections rest, so that none is closed as it is used again.
_KEEP_ALIVE_S = 75


class Azurite(Supervised):
    """`ports` are Azurite's own, by service: only the twin uses them, clients go through the front.

    What it has answered outlives it, and its time is the twin's (`azurite_host/host.js`). `key` signs for every account; it is a new one
    each time, so that nobody else on this machine can use the ports.
    """

    name = "Azurite (Azure Storage)"

    def __init__(self, home: Path, cache: Path, processes: Processes) -> None:
        super().__init__()
        self._folder = home / "azurite"
        self._cache = cache
        self._processes = processes
        self.key = secrets.token_bytes(64)
        self.ports = {service: port_for_later() for service in SERVICES}
        self.upstreams = {service: Upstream(port) for service, port in self.ports.items()}

    async def spawn(self) -> Process:
        installed = await asyncio.to_thread(azurite_install.ensure, self._cache)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        argv = [str(installed.node), str(azurite_install.HOST / "host.js"), "--silent", "--location", str(self._folder)]
        # Clients are newer than it; its blobs may be as old as the twin.
        argv += ["--skipApiVersionCheck", "--disableTelemetry", "--disableProductStyleUrl"]
        for service, port in self.ports.items():
            argv += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port), f"--{service}KeepAliveTimeout", str(_KEEP_ALIVE_S)]
        environment = {
            "AZURITE_MODULES": str(installed.modules),
            "AZURITE_KEY": base64.b64encode(self.key).decode(),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
        }
        return await self._processes.run(argv, environment, name="azurite", cwd=str(self._folder), on_line=self.lines.append)

    async def answers(self) -> bool:
        # The services begin to listen one after the other, the table service last.
        return all([await _listens(port) for port in self.ports.values()])

    async def stop(self) -> None:
        for upstream in self.upstreams.values():
            upstream.close()
        await super().stop()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
