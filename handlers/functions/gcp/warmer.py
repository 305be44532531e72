"""The role `warmer`: Cloud Scheduler posts {"parallel": 4, "instances": 2}, and four pings go to the endpoint, never through the gateway,
so that two instances that take two requests each stay warm. With "until" it does so before that moment: a job has no end.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.functions import logs, pings
from handlers.functions.answers import Answer
from handlers.functions.api import refusal
from handlers.functions.deadline import Deadline, seconds_left
from handlers.functions.environment import Environment
from handlers.functions.gcp.app import Read
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.pushes import require_push
from handlers.functions.gcp.settings import ServerSettings, endpoint_url, request_timeout_s
from handlers.functions.logs import CUSTOM_ATTRIBUTES_HEADER
from handlers.functions.pings import Ping
from handlers.functions.problems import InputRefused, InternalFault, ModelFailed, RequestProblem
from handlers.functions.warming import Send, Warmer, WarmingFailed, instances_of, parallel_of
from handlers.web.process import Boot

# The model server reads pings on this route alone, which no gateway leads to.
_ROUTE = "/invocations"
# A worst cold start, with a large model on a GPU.
_TIMEOUT_S = 240.0


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
            return cls(parallel=parallel_of(order), instances=instances_of(order), until=_moment(order.get("until")))
        except (ValueError, RecursionError) as error:
            raise InputRefused(f"The body is no order of a schedule: {error}") from error

    def over(self, now: datetime) -> bool:
        """Whether its lease has ended."""
        return self.until is not None and now >= self.until


def _moment(text: Any) -> datetime | None:
    """Raises ValueError."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"until is {text!r}: use a moment with its offset, 2027-01-31T23:00:00Z, say.")
    return moment


def _told(of: Mapping[str, Any]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps(of))


def to_service(endpoint: CloudRunEndpoint, timeout_s: float) -> Send:
    """Pings of a Cloud Run service."""
    body = json.dumps(pings.REQUEST).encode()

    def send(ping: Ping) -> bytes:
        headers = {CUSTOM_ATTRIBUTES_HEADER: ping.attributes, "X-Request-Id": ping.request_id}
        answer, said = endpoint.post(_ROUTE, body, headers, until=time.monotonic() + timeout_s)
        if answer.status != 200:
            raise WarmingFailed(f"{answer.status} {answer.reason}: {said[:300].decode(errors='replace')}")
        return said

    return send


def make(variables: Mapping[str, str], boot: Boot) -> tuple[WarmerRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server = ServerSettings.read(environment, concurrency=1)
    url, timeout_s = endpoint_url(environment), request_timeout_s(environment, _TIMEOUT_S)
    environment.check()
    return WarmerRole(to_service(CloudRunEndpoint(url), timeout_s), timeout_s, environment.text("SERVICE")), server
