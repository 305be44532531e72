"""The role `api`: the function of pattern 1 behind API Gateway, in front of a Cloud Run service."""

from collections.abc import Mapping

from handlers.functions.answers import Answer
from handlers.functions.api import RESULTS, ApiFunction, ApiRequest
from handlers.functions.deadline import Deadline
from handlers.functions.environment import Environment
from handlers.functions.gcp.app import Read
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.settings import MAX_ANSWER_BYTES, CallSettings, ServerSettings
from handlers.functions.problems import RouteUnknown
from handlers.web.process import Boot

_PREDICT = "/predict"


class ApiRole:
    """Requests as the gateway hands them on, with the paths that it has itself."""

    def __init__(self, settings: CallSettings, boot: Boot) -> None:
        self._boot = boot
        self.max_body_bytes = settings.max_body_bytes
        self.request_timeout_s = settings.request_timeout_s
        endpoint = CloudRunEndpoint(settings.endpoint_url)
        self._api = ApiFunction(settings, endpoint, max_answer_bytes=MAX_ANSWER_BYTES, take_stages=boot.take)

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """The answer for the gateway's client. Never raises."""
        self._boot.came()
        return self._api.answer(lambda: _request(read), call_id=call_id, deadline=deadline)


def _request(read: Read) -> ApiRequest:
    http = read()
    if http.path != _PREDICT:
        raise RouteUnknown(f"There is {_PREDICT}.")
    return ApiRequest(http=http, owner=None, url=lambda answer_id: f"{RESULTS}{answer_id}")


def make(variables: Mapping[str, str], boot: Boot) -> tuple[ApiRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server, calls = ServerSettings.read(environment), CallSettings.read(environment)
    environment.check()
    return ApiRole(calls, boot), server
