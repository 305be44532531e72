"""The provider servers: the real Pulumi engine attaches to them and finds the twin's rows instead of a cloud."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from pilotlight.twin import aws, azure, docker_build, gcp, judge, schema, settings
from pilotlight.twin.azure.settings import CONFIGURATION as AZURE
from pilotlight.twin.gcp.settings import CONFIGURATION as GOOGLE
from pilotlight.twin.lifecycle import Lifecycle
from pilotlight.twin.locks import Locks
from pilotlight.twin.provider import Package, Provider
from pilotlight.twin.tables import by_token
from pilotlight.twin.twin import Twin

# Creations wait (for an endpoint to start, for a delay that a test set), so there are more than an engine runs in parallel.
_THREADS = 128
# An artifact goes by path, but a function's inline code or a large policy goes in the message; the engine allows 400 MB.
_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass
class _Served:
    ports: dict[str, int] = field(default_factory=dict)
    servers: list[grpc.Server] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)


class Engine:
    """The provider servers of one twin: one per package and program folder."""

    def __init__(self, twin: Twin, provided: tuple[Package, ...] | None = None) -> None:
        self.twin = twin
        self._packages = provided if provided is not None else packages()
        self._lock = threading.Lock()
        self._locks = Locks()
        self._served: dict[Path, _Served] = {}
        self._warmed: set[str] = set()
        self.warming: threading.Thread | None = None

    def serve(
        self,
        program_dir: Path | str,
        ports: Mapping[str, int] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        uses: Collection[str] = (),
    ) -> dict[str, int]:
        """Start (or find) the servers for a program folder, to which relative paths of assets and contexts belong.

        Returns package name -> port on 127.0.0.1, for PULUMI_DEBUG_PROVIDERS. `ports` asks for the ports of an earlier run;
        OSError when one is taken. FileNotFoundError when there is no such folder. `environment` replaces what the providers see of
        the program's shell; `uses` names the packages that the program is about to use.
        """
        folder = Path(program_dir).resolve(strict=True)
        with self._lock:
            if folder not in self._served:
                self._served[folder] = self._start(folder, ports or {})
            if environment is not None:
                self._served[folder].environment = environment
            self._warm(uses)
            return dict(self._served[folder].ports)

    def stop(self, grace_s: float = 1.0) -> None:
        """Stop all servers; running operations get `grace_s` seconds."""
        with self._lock:
            ending = [server.stop(grace_s) for served in self._served.values() for server in served.servers]
            self._served.clear()
        for event in ending:
            event.wait()

    def _warm(self, uses: Collection[str]) -> None:
        """Load declarations while the engine starts its program: the first preview has not to wait for them."""
        cold = [package for package in self._packages if package.name in uses and package.name not in self._warmed]
        if cold:
            self._warmed |= {package.name for package in cold}
            self.warming = threading.Thread(target=_load, args=(cold,), name="provider-warm-up", daemon=True)
            self.warming.start()

    def _start(self, folder: Path, ports: Mapping[str, int]) -> _Served:
        served = _Served()
        try:
            for package in self._packages:
                served.servers.append(self._server(package, folder, served, ports.get(package.name, 0)))
        except OSError:
            for server in served.servers:
                server.stop(0)
            raise
        return served

    def _server(self, package: Package, folder: Path, served: _Served, port: int) -> grpc.Server:
        options = [
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix=f"provider-{package.name}"), options=options)
        lifecycle = Lifecycle(self.twin, package.rows, folder, self._locks)
        provider = Provider(self.twin, package, lifecycle, lambda: served.environment)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
        try:
            bound = server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError:
            bound = 0
        if not bound:
            raise OSError(f"Port {port} for provider {package.name!r} is taken: stop what listens there, or run `pilotlight down`.")
        server.start()
        served.ports[package.name] = bound
        return server


def _load(packages: Collection[Package]) -> None:
    for row in [row for package in packages for row in package.rows().values() if not row.token.startswith(package.rare)]:
        declared = schema.sdk_type(row.token)
        if declared is not None:
            judge.problems(row, declared, {})


@cache
def packages() -> tuple[Package, ...]:
    """The provider packages that the twin stands in for: those whose SDK is installed, since no program can use another."""
    known = (
        Package(name="aws", sdk="pulumi-aws", rows=aws.rows, invokes=aws.invokes, configuration=settings.AWS),
        Package(name="azure-native", sdk="pulumi-azure-native", rows=azure.rows, invokes=azure.invokes, configuration=AZURE),
        Package(name="docker-build", sdk="pulumi-docker-build", rows=partial(by_token, list(docker_build.ROWS))),
        Package(name="gcp", sdk="pulumi-gcp", rows=gcp.rows, invokes=gcp.invokes, configuration=GOOGLE, rare=gcp.RARE),
    )
    return tuple(package for package in known if find_spec(schema.SDKS[package.name]))


_ENGINES: dict[int, Engine] = {}
_ENGINES_LOCK = threading.Lock()


def engine_of(twin: Twin) -> Engine:
    """The one engine side of a twin."""
    with _ENGINES_LOCK:
        return _ENGINES.setdefault(id(twin), Engine(twin))


def serve(
    twin: Twin,
    program_dir: Path | str,
    ports: Mapping[str, int] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    uses: Collection[str] = (),
) -> dict[str, int]:
    """`Engine.serve` of the twin's engine side."""
    return engine_of(twin).serve(program_dir, ports, environment=environment, uses=uses)


def stop(twin: Twin) -> None:
    """Stop a twin's provider servers; nothing happens when it has none."""
    with _ENGINES_LOCK:
        engine = _ENGINES.pop(id(twin), None)
    if engine is not None:
        engine.stop()
