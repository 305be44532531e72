"""The function of pattern 1, whatever the cloud: validate, pre-process, call the endpoint, post-process; answers may come later.

A cloud's folder reads what its gateway sends into `ApiRequest`s, and sends the answers.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from handlers.functions import idempotency, logs, metrics, problems, requests
from handlers.functions.answers import Answer
from handlers.functions.deadline import Deadline, of_headers, seconds_left
from handlers.functions.deferral import Call, Deferral, wants_later
from handlers.functions.endpoint import EndpointAnswer, normalised
from handlers.functions.http_request import HttpRequest, require_post
from handlers.functions.problems import BodyTooLarge, DeadlineExceeded, InternalFault, MethodNotAllowed, RequestProblem, Throttled
from handlers.functions.settings import FunctionSettings

MAX_INPUTS = 256
RESULTS = "/results/"
# A function's own part of a cold start, in milliseconds: for the first call that it answers, nothing for every later one.
TakeStages = Callable[[], dict[str, float]]


class Endpoint(Protocol):
    """The model, somewhere else."""

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> EndpointAnswer:
        """The answer within `budget_s` seconds. Raises RequestProblem."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRequest:
    """A request, whom its answer belongs to (None when nobody is told), and where an answer of some id will be."""

    http: HttpRequest
    owner: str | None
    url: Callable[[str], str]


class ApiFunction:
    """One process of the function; it can answer several requests at a time.

    With a `deferral` a request may be answered later, and `GET …/results/ID` gives what it was answered.
    """

    def __init__(
        self,
        settings: FunctionSettings,
        endpoint: Endpoint,
        *,
        max_answer_bytes: int,
        take_stages: TakeStages,
        deferral: Deferral | None = None,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._max_answer_bytes = max_answer_bytes
        self._take_stages = take_stages
        self._deferral = deferral

    def answer(self, read: Callable[[], ApiRequest], *, call_id: str, deadline: Deadline) -> Answer:
        """The answer to what `read` gives or why it raises; `call_id` names the call where the gateway does not.

        Never raises: what goes wrong is a problem document.
        """
        started = time.monotonic()
        request_id = gateway_id = call_id
        try:
            request = read()
            gateway_id = request.http.request_id or gateway_id
            request_id = logs.request_id(request.http.headers, gateway_id)
            answer = self._result(request, request_id) or self._predict(request, request_id, deadline)
        except RequestProblem as problem:
            answer = refusal(problem, request_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=request_id)
            answer = refusal(InternalFault("The request could not be handled."), request_id)
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        # Both: an access log knows nothing of an id that the caller chose.
        logs.write("request", request_id=request_id, gateway_request_id=gateway_id, status=answer.status, ms=milliseconds)
        return Answer(answer.status, {**answer.headers, "x-request-id": request_id}, answer.body)

    def _result(self, request: ApiRequest, request_id: str) -> Answer | None:
        """What a path of results names, None for another path."""
        answer_id = _result_of(request.http)
        if self._deferral is None or answer_id is None:
            return None
        if request.http.method != "GET":
            raise MethodNotAllowed("An answer takes GET.", allow="GET")
        return self._deferral.answers.result(answer_id, owner=request.owner, request_id=request_id, url=request.url(answer_id))

    def _predict(self, request: ApiRequest, request_id: str, deadline: Deadline) -> Answer:
        http = request.http
        require_post(http)
        self._require_size(http.body)
        # Checked here already, so that a request which can only fail does not wake an endpoint that sleeps.
        task = self._settings.task
        asked = requests.parse(http.body, http.content_type, max_inputs=MAX_INPUTS, kind=requests.takes(task))
        requests.check(task, asked)
        if self._deferral is None:
            idempotency.refuse_key(http.headers)
            # Where answers can come later, that is the way out of a caller's haste.
            budget_s = min(self._settings.endpoint_timeout_s, seconds_left(deadline), of_headers(http.headers))
            if budget_s <= 0:
                raise DeadlineExceeded("No time was left to call the model.")
            try:
                return self._ask(self._body(asked), request_id, budget_s)
            except Throttled:
                # The caller is refused; where answers can come later it is not.
                metrics.count(self._settings.service, {metrics.REQUESTS_THROTTLED: 1}, request_id=request_id)
                raise
        call = Call(
            body=self._body(asked),
            request_id=request_id,
            owner=request.owner,
            url=request.url,
            key=idempotency.key_of(http.headers),
            at_once=wants_later(http.headers.get("prefer", "")),
        )
        return self._deferral.respond(call, lambda seconds: self._ask(call.body, request_id, seconds), deadline)

    def _ask(self, body: bytes, request_id: str, budget_s: float) -> Answer:
        answer = self._endpoint.invoke(body, request_id=request_id, budget_s=budget_s)
        stages = self._take_stages() | {f"endpoint-{name}": ms for name, ms in answer.cold_start.items()}
        if stages:
            logs.write("cold_start", request_id=request_id, stages=stages)
            metrics.cold_start(self._settings.service, stages, request_id=request_id)
        timing = {"server-timing": ", ".join(f"{name};dur={ms:g}" for name, ms in stages.items())} if stages else {}
        return Answer(200, {"content-type": "application/json", **timing}, answer.text(self._max_answer_bytes))

    def _body(self, asked: requests.PredictionRequest) -> bytes:
        body = normalised(asked)
        self._require_size(body)
        return body

    def _require_size(self, body: bytes) -> None:
        if len(body) > self._settings.max_body_bytes:
            raise BodyTooLarge(f"The body has {len(body)} bytes: {self._settings.max_body_bytes} are allowed.")


def refusal(problem: RequestProblem, request_id: str) -> Answer:
    """The problem document for the client."""
    return Answer(problems.status_of(problem), problems.headers_of(problem), json.dumps(problems.document(problem, request_id)))


def _result_of(request: HttpRequest) -> str | None:
    """What a path says after `/results/`, whatever it is; None for another path, and for POST, whatever the gateway puts before."""
    return request.path.rpartition(RESULTS)[2] if request.method != "POST" and RESULTS in request.path else None
