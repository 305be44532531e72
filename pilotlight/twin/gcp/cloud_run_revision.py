"""What a revision runs: a service's template read once, and one instance of it, the image's process behind its probes."""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pilotlight.twin.container import Container
from pilotlight.twin.forms import short
from pilotlight.twin.gcp import registry
from pilotlight.twin.gcp.log_entries import Source
from pilotlight.twin.gcp.logging_plane import logs_of
from pilotlight.twin.gcp.metadata import Identity
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.gcp.rows_compute import sends_through
from pilotlight.twin.gcp.rows_run import account_of
from pilotlight.twin.gcp.run_limits import GPU, quantity
from pilotlight.twin.images import ImageRefused
from pilotlight.twin.rows import Refusal
from pilotlight.twin.upstream import UpstreamError
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# Cloud Run API v2, RevisionTemplate: what holds where a program says nothing.
_TIMEOUT, _REQUESTS, _MAX_INSTANCES, _PORT = "300s", 80, 100, 8080
# Cloud Run documentation, "Configure container health checks": the probe of a container that has none.
_DEFAULT_PROBE: Mapping[str, Any] = {"tcpSocket": {}, "timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1}
# The same, and the provider's reference: what a readiness probe does not say. It begins when the instance has started and takes requests.
_READY_PERIOD_S, _READY_FAILURES, _READY_SUCCESSES = 10, 3, 2
# Cloud Run documentation, "Container runtime contract": SIGTERM, then ten seconds.
STOP_GRACE_S = 10.0
# Cloud Run documentation, "About instance autoscaling": how long an instance is kept that nobody asks, and one with a GPU.
IDLE_S, GPU_IDLE_S = 15 * 60.0, 10 * 60.0
# Asked more often than Cloud Run asks, which knows a second at the least: nobody is to wait for a container that is ready.
PROBE_EVERY_S = 0.02
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
    # Of its requests, on average, there are as many instances as to have none beyond that share; None: as many as there must be.
    target: float | None
    timeout_s: float
    idle_s: float
    declared_port: int
    probe: Mapping[str, Any]
    readiness: Mapping[str, Any] | None

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
        target=(template.get("scaling") or {}).get("concurrencyUtilization") or None,
        idle_s=GPU_IDLE_S if GPU in sizes else IDLE_S,
        timeout_s=seconds(template.get("timeout") or _TIMEOUT) or 0.0,
        declared_port=int(ports.get("containerPort") or _PORT),
        probe=container.get("startupProbe") or _DEFAULT_PROBE,
        readiness=container.get("readinessProbe"),
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
    """Made by `start`. `requests` are under way in it; `start_ms` is the time from the process's start to its first good probe;
    `on_ready` hears when it takes requests again."""

    def __init__(self, twin: Twin, revision: Revision) -> None:
        self.revision = revision
        self.requests = 0
        self.idle_since = 0.0
        self.start_ms = 0.0
        self.on_ready: Callable[[], None] = lambda: None
        self._ready = True
        self._watch: asyncio.Task[None] | None = None
        place = revision.identity
        self._logs = logs_of(twin)
        self._source = Source(
            project=place.project,
            location=place.region,
            service=revision.service,
            revision=revision.name,
            instance=secrets.token_hex(32),
        )
        self.container = Container(
            twin,
            name=f"service {revision.service}",
            image=revision.image,
            memory_mb=revision.memory_mb,
            command=revision.command,
            args=revision.args,
            on_line=self._said,
        )

    @classmethod
    async def start(cls, twin: Twin, revision: Revision, variables: Mapping[str, str]) -> Instance:
        """A ready instance. InstanceFailed when it ends or does not pass its startup probe in time."""
        instance = cls(twin, revision)
        began = time.perf_counter()
        own = {"K_SERVICE": revision.service, "K_REVISION": revision.name, "K_CONFIGURATION": revision.service}
        try:
            await instance.container.launch(revision.environment, {**variables, **own})
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
        if revision.readiness is not None:
            instance._watch = asyncio.get_running_loop().create_task(instance._watched(revision.readiness))
        return instance

    @property
    def usable(self) -> bool:
        return self.container.usable

    @property
    def free(self) -> bool:
        """Whether it takes one more request."""
        return self.usable and self._ready and self.requests < self.revision.requests

    def kill(self) -> None:
        """End its process at once, with all that it has under way."""
        self.container.kill()

    async def stop(self) -> None:
        """SIGTERM, and ten seconds for what it has under way."""
        if self._watch is not None:
            self._watch.cancel()
        await self.container.stop(STOP_GRACE_S)

    async def _until_ready(self) -> None:
        while True:
            if not self.container.running:
                raise self._failure(self.container.ended_how())
            if await self._passes(self.revision.probe):
                return
            await asyncio.sleep(PROBE_EVERY_S)

    async def _watched(self, probe: Mapping[str, Any]) -> None:
        """One that failed so often in a row gets no requests until it has passed so often: it is not ended."""
        failures, successes = probe.get("failureThreshold") or _READY_FAILURES, probe.get("successThreshold") or _READY_SUCCESSES
        alike = 0
        while self.container.running:
            await asyncio.sleep(float(probe.get("periodSeconds") or _READY_PERIOD_S))
            passed = await self._passes(probe)
            alike = alike + 1 if passed != self._ready else 0
            if alike < (successes if passed else failures):
                continue
            self._ready, alike = passed, 0
            if passed:
                self.on_ready()

    async def _passes(self, probe: Mapping[str, Any]) -> bool:
        """Whether the container says yes, once."""
        get = probe.get("httpGet")
        try:
            async with asyncio.timeout(float(probe.get("timeoutSeconds") or 1)):
                if get is None:
                    return await self.container.listens()
                answer = await self.container.send("GET", quote(get.get("path") or "/", safe=string.punctuation), [], b"")
                await answer.read()
        except (TimeoutError, UpstreamError, OSError):
            return False
        return 200 <= answer.status < 400

    def _said(self, line: str) -> None:
        if self._logs is not None:
            self._logs.write(self._source, line)

    def _failure(self, what: str) -> InstanceFailed:
        return InstanceFailed(
            f"Revision '{self.revision.name}' is not ready and cannot serve traffic. The user-provided container {what} "
            f"(PORT={self.revision.declared_port}; here each instance has a port of its own).{self.container.last_said()}"
        )
