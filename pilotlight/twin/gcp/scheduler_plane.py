"""Jobs of Cloud Scheduler on the twin's clock: called as their accounts, tried again as they say."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight.twin.gcp.rows_scheduler import in_words
from pilotlight.twin.gcp.scheduler_api import VARIABLE, SchedulerApi
from pilotlight.twin.gcp.scheduler_calls import AttemptFailed, Calls
from pilotlight.twin.gcp.scheduler_retries import Retries
from pilotlight.twin.gcp.types import JOB
from pilotlight.twin.local_times import Recurrence, zone_of
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.unix_cron import UnixCron

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

_LOG = logging.getLogger(__name__)
ENABLED = "ENABLED"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A job's last one. `at` is when it began, in seconds since the epoch; `failure` is None where it went well."""

    at: float
    failure: AttemptFailed | None


class SchedulerPlane(Plane):
    """What was due while the twin was down is not made up for, and retries that waited then are lost, as with AWS's schedules here.

    A job has one run at a time, as on Google Cloud: one that is due meanwhile begins when the run before it has ended, several as one.
    """

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.attempts: dict[str, Attempt] = {}
        self._timers: dict[str, Timer] = {}
        self._running: set[str] = set()
        self._waiting: dict[str, float] = {}

    async def start(self) -> None:
        self._calls = Calls(self.twin)
        for job in self.twin.world.find(JOB):
            self.arm(job)
        self.twin.gcp.handlers[SchedulerApi.name] = SchedulerApi(self)
        self.twin.gcp.apis[VARIABLE] = SchedulerApi.name

    async def close(self) -> None:
        self.twin.gcp.apis.pop(VARIABLE, None)
        self.twin.gcp.handlers.pop(SchedulerApi.name, None)
        for timer in self._timers.values():
            timer.cancel()
        await self._calls.close()

    def create(self, resource: Resource) -> None:
        """Refusal for what the twin does not run: it must not look as if it would be called."""
        if in_words(resource["schedule"]):
            text = f"schedule: {resource['schedule']!r}: the local twin runs schedules of five fields, as '0 8 * * mon-fri'."
            raise Refusal("UNIMPLEMENTED", text, 501)
        if resource.get("appEngineHttpTarget"):
            raise Refusal("UNIMPLEMENTED", "appEngineHttpTarget: the local twin has no App Engine: use httpTarget or pubsubTarget.", 501)
        self.arm(resource)

    def update(self, old: Resource, new: Resource) -> None:
        self.create(new)

    def delete(self, resource: Resource) -> None:
        if (timer := self._timers.pop(resource.id, None)) is not None:
            timer.cancel()
        self.attempts.pop(resource.id, None)
        self._waiting.pop(resource.id, None)

    def arm(self, job: Resource) -> None:
        """Let a job be due as it says from now on, or not at all where it is paused. Thread-safe."""
        if (timer := self._timers.pop(job.id, None)) is not None:
            timer.cancel()
        if job["state"] == ENABLED:
            self._timers[job.id] = self.twin.timers.every(due_times(job), lambda due: self._due(job.id, due), f"job {job.id}")

    def due(self, job: Resource) -> float | None:
        """When a job runs next, in seconds since the epoch; None for one that is paused."""
        return due_times(job)(self.twin.clock.now()) if job["state"] == ENABLED else None

    async def run(self, job: Resource, due: float) -> str:
        """Try until it is taken or the job's retries end; what happened."""
        retries, began, done = Retries.of(job), self.twin.clock.now(), 0
        while True:
            try:
                said = await self._attempt(job, due)
                return f"{said} after {done} retries" if done else said
            except AttemptFailed as failed:
                _LOG.warning("The job %s failed: %s", job.id, failed)
                wait = retries.wait_s(done)
                if not retries.again(done, self.twin.clock.now() + wait - began):
                    return f"failed after {done} retries: {failed}" if done else f"failed: {failed}"
            await self.twin.timers.sleep(wait)
            done += 1
            if (live := self.twin.world.get(JOB, job.id)) is None or live["state"] != ENABLED:
                return f"stopped after {done - 1} retries: the job is {'gone' if live is None else 'paused'}"

    async def _attempt(self, job: Resource, due: float) -> str:
        at, failure = self.twin.clock.now(), None
        try:
            return await self._calls.attempt(job, due)
        except AttemptFailed as failed:
            failure = failed
            raise
        finally:
            self.attempts[job.id] = Attempt(at=at, failure=failure)

    async def _due(self, name: str, due: float) -> str:
        if name in self._running:
            # Not waited for: a fast-forward would wait for a run that waits for the clock.
            self._waiting[name] = due
            return "waits for the run before it"
        said: list[str] = []
        next_: float | None = due
        self._running.add(name)
        try:
            while next_ is not None:
                job = self.twin.world.get(JOB, name)
                said.append("it is gone" if job is None else await self.run(job, next_))
                next_ = self._waiting.pop(name, None)
        finally:
            self._running.discard(name)
        return "; ".join(said)


def due_times(job: Resource) -> Recurrence:
    return UnixCron.of(job["schedule"], zone_of(job["timeZone"])).next_after
