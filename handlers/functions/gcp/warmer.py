"""The role `warmer`: Cloud Scheduler posts {"parallel": 4, "instances": 2}, and four pings go to the endpoint, never through the gateway,
so that two instances that take two requests each stay warm. With "until" it does so before that moment: a job has no end.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.functions import http_pings, logs
from handlers.functions.answers import Answer
from handlers.functions.api import refusal
from handlers.functions.call_settings import endpoint_url, request_timeout_s
from handlers.functions.deadline import Deadline, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.pushes import require_push
from handlers.functions.problems import InputRefused, InternalFault, ModelFailed, RequestProblem
from handlers.functions.warming import Send, Warmer, WarmingFailed, instances_of, parallel_of
from handlers.web.app import Read
from handlers.web.process import Boot
from handlers.web.settings import ServerSettings


class WarmerRole:
    """One process of the warmer."""

    max_body_bytes = 65_536

    def __init__(self, send: Send, timeout_s: float, service: str | None) -> None:
        self.request_timeout_s = timeout_s
        self._warmer = Warmer(send, service)

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """What came of the pings. Never raises: what goes wrong is a problem document."""
        try:
            request = read()
            require_push(request)
            order = Order.read(request.body)
            if order.over(datetime.now(UTC)):
                return _told({"over": str(order.until)})
            told = self._warmer.warm(order.parallel, batch_id=call_id, seconds=seconds_left(deadline), instances=order.instances)
        except RequestProblem as problem:
            return refusal(problem, call_id)
        except WarmingFailed as error:
            return refusal(ModelFailed(str(error)), call_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=call_id)
            return refusal(InternalFault("The pings could not be sent."), call_id)
        return _told(told)


@dataclass(frozen=True, kw_only=True)
class Order:
    """Pings, the instances that should answer them, and the moment from which on none is sent."""

    parallel: int
    instances: int | None
    until: datetime | None

    @classmethod
    def read(cls, body: bytes) -> "Order":
        """Raises InputRefused."""
        try:
            asked = json.loads(body or b"{}")
            order = asked if isinstance(asked, dict) else {"parallel": asked}
            return cls(parallel=parallel_of(order), instances=instances_of(order), until=http_pings.moment(order.get("until")))
        except (ValueError, RecursionError) as error:
            raise InputRefused(f"The body is no order of a schedule: {error}") from error

    def over(self, now: datetime) -> bool:
        """Whether its lease has ended."""
        return self.until is not None and now >= self.until


def _told(of: Mapping[str, Any]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps(of))


def make(variables: Mapping[str, str], boot: Boot) -> tuple[WarmerRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server = ServerSettings.read(environment, concurrency=1)
    url, timeout_s = endpoint_url(environment), request_timeout_s(environment, http_pings.TIMEOUT_S)
    environment.check()
    return WarmerRole(http_pings.to_service(CloudRunEndpoint(url), timeout_s), timeout_s, environment.text("SERVICE")), server
