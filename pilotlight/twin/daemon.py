"""The twin's daemon: everything built, one event loop, one door, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from pilotlight.twin import state as states
from pilotlight.twin.clock_file import clock_of
from pilotlight.twin.control import Control
from pilotlight.twin.emulators import Emulators
from pilotlight.twin.faults import Faults
from pilotlight.twin.iam import Iam
from pilotlight.twin.processes import Processes
from pilotlight.twin.serving import Server, config, listen
from pilotlight.twin.state import TwinError
from pilotlight.twin.twin import ACCOUNT
from pilotlight.twin.world import World

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

DAEMON_LOCK = "daemon.lock"
REGION = "us-east-1"
_LOG = logging.getLogger("pilotlight.twin")


class Daemon:
    """One twin in one home. `run` returns when a signal or the control API ends it; TwinError where it can't run."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._end = asyncio.Event()
        self._providers = asyncio.Lock()

    async def run(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = filelock.FileLock(self._home / DAEMON_LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise TwinError(f"A twin runs in {self._home} already. Stop it with `pilotlight down`.") from None
        with lock:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self._end.set)
            await self._locked()

    async def _locked(self) -> None:
        self._state = states.load(self._home) or states.new()
        with listen(self._state.port, self._home / states.FILE) as listener:
            self._state = replace(self._state, port=listener.getsockname()[1]).owned_by(os.getpid())
            processes = Processes()
            emulators = Emulators(self._home, processes, account=ACCOUNT, region=REGION)
            world = World(self._home / "world.sqlite3")
            # The emulator starts while this process imports the rest.
            starting = asyncio.create_task(emulators.start())
            try:
                await asyncio.sleep(0.02)
                await self._serve(listener, processes, emulators, world, starting)
            finally:
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await starting
                await emulators.stop()
                await processes.stop_all()
                world.close()
                states.save(self._home, self._state.down())
                _LOG.info("stopped")

    async def _serve(
        self, listener: socket.socket, processes: Processes, emulators: Emulators, world: World, starting: asyncio.Task[None]
    ) -> None:
        from pilotlight.twin.assembly import close, front_of, start, twin_of

        twin = twin_of(
            home=self._home,
            cache=states.cache_folder(),
            front_url=self._state.front_url,
            world=world,
            clock=clock_of(self._home),
            faults=Faults(),
            processes=processes,
            iam=Iam(world, self._state.secret, account=ACCOUNT),
            emulator_endpoint=emulators.endpoint,
            region=REGION,
        )
        control = Control(self._state.token, providers=partial(self._provide, twin), stop=self._end.set)
        front, forwarder = front_of(twin, control, emulators)
        server = Server(config(front))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await starting
            await start(twin)
            await self._return_providers(twin)
            control.twin = twin
            states.save(self._home, self._state)
            _LOG.info("ready at %s", self._state.front_url)
            ended = asyncio.create_task(self._end.wait())
            await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
        finally:
            control.twin = None
            await asyncio.to_thread(_stop_providers, twin)
            server.should_exit = True
            await serving
            await close(twin)
            forwarder.close()

    async def _provide(
        self, twin: Twin, folder: Path, environment: Mapping[str, str] | None = None, uses: Collection[str] = ()
    ) -> dict[str, int]:
        async with self._providers:
            remembered = self._state.providers.get(str(folder), {})
            try:
                ports = await asyncio.to_thread(_serve_providers, twin, folder, remembered, environment, uses)
            except OSError as error:
                raise TwinError(f"Providers for {folder}: {error}") from None
            if ports != remembered:
                self._state = replace(self._state, providers={**self._state.providers, str(folder): ports})
                states.save(self._home, self._state)
            return ports

    async def _return_providers(self, twin: Twin) -> None:
        """Bring back the provider servers of folders that had them: shells that hold their ports keep working."""
        for name in list(self._state.providers):
            if not await asyncio.to_thread(Path(name).is_dir):
                self._state = replace(self._state, providers={key: held for key, held in self._state.providers.items() if key != name})
                continue
            try:
                await self._provide(twin, Path(name))
            except TwinError as error:
                _LOG.warning("%s", error)


def _serve_providers(
    twin: Twin, folder: Path, ports: Mapping[str, int], environment: Mapping[str, str] | None, uses: Collection[str]
) -> dict[str, int]:
    # Imported here: it loads the Pulumi SDK, which a twin that only serves requests does not need.
    from pilotlight.twin import engine

    return engine.serve(twin, folder, ports, environment=environment, uses=uses)


def _stop_providers(twin: Twin) -> None:
    # Only where it was loaded: it takes a second, and a twin that served no providers has nothing to stop.
    engine = sys.modules.get("pilotlight.twin.engine")
    if engine is not None:
        engine.stop(twin)
