"""The role `floor`: what drops the warming floor when the budget is spent: budget -> Pub/Sub -> this.

A budget publishes its state several times a day, whether a threshold is passed or not (Cloud Billing, "Programmatic notifications"), so
the message decides. First everything is stopped that would raise the floor again, then the floor goes. Doing it twice changes nothing
more; an `up` in between raises it until the next message.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handlers.functions import logs
from handlers.functions.answers import Answer
from handlers.functions.api import refusal
from handlers.functions.call_settings import request_timeout_s
from handlers.functions.deadline import Deadline
from handlers.functions.environment import Environment
from handlers.functions.gcp import metadata
from handlers.functions.gcp.pushes import message_of, require_push
from handlers.functions.problems import InternalFault, MalformedBody, NotReady, RequestProblem
from handlers.functions.rest import Api, ApiError
from handlers.web.app import Read
from handlers.web.process import Boot
from handlers.web.settings import ServerSettings

RESTORED_BY = "`pulumi up --refresh` restores the plan; an up without the refresh does not see what was dropped"
# Other addresses of the APIs, by the variables that gcloud has for them (gcloud topic configurations, api_endpoint_overrides).
_SCHEDULER = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER", "https://cloudscheduler.googleapis.com")
_RUN = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "https://run.googleapis.com")
_TIMEOUT_S = 10.0
_RETRY_AFTER_S = 60
_SERVICE = re.compile(r"projects/[^/,]+/locations/[^/,]+/services/[^/,]+")
_JOBS = re.compile(r"projects/[^/,]+/locations/[^/,]+/jobs/[^/,]+(,projects/[^/,]+/locations/[^/,]+/jobs/[^/,]+)*")


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What has a floor: jobs of Cloud Scheduler that set it or ping, and the service, each by its full name."""

    jobs: tuple[str, ...]
    service: str | None
    scheduler: Api = field(default_factory=lambda: _api(*_SCHEDULER))
    run: Api = field(default_factory=lambda: _api(*_RUN))

    @classmethod
    def read(cls, environment: Environment) -> "Floor":
        """Mistakes are collected in the environment."""
        jobs = environment.matching("SCHEDULES", _JOBS, "names of jobs, projects/P/locations/L/jobs/J, with commas between them")
        service = environment.matching("ENDPOINT_SERVICE", _SERVICE, "the endpoint's name, projects/P/locations/L/services/S")
        if not jobs and not service:
            environment.required("ENDPOINT_SERVICE", "the endpoint's name, or SCHEDULES to those of jobs: there is no floor otherwise")
        return cls(jobs=tuple((jobs or "").split(",")) if jobs else (), service=service)

    def drop(self) -> list[str]:
        """The names of what was done: one part after the other, whatever became of the one before. Raises the first ApiError then."""
        parts: list[tuple[Callable[[str], list[str]], str]] = [(self._paused, job) for job in self.jobs]
        if self.service is not None:
            parts.append((self._cooled, self.service))
        done, errors = list[str](), list[ApiError]()
        for part, name in parts:
            try:
                done += part(name)
            except ApiError as error:
                logs.write("floor_in_part", level="ERROR", part=name, message=str(error))
                errors.append(error)
        if errors:
            raise errors[0]
        return done

    def _paused(self, job: str) -> list[str]:
        """Not twice: a job must be enabled to be paused (Cloud Scheduler API, `jobs.pause`)."""
        if _sent(self.scheduler, "GET", f"/v1/{job}").get("state") != "ENABLED":
            return []
        _sent(self.scheduler, "POST", f"/v1/{job}:pause", {})
        return [f"paused {job}"]

    def _cooled(self, service: str) -> list[str]:
        if not _sent(self.run, "GET", f"/v2/{service}").get("scaling", {}).get("minInstanceCount"):
            return []
        # The scaling alone: a whole service would need its revision's name again.
        _sent(self.run, "PATCH", f"/v2/{service}?updateMask=scaling.minInstanceCount", {"scaling": {"minInstanceCount": 0}})
        return [f"cooled {service}"]


class FloorRole:
    """One process of the function."""

    max_body_bytes = 65_536

    def __init__(self, floor: Floor, timeout_s: float) -> None:
        self.request_timeout_s = timeout_s
        self._floor = floor

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """What was done. Never raises: what goes wrong is a problem document."""
        try:
            request = read()
            require_push(request)
            push = message_of(request)
            if push is None:
                raise MalformedBody("The request is no message of Pub/Sub.")
            if not spent(push.data):
                return _told([])
            done = self._floor.drop()
        except RequestProblem as problem:
            return refusal(problem, call_id)
        except ApiError:
            return refusal(NotReady("The floor is not dropped in every part yet.", retry_after_s=_RETRY_AFTER_S), call_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=call_id)
            return refusal(InternalFault("The floor could not be dropped."), call_id)
        if done:
            logs.write("floor_dropped", level="WARNING", request_id=call_id, done=done, restored_by=RESTORED_BY)
        return _told(done)


def spent(data: bytes) -> bool:
    """Whether a budget's message says that all of it is spent. Raises MalformedBody for one that is no budget's."""
    try:
        told: Any = json.loads(data)
        return float(told["costAmount"]) >= float(told["budgetAmount"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedBody(f"The message is no budget's: {type(error).__name__}: {error}.") from error


def _told(done: list[str]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps({"done": done}))


def _api(variable: str, address: str) -> Api:
    return Api((os.environ.get(variable) or address).rstrip("/"), timeout_s=_TIMEOUT_S, tokens=metadata.access_tokens())


def _sent(api: Api, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Raises ApiError."""
    content = None if body is None else json.dumps(body).encode()
    with api.asked(method, path, {"Content-Type": "application/json"}, content) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def make(variables: Mapping[str, str], boot: Boot) -> tuple[FloorRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server, floor = ServerSettings.read(environment, concurrency=1), Floor.read(environment)
    timeout_s = request_timeout_s(environment, 60)
    environment.check()
    return FloorRole(floor, timeout_s), server
