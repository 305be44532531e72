"""What a revision runs: a service's template read once, and one instance of it, the image's process behind its startup probe."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pilotlight.twin.gcp import registry
from pilotlight.twin.gcp.log_entries import Source
from pilotlight.twin.gcp.logging_plane import logs_of
from pilotlight.twin.gcp.metadata import Identity
from pilotlight.twin.gcp.names import seconds, short
from pilotlight.twin.gcp.rows_compute import sends_through
from pilotlight.twin.gcp.rows_run import account_of
from pilotlight.twin.gcp.run_limits import quantity
from pilotlight.twin.images import ImageRefused
from pilotlight.twin.ports import port_for_later
from pilotlight.twin.processes import Process
from pilotlight.twin.rows import Refusal
from pilotlight.twin.upstream import Answer, Headers, Upstream, UpstreamError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# Cloud Run API v2, RevisionTemplate: what holds where a program says nothing.
_TIMEOUT, _REQUESTS, _MAX_INSTANCES, _PORT = "300s", 80, 100, 8080
# Cloud Run documentation, "Configure container health checks": the probe of a container that has none.
_DEFAULT_PROBE: Mapping[str, Any] = {"tcpSocket": {}, "timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1}
# Cloud Run documentation, "Container runtime contract": SIGTERM, then ten seconds.
STOP_GRACE_S = 10.0
# Asked more often than Cloud Run asks, which knows a second at the least: nobody is to wait for a container that is ready.
PROBE_EVERY_S = 0.02
# A connection is not used again later than this: servers close idle ones after a few seconds (uvicorn: 5), and a request that meets
# the closing would be lost.
KEEP_ALIVE_S = 2.0
_TAIL_LINES = 40
# What an instance is told otherwise here: this machine's image is the one of CPUs (Dockerfile, dev.pilotlight.local-requirements).
_WITHOUT_GPU = {"REQUIRE_GPU": "0"}
_MIB = 2**20


class InstanceFailed(Exception):
    """The container did not come up; the message is Cloud Run's, with what the container said last."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One revision. `environment` is what the program declared; times are in seconds."""

    name: str
    service: str
    identity: Identity
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]
    memory_mb: int
    requests: int
    max_instances: int
    timeout_s: float
    declared_port: int
    probe: Mapping[str, Any]

    @property
    def start_s(self) -> float:
        """How long a start may take by its probe."""
        first, period = self.probe.get("initialDelaySeconds") or 0, self.probe.get("periodSeconds") or 10
        return float(first + period * (self.probe.get("failureThreshold") or 3))


