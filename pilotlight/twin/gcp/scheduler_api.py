"""Cloud Scheduler's own API, as far as jobs are watched and stopped: they are listed, one is read, paused, resumed, or run at once."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered
from pilotlight.twin.gcp.scheduler_calls import rfc3339
from pilotlight.twin.gcp.types import JOB
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.gcp.scheduler_plane import SchedulerPlane

VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER"
_JOBS = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+)/jobs")
_JOB = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+)(?::(pause|resume|run))?")
_SAME = ("description", "schedule", "timeZone", "state", "httpTarget", "pubsubTarget", "retryConfig", "attemptDeadline")
# Of each verb: its permission (Cloud Scheduler documentation, "IAM roles and permissions"), the state that a job must have, and gets.
_VERBS = {"pause": ("pause", "ENABLED", "PAUSED"), "resume": ("enable", "PAUSED", "ENABLED")}


class SchedulerApi(HttpApi):
    name = "scheduler-admin"
    host = "cloudscheduler.googleapis.com"

    def __init__(self, plane: SchedulerPlane) -> None:
        super().__init__(plane.twin)
        self._plane = plane

    async def answer(self, asked: Asked, send: Send) -> None:
        if asked.request.method == "GET" and (place := _JOBS.fullmatch(unquote(asked.path))):
            await respond(send, answered({"jobs": self._listed(asked, place[1])}))
            return
        match = _JOB.fullmatch(unquote(asked.path))
        if match is None or asked.request.method != ("POST" if match[2] else "GET"):
            served = "it lists and reads jobs (GET) and takes POST :pause, :resume and :run of one"
            raise Refusal("UNIMPLEMENTED", f"The local twin does not serve {asked.request.method} {asked.path}: {served}.", 501)
        name, verb = match[1], match[2]
        permission, needed, state = _VERBS.get(verb, (verb or "get", None, None))
        self.permit(asked, f"cloudscheduler.jobs.{permission}", name)
        job = self.twin.world.get(JOB, name)
        if job is None:
            raise Refusal("NOT_FOUND", f"Job not found: there is no {name}.", 404)
        if needed is not None and state is not None:
            job = self._set(job, needed, state)
        elif verb == "run":
            self.twin.timers.spawn(self._plane.run(job, self.twin.clock.now()))
        await respond(send, answered(self._described(job)))

    def _listed(self, asked: Asked, place: str) -> list[dict[str, Any]]:
        """Every job there: in one page, however many."""
        self.permit(asked, "cloudscheduler.jobs.list", place)
        return [self._described(job) for job in self.twin.world.find(JOB) if job.id.startswith(f"{place}/jobs/")]

    def _set(self, job: Resource, needed: str, state: str) -> Resource:
        if job["state"] != needed:
            raise Refusal("FAILED_PRECONDITION", f"Job {job.id} is {job['state']}: it must be {needed} to become {state}.")
        changed = replace(job, outputs={**job.outputs, "state": state, "paused": state == "PAUSED"})
        self.twin.world.put(changed)
        self._plane.arm(changed)
        return changed

    def _described(self, job: Resource) -> dict[str, Any]:
        """A job in the API's form. Of its last attempt it tells what this start of the twin has seen."""
        told: dict[str, Any] = {"name": job.id, **{field: job[field] for field in _SAME if job.get(field) is not None}}
        if (due := self._plane.due(job)) is not None:
            told["scheduleTime"] = rfc3339(due)
        if attempt := self._plane.attempts.get(job.id):
            failure = attempt.failure
            told["lastAttemptTime"] = rfc3339(attempt.at)
            told["status"] = {} if failure is None else {"code": failure.code, "message": str(failure)}
        return told
