"""The role `api`: the function of pattern 1 behind a gateway, in front of an endpoint that is reached over HTTP."""

from collections.abc import Callable, Mapping

from handlers.functions.answers import Answer
from handlers.functions.api import RESULTS, ApiFunction, ApiRequest, Endpoint
from handlers.functions.call_settings import CallSettings
from handlers.functions.deadline import Deadline, Sooner
from handlers.functions.deferral import Deferral
from handlers.functions.http_request import HttpRequest
from handlers.functions.problems import RouteUnknown
from handlers.web.app import Read
from handlers.web.process import Boot

PREDICT = "/predict"
Headers = Mapping[str, str]


class ApiRole:
    """Requests as the gateway hands them on, with the paths that it has itself."""

    def __init__(
        self,
        settings: CallSettings,
        endpoint: Endpoint,
        boot: Boot,
        *,
        max_answer_bytes: int,
        deferral: Deferral | None = None,
        owner: Callable[[Headers], str | None] = lambda headers: None,
        result_url: Callable[[Headers, str], str] = lambda headers, answer_id: f"{RESULTS}{answer_id}",
        waited_s: Callable[[Headers], float | None] = lambda headers: None,
    ) -> None:
        """With a `deferral` answers may come later: to whom one belongs, and where it is, is read off the headers of requests, and so is
        for how many seconds the caller has waited already, where the gateway tells it."""
        self._boot = boot
        self.max_body_bytes = settings.max_body_bytes
        self.request_timeout_s = settings.request_timeout_s
        self._later = deferral is not None
        self._owner, self._result_url, self._waited_s = owner, result_url, waited_s
        self._api = ApiFunction(settings, endpoint, max_answer_bytes=max_answer_bytes, take_stages=boot.take, deferral=deferral)

    def answer(self, read: Read, *, call_id: str, deadline: Deadline) -> Answer:
        """The answer for the gateway's client. Never raises."""
        self._boot.came()
        sooner = Sooner(deadline)
        return self._api.answer(lambda: self._request(read(), sooner), call_id=call_id, deadline=sooner)

    def _request(self, http: HttpRequest, deadline: Sooner) -> ApiRequest:
        waited_s = self._waited_s(http.headers)
        # Beyond its whole time nobody waits any more, or a clock is wrong: either way the work is worth its own time.
        if waited_s is not None and 0 <= waited_s < self.request_timeout_s:
            deadline.within(self.request_timeout_s - waited_s)
        known = (PREDICT, f"{RESULTS}ID") if self._later else (PREDICT,)
        if http.path != PREDICT and not (self._later and http.path.startswith(RESULTS)):
            raise RouteUnknown(f"There is {', '.join(known)}.")
        owner = self._owner(http.headers) if self._later else None
        return ApiRequest(http=http, owner=owner, url=lambda answer_id: self._result_url(http.headers, answer_id))
