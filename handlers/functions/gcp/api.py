"""The role `api`: the function of pattern 1 behind API Gateway, in front of a Cloud Run service."""

import functools
from collections.abc import Mapping

from handlers.functions.answers import Answer
from handlers.functions.api import RESULTS, ApiFunction, ApiRequest, Endpoint
from handlers.functions.deadline import HAND_OVER_S, Deadline
from handlers.functions.environment import Environment
from handlers.functions.gcp import callers
from handlers.functions.gcp.app import Read
from handlers.functions.gcp.deferral import make_deferral
from handlers.functions.gcp.endpoint import CloudRunEndpoint
from handlers.functions.gcp.settings import MAX_ANSWER_BYTES, AnswerSettings, CallSettings, ServerSettings
from handlers.functions.http_request import HttpRequest
from handlers.functions.problems import RouteUnknown
from handlers.web.process import Boot

_PREDICT = "/predict"


class ApiRole:
    """Requests as the gateway hands them on, with the paths that it has itself."""

    def __init__(
        self, settings: CallSettings, endpoint: Endpoint, boot: Boot, kept: AnswerSettings | None = None, *, calls: int = 1
    ) -> None:
        """With `kept` answers may come later; `calls` is how many come at a time."""
        self._boot = boot
        self.max_body_bytes = settings.max_body_bytes
        self.request_timeout_s = settings.request_timeout_s
        self._kept = kept
        deferral = None
        if kept is not None:
            deferral = make_deferral(kept, settings.endpoint_timeout_s, settings.service, calls=calls)
        self._api = ApiFunction(settings, endpoint, max_answer_bytes=MAX_ANSWER_BYTES, take_stages=boot.take, deferral=deferral)

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """The answer for the gateway's client. Never raises."""
        self._boot.came()
        return self._api.answer(lambda: self._request(read()), call_id=call_id, deadline=deadline)

    def _request(self, http: HttpRequest) -> ApiRequest:
        known = (_PREDICT,) if self._kept is None else (_PREDICT, f"{RESULTS}ID")
        if http.path != _PREDICT and not (self._kept and http.path.startswith(RESULTS)):
            raise RouteUnknown(f"There is {', '.join(known)}.")
        whose = None if self._kept is None else callers.owner(http.headers, self._kept.auth)
        return ApiRequest(http=http, owner=whose, url=functools.partial(callers.result_url, http.headers))


def make(variables: Mapping[str, str], boot: Boot) -> tuple[ApiRole, ServerSettings]:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    server = ServerSettings.read(environment)
    kept = AnswerSettings.read(environment, sends=True) if AnswerSettings.wanted(environment) else None
    # What is handed over needs its share of the endpoint's time.
    calls = CallSettings.read(environment, least_s=0.1 if kept is None else HAND_OVER_S + 0.1)
    environment.check()
    return ApiRole(calls, CloudRunEndpoint(calls.endpoint_url), boot, kept, calls=server.concurrency), server
