"""One replica of a revision: the image's process behind its probes."""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure.apps_revision import Revision, short
from pilotlight.twin.azure.inhabitants import Inhabitants
from pilotlight.twin.azure.log_analytics import Lines
from pilotlight.twin.azure.probes import LIVENESS, READINESS, STARTUP, Probe
from pilotlight.twin.container import Container
from pilotlight.twin.images import ImageRefused

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# Asked more often than Azure asks, which knows a second at the least: nobody is to wait for a container that is ready.
PROBE_EVERY_S = 0.02
# Kubernetes documentation, "Deployments", progressDeadlineSeconds: how long a revision may take that says nothing else. Azure's error is
# that one's, "Deployment Progress Deadline Exceeded".
READY_S = 600.0
# A replica leaves the ingress before it is told to end; what was handed to it just then arrives meanwhile.
_ARRIVE_S = 0.1
_LETTERS = string.ascii_lowercase + string.digits
# Where a container finds the authority of the twin's certificates.
CA_FOLDER = "/opt/twin-ca"


class ReplicaFailed(Exception):
    """The container did not come up; the message says why, with what it said last."""


class Replica:
    """Made by `start`. `requests` are under way in it; `restarts` is how often it was started again."""

    def __init__(self, twin: Twin, revision: Revision, authority: Path, inhabitants: Inhabitants, ended: Callable[[Replica], None]) -> None:
        """`authority` is the folder that is shown at CA_FOLDER; `ended` hears of one that ended by itself, or was killed."""
        self.revision = revision
        self.name = f"{revision.name}-{_word(10)}-{_word(5)}"
        self.requests = 0
        self.restarts = 0
        self.since = 0.0
        self._inhabitants = inhabitants
        self._ended = ended
        self._leaving = False
        self._ready = False
        self._tasks: set[asyncio.Task[None]] = set()
        program = revision.program
        self.container = Container(
            twin,
            name=f"replica {short(program.owner)}",
            image=program.image,
            memory_mb=program.memory_mb,
            command=program.command,
            args=program.args,
            mounts={CA_FOLDER: authority},
            on_line=Lines(twin, program, self.name, revision=revision.name),
        )

    @classmethod
    async def start(
        cls,
        twin: Twin,
        revision: Revision,
        variables: Mapping[str, str],
        *,
        authority: Path,
        inhabitants: Inhabitants,
        ended: Callable[[Replica], None],
    ) -> Replica:
        """A replica that takes requests. ReplicaFailed when it ends, or does not pass its probes in time."""
        replica = cls(twin, revision, authority, inhabitants, ended)
        try:
            await replica._launch(variables)
            await replica._until(STARTUP, "did not start", startup.longest_s if (startup := revision.probes.get(STARTUP)) else 0)
            # A probe for readiness that fails ends nothing: it is only not ready yet.
            await replica._until(READINESS, "is not ready", READY_S)
        except ImageRefused as error:
            await replica.stop(grace_s=0)
            raise ReplicaFailed(str(error)) from None
        except BaseException:
            await replica.stop(grace_s=0)
            raise
        replica._ready, replica.since = True, time.monotonic()
        replica._watch()
        return replica

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self._ready and not self._leaving and self.container.usable

    def kill(self) -> None:
        """End its process at once, with all that it has under way."""
        self.container.kill()

    async def stop(self, grace_s: float | None = None) -> None:
        """No more requests; SIGTERM, and the revision's time for what it has under way."""
        self._leaving = True
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        grace = self.revision.grace_s if grace_s is None else grace_s
        if self.requests:
            await asyncio.sleep(_ARRIVE_S)
        await self.container.stop(grace)
        self._inhabitants.leave(self.container)

    async def _launch(self, variables: Mapping[str, str]) -> None:
        program, revision = self.revision.program, self.revision
        own = {
            "CONTAINER_APP_NAME": short(program.owner),
            "CONTAINER_APP_REVISION": revision.name,
            "CONTAINER_APP_REPLICA_NAME": self.name,
            "CONTAINER_APP_ENV_DNS_SUFFIX": program.domain,
        }
        if revision.port is not None:
            # The port is this machine's, as in PORT.
            own |= {"CONTAINER_APP_PORT": str(self.container.port), "CONTAINER_APP_HOSTNAME": f"{revision.name}.{program.domain}"}
        self._inhabitants.enter(self.container, program.environment_id)
        await self.container.launch(program.environment, {**variables, **own})

    async def _until(self, kind: str, what: str, longest_s: float) -> None:
        """Wait for the first good answer. ReplicaFailed where it does not come in that time."""
        probe, program = self.revision.probes.get(kind), self.revision.program
        if self.revision.wrong_port:
            raise self._failure(f"listens on port {program.listens}, and the ingress's targetPort is {self.revision.port}")
        end = time.monotonic() + longest_s
        while self.container.running:
            if probe is None or await probe.passes(self.container, program.listens):
                return
            if time.monotonic() > end:
                raise self._failure(f"{what} within {longest_s:g} s")
            await asyncio.sleep(PROBE_EVERY_S)
        raise self._failure(self.container.ended_how())

    def _watch(self) -> None:
        """Look after it as long as it runs."""
        self._task(self._wait())
        for kind, seen in ((READINESS, self._seen_ready), (LIVENESS, self._seen_alive)):
            if probe := self.revision.probes.get(kind):
                self._task(self._ask(probe, seen))

    async def _wait(self) -> None:
        assert self.container.process is not None
        await self.container.process.wait()
        if not self._leaving:
            self._ended(self)

    async def _ask(self, probe: Probe, seen: Callable[[bool], None]) -> None:
        """Tell what a probe finds when it has found it as often as it must."""
        good = bad = 0
        while True:
            await asyncio.sleep(probe.period_s)
            passed = await probe.passes(self.container, self.revision.program.listens)
            good, bad = (good + 1, 0) if passed else (0, bad + 1)
            if good >= probe.successes or bad >= probe.failures:
                seen(passed)

    def _seen_ready(self, passed: bool) -> None:
        self._ready = passed

    def _seen_alive(self, passed: bool) -> None:
        """A container that does not answer is started anew: here another replica takes its place."""
        if not passed:
            self.kill()

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _failure(self, what: str) -> ReplicaFailed:
        container = self.revision.program.owner["template"]["containers"][0]["name"]
        return ReplicaFailed(
            f"Revision {self.revision.name} is not ready: the container {container!r} {what} (here each replica has a port of its own, "
            f"in PORT).{self.container.last_said()}"
        )


def _word(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