def revision_of(twin: Twin, service: Resource) -> Revision:
    """The revision that a service's template makes. Refusal for what the twin does not run."""
    template = service["template"]
    containers = template["containers"]
    if len(containers) != 1:
        raise Refusal(
            "UNIMPLEMENTED", f"Service {service['name']} has {len(containers)} containers: the local twin runs services with one."
        )
    container = containers[0]
    pushed = registry.image(twin.world, container["image"])
    if pushed is None:
        raise Refusal("FAILED_PRECONDITION", f"Image {container['image']!r} not found: push it, or bring the stack up again.")
    ports = container.get("ports") or {}
    sizes = (container.get("resources") or {}).get("limits") or {}
    return Revision(
        name=short(service["latestReadyRevision"]),
        service=short(service["name"]),
        identity=Identity(
            email=account_of(service.outputs), project=service["project"], region=service["location"], subnetwork=sends_through(service)
        ),
        image=pushed["digest"],
        command=tuple(container.get("commands") or ()),
        args=tuple(container.get("args") or ()),
        environment=_declared(service, container),
        memory_mb=int((quantity(sizes.get("memory", "512Mi")) or 0) // _MIB),
        requests=int(template.get("maxInstanceRequestConcurrency") or _REQUESTS),
        max_instances=int((template.get("scaling") or {}).get("maxInstanceCount") or _MAX_INSTANCES),
        timeout_s=seconds(template.get("timeout") or _TIMEOUT) or 0.0,
        declared_port=int(ports.get("containerPort") or _PORT),
        probe=container.get("startupProbe") or _DEFAULT_PROBE,
    )


def floor_of(service: Resource) -> int:
    """How many instances are kept: the service's number, or its template's."""
    return max(int((where or {}).get("minInstanceCount") or 0) for where in (service.get("scaling"), service["template"].get("scaling")))


def _declared(service: Resource, container: Mapping[str, Any]) -> dict[str, str]:
    declared: dict[str, str] = {}
    for one in container.get("envs") or []:
        if one.get("valueSource"):
            raise Refusal("UNIMPLEMENTED", f"Service {service['name']}: the variable {one['name']} comes from a secret: use a value here.")
        declared[one["name"]] = one.get("value") or ""
    return declared


class Instance:
    """Made by `start`. `requests` are under way in it; `start_ms` is the time from the process's start to its first good probe."""

    def __init__(self, twin: Twin, revision: Revision) -> None:
        self.revision = revision
        self.requests = 0
        self.idle_since = 0.0
        self.start_ms = 0.0
        self._twin = twin
        self._port = port_for_later()
        self._host = (b"host", f"127.0.0.1:{self._port}".encode())
        self._tail: list[str] = []
        place = revision.identity
        self._logs = logs_of(twin)
        self._source = Source(
            project=place.project,
            location=place.region,
            service=revision.service,
            revision=revision.name,
            instance=secrets.token_hex(32),
        )
        self._scratch = twin.home / "run" / "tmp" / secrets.token_hex(8)
        self._process: Process | None = None
        self._leaving = False
        # How long an answer may take is the service's to say, up to an hour.
        self._upstream = Upstream(self._port, answer_s=None, rest_s=KEEP_ALIVE_S)

    @classmethod
    async def start(cls, twin: Twin, revision: Revision, variables: Mapping[str, str]) -> Instance:
        """A ready instance. InstanceFailed when it ends or does not pass its startup probe in time."""
        instance = cls(twin, revision)
        began = time.perf_counter()
        try:
            await instance._launch(variables)
            async with asyncio.timeout(revision.start_s):
                await instance._until_ready()
        except TimeoutError:
            await instance.stop()
            raise instance._failure(f"failed to start and listen on its port within {revision.start_s:g} s") from None
        except ImageRefused as error:
            await instance.stop()
            raise InstanceFailed(str(error)) from None
        except BaseException:
            await instance.stop()
            raise
        instance.start_ms = (time.perf_counter() - began) * 1000
        return instance

    @property
    def usable(self) -> bool:
        return self._process is not None and self._process.running and not self._leaving

    @property
    def free(self) -> bool:
        """Whether it takes one more request."""
        return self.usable and self.requests < self.revision.requests

    async def send(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """The container's answer, its body not read yet; how long it may take is the caller's to say. UpstreamError when there is none."""
        # Headers may be of any bytes.
        raw: Headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return await self._upstream.send(method, target.encode("latin-1"), [self._host, *raw], body)

    def kill(self) -> None:
        """End its process at once, with all that it has under way."""
        self._leaving = True
        if self._process is not None and self._process.running:
            self._process.signal(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and ten seconds for what it has under way."""
        self._leaving = True
        if self._process is not None:
            await self._process.stop(STOP_GRACE_S)
        self._upstream.close()
        await asyncio.get_running_loop().run_in_executor(None, lambda: shutil.rmtree(self._scratch, ignore_errors=True))

    async def _launch(self, variables: Mapping[str, str]) -> None:
        revision = self.revision
        env = {
            **revision.environment,
            **{name: value for name, value in _WITHOUT_GPU.items() if name in revision.environment},
            **variables,
            # Services share this machine's ports, so that each instance gets another than the declared one, and no other interface.
            "PORT": str(self._port),
            "BIND_HOST": "127.0.0.1",
            "K_SERVICE": revision.service,
            "K_REVISION": revision.name,
            "K_CONFIGURATION": revision.service,
        }
        self._process = await self._twin.images.launch(
            revision.image,
            env=env,
            mounts={},
            memory_mb=revision.memory_mb,
            on_line=self._said,
            name=f"service {revision.service}",
            argv=(*revision.command, *revision.args) if revision.command else None,
            argv_suffix=revision.args,
            scratch=self._scratch,
            scratch_mb=revision.memory_mb,
        )

    async def _until_ready(self) -> None:
        while True:
            if self._process is None or not self._process.running:
                out_of_memory = self._process is not None and self._process.out_of_memory
                raise self._failure(f"needs more than its {self.revision.memory_mb} MiB of memory" if out_of_memory else "exited")
            with contextlib.suppress(UpstreamError, OSError):
                if await self._ready():
                    return
            await asyncio.sleep(PROBE_EVERY_S)

    async def _ready(self) -> bool:
        get = self.revision.probe.get("httpGet")
        if get is None:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.close()
            return True
        async with asyncio.timeout(float(self.revision.probe.get("timeoutSeconds") or 1)):
            answer = await self.send("GET", quote(get.get("path") or "/", safe=string.punctuation), [], b"")
            await answer.read()
        return 200 <= answer.status < 400

    def _said(self, line: str) -> None:
        self._tail = [*self._tail[-_TAIL_LINES + 1 :], line]
        if self._logs is not None:
            self._logs.write(self._source, line)

    def _failure(self, what: str) -> InstanceFailed:
        if self._process is not None:
            self._process.drain()
        said = f" It said: {' | '.join(self._tail[-3:])}" if self._tail else ""
        return InstanceFailed(
            f"Revision '{self.revision.name}' is not ready and cannot serve traffic. The user-provided container {what} "
            f"(PORT={self.revision.declared_port}; here each instance has a port of its own).{said}"
        )
