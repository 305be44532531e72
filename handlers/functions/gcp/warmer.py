"""The role `warmer`: Cloud Scheduler posts {"parallel": 2}, and as many pings go to the endpoint, never through the gateway."""

import json
import time
from collections.abc import Mapping

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
from handlers.functions.warming import Send, Warmer, WarmingFailed, parallel_of
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
            told = self._warmer.warm(_parallel(request.body), batch_id=call_id, seconds=seconds_left(deadline))
        except RequestProblem as problem:
            return refusal(problem, call_id)
        except WarmingFailed as error:
            return refusal(ModelFailed(str(error)), call_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=call_id)
            return refusal(InternalFault("The pings could not be sent."), call_id)
        return Answer(200, {"content-type": "application/json"}, json.dumps(told))


def _parallel(body: bytes) -> int:
    try:
        asked = json.loads(body or b"{}")
        return parallel_of(asked if isinstance(asked, dict) else {"parallel": asked})
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"The body is no order of a schedule: {error}") from error


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
