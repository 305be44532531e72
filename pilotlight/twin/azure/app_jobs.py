"""Jobs of Container Apps: executions by a schedule or when somebody starts one, their replicas tried again as the job says."""

from __future__ import annotations

import asyncio
import collections
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pilotlight.twin.azure.apps_revision import GRACE_S, Program, program_of, short
from pilotlight.twin.azure.cron import cron_of
from pilotlight.twin.azure.inhabitants import Inhabitants
from pilotlight.twin.azure.job_clock import JobClock
from pilotlight.twin.azure.log_analytics import Lines
from pilotlight.twin.azure.monitor_counts import job_ended
from pilotlight.twin.azure.replica import CA_FOLDER
from pilotlight.twin.azure.types import JOB
from pilotlight.twin.container import Container
from pilotlight.twin.images import ImageRefused
from pilotlight.twin.rows import Refusal
from pilotlight.twin.timers import Timer
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"
# Container Apps documentation, "Jobs": executions that are kept in a job's history.
_KEPT = 100
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(kw_only=True)
class Execution:
    """One run of a job, of so many replicas. Times are in seconds of the twin's clock; `said` is what its last failed replica said."""

    name: str
    started: float
    status: str = RUNNING
    ended: float | None = None
    replicas: int = 0
    said: str = ""


class Jobs:
    """The jobs of a twin. Every method runs in the loop. A schedule's execution has ended before a fast-forward goes on."""

    def __init__(self, twin: Twin, authority: Path, inhabitants: Inhabitants) -> None:
        self._twin = twin
        self._authority = authority
        self._inhabitants = inhabitants
        self._clock = JobClock(twin)
        self._timers: dict[str, Timer] = {}
        self._history: dict[str, collections.deque[Execution]] = {}
        self._running: dict[str, set[Container]] = {}
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def history(self, job: Resource) -> list[Execution]:
        """The newest last."""
        return list(self._history.get(job.id, ()))

    def set(self, job: Resource) -> None:
        """Follow the job's schedule as it is now."""
        self._unset(job)
        schedule = job["configuration"].get("scheduleTriggerConfig")
        if job["configuration"]["triggerType"] != "Schedule" or not schedule:
            return
        cron = cron_of(schedule["cronExpression"], ZoneInfo("UTC"))

        async def due(at: float) -> str:
            execution = self.begin(job)
            await self._ended(job, execution)
            return f"{execution.name}: {execution.status}{f', {execution.said}' if execution.said else ''}"

        self._timers[job.id] = self._twin.timers.every(cron.next_after, due, f"job {short(job)}")

    async def remove(self, job: Resource) -> None:
        """No more executions; those under way are stopped."""
        self._unset(job)
        for task in self._tasks.pop(job.id, ()):
            task.cancel()
        await asyncio.gather(*(self._stop(container) for container in list(self._running.pop(job.id, ()))))
        self._history.pop(job.id, None)

    async def close(self) -> None:
        for job_id in {*self._timers, *self._running, *self._tasks}:
            if job := self._twin.world.get(JOB, job_id):
                await self.remove(job)

    def begin(self, job: Resource) -> Execution:
        """Start an execution."""
        execution = Execution(name=f"{short(job)}-{_word(7)}", started=self._twin.timers.now())
        self._history.setdefault(job.id, collections.deque(maxlen=_KEPT)).append(execution)
        task = self._twin.timers.spawn(self._run(job, execution))
        tasks = self._tasks.setdefault(job.id, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return execution

    def _unset(self, job: Resource) -> None:
        if timer := self._timers.pop(job.id, None):
            timer.cancel()

    async def _ended(self, job: Resource, execution: Execution) -> None:
        while execution.status == RUNNING and (tasks := list(self._tasks.get(job.id, ()))):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self, job: Resource, execution: Execution) -> None:
        """As many replicas as the job wants to succeed, some at a time. One that fails for good ends the execution."""
        configuration = job["configuration"]
        config = configuration.get(f"{configuration['triggerType'].lower()}TriggerConfig") or {}
        places = asyncio.Semaphore(int(config.get("parallelism") or 1))

        async def one() -> bool:
            async with places:
                return execution.status == RUNNING and await self._tried(job, execution)

        try:
            good = await asyncio.gather(*(one() for _ in range(int(config.get("replicaCompletionCount") or 1))))
            execution.status = SUCCEEDED if all(good) else FAILED
        except BaseException:
            execution.status = FAILED
            raise
        finally:
            execution.ended = self._twin.timers.now()
            job_ended(self._twin, job, execution.status)

    async def _tried(self, job: Resource, execution: Execution) -> bool:
        """Whether a replica ended well, tried as often as the job allows."""
        configuration = job["configuration"]
        for _ in range(1 + int(configuration.get("replicaRetryLimit") or 0)):
            try:
                status, said = await self._replica(job, execution, float(configuration["replicaTimeout"]))
            except (ImageRefused, Refusal) as error:
                status, said = 1, str(error)
            if status == 0:
                return True
            execution.said = said
        return False

    async def _replica(self, job: Resource, execution: Execution, timeout_s: float) -> tuple[int, str]:
        """The exit status of one replica, and what to say of it."""
        execution.replicas += 1
        program, name = program_of(self._twin, job), f"{execution.name}-{_word(5)}"
        container = Container(
            self._twin,
            name=f"replica {short(job)}",
            image=program.image,
            memory_mb=program.memory_mb,
            command=program.command,
            args=program.args,
            mounts={CA_FOLDER: self._authority, **self._clock.mounts},
            on_line=Lines(self._twin, program, name, execution=execution.name),
        )
        running = self._running.setdefault(job.id, set())
        running.add(container)
        self._inhabitants.enter(container, program.environment_id)
        try:
            await container.launch(program.environment, self._variables(job, execution, name, program))
            assert container.process is not None
            async with asyncio.timeout(timeout_s):
                status = await container.process.wait()
            return status, "" if status == 0 else f"{container.ended_how()} with status {status}.{container.last_said()}"
        except TimeoutError:
            return 1, f"did not end within {timeout_s:g} s.{container.last_said()}"
        finally:
            running.discard(container)
            await self._stop(container)

    def _variables(self, job: Resource, execution: Execution, replica: str, program: Program) -> Mapping[str, str]:
        """What Azure tells a job's container (documentation, "Manage environment variables", built-in ones), and where the twin is."""
        return {
            **self._twin.azure.variables(self._twin, job),
            **trusted(),
            **self._clock.variables(program.image, program.environment),
            "CONTAINER_APP_JOB_NAME": short(job),
            "CONTAINER_APP_JOB_EXECUTION_NAME": execution.name,
            "CONTAINER_APP_REPLICA_NAME": replica,
            "CONTAINER_APP_ENV_DNS_SUFFIX": program.domain,
        }

    async def _stop(self, container: Container) -> None:
        await container.stop(GRACE_S)
        self._inhabitants.leave(container)


def trusted() -> Mapping[str, str]:
    """How a container trusts the twin's certificates: the file is at a path of its own there."""
    return {name: f"{CA_FOLDER}/ca.pem" for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}


def _word(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
