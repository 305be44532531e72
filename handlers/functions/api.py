"""The function of pattern 1: validate, pre-process, call the endpoint, post-process; answers may come later.

handlers.functions.api.handler     # the Lambda handler; variables in docs/architecture.md, contract 3
"""

import functools
import json
import os
import time
from collections.abc import Mapping
from typing import Any

_IMPORT_STARTED = time.monotonic()

from handlers.functions import callers, events_http, idempotency, logs, metrics, problems, requests  # noqa: E402  (the clock above starts before them)
from handlers.functions.answers import Answer  # noqa: E402
from handlers.functions.deadline import LambdaContext, seconds_left  # noqa: E402
from handlers.functions.deferral import Call, Deferral, wants_later  # noqa: E402
from handlers.functions.endpoint import Endpoint, make_client, normalised  # noqa: E402
from handlers.functions.problems import BodyTooLarge, DeadlineExceeded, InternalFault, MethodNotAllowed, RequestProblem  # noqa: E402
from handlers.functions.settings import FunctionSettings  # noqa: E402

MAX_INPUTS = 256


class ApiFunction:
    """One process of the function. It lives for many requests and handles one at a time.

    With a `deferral` a request may be answered later, and `GET …/results/ID` gives what it was answered.
    """

    def __init__(self, settings: FunctionSettings, endpoint: Endpoint, init_ms: float, deferral: Deferral | None = None) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._deferral = deferral
        self._own_stages = {"function-init": init_ms}

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The gateway's answer. Never raises: what goes wrong is a problem document."""
        started = time.monotonic()
        request_id = gateway_id = context.aws_request_id
        try:
            request = events_http.parse(event)
            gateway_id = request.request_id or gateway_id
            request_id = logs.request_id(request.headers, gateway_id)
            answer = self._result(event, request, request_id) or self._predict(event, request, request_id, context)
        except RequestProblem as problem:
            answer = _refusal(problem, request_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=request_id)
            answer = _refusal(InternalFault("The request could not be handled."), request_id)
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        # Both: an access log knows nothing of an id that the caller chose.
        logs.write("request", request_id=request_id, gateway_request_id=gateway_id, status=answer.status, ms=milliseconds)
        return events_http.answer(answer.status, {**answer.headers, "x-request-id": request_id}, answer.body)

    def _result(self, event: Mapping[str, Any], request: events_http.HttpRequest, request_id: str) -> Answer | None:
        """What a path of results names, None for another path."""
        answer_id = callers.result_of(request.method, request.path)
        if self._deferral is None or answer_id is None:
            return None
        if request.method != "GET":
            raise MethodNotAllowed("An answer takes GET.", allow="GET")
        url = callers.result_url(event, request.headers, answer_id)
        return self._deferral.answers.result(answer_id, owner=callers.owner(event), request_id=request_id, url=url)

    def _predict(self, event: Mapping[str, Any], request: events_http.HttpRequest, request_id: str, context: LambdaContext) -> Answer:
        events_http.require_post(request)
        self._require_size(request.body)
        # Checked here already, so that a request which can only fail does not wake an endpoint that sleeps.
        asked = requests.parse(request.body, request.content_type, max_inputs=MAX_INPUTS)
        requests.check_parameters(self._settings.task, asked.parameters)
        if self._deferral is None:
            idempotency.refuse_key(request.headers)
            budget_s = min(self._settings.endpoint_timeout_s, seconds_left(context))
            if budget_s <= 0:
                raise DeadlineExceeded("No time was left to call the model.")
            return self._ask(self._body(asked), request_id, budget_s)
        call = Call(
            body=self._body(asked),
            request_id=request_id,
            owner=callers.owner(event),
            url=functools.partial(callers.result_url, event, request.headers),
            key=idempotency.key_of(request.headers),
            at_once=wants_later(request.headers.get("prefer", "")),
        )
        return self._deferral.respond(call, lambda seconds: self._ask(call.body, request_id, seconds), context)

    def _ask(self, body: bytes, request_id: str, budget_s: float) -> Answer:
        answer = self._endpoint.invoke(body, request_id=request_id, budget_s=budget_s)
        stages = self._take_own_stages() | {f"endpoint-{name}": ms for name, ms in answer.cold_start.items()}
        if stages:
            logs.write("cold_start", request_id=request_id, stages=stages)
            metrics.cold_start(self._settings.service, stages, request_id=request_id)
        timing = {"server-timing": ", ".join(f"{name};dur={ms:g}" for name, ms in stages.items())} if stages else {}
        return Answer(200, {"content-type": "application/json", **timing}, answer.text())

    def _body(self, asked: requests.PredictionRequest) -> bytes:
        body = normalised(asked)
        self._require_size(body)
        return body

    def _require_size(self, body: bytes) -> None:
        if len(body) > self._settings.max_body_bytes:
            raise BodyTooLarge(f"The body has {len(body)} bytes: {self._settings.max_body_bytes} are allowed.")

    def _take_own_stages(self) -> dict[str, float]:
        stages, self._own_stages = self._own_stages, {}
        return stages


def _refusal(problem: RequestProblem, request_id: str) -> Answer:
    return Answer(problems.status_of(problem), problems.headers_of(problem), json.dumps(problems.document(problem, request_id)))


@functools.cache
def _function() -> ApiFunction:
    """Settings and clients, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    settings = FunctionSettings.from_environment(os.environ)
    endpoint = Endpoint(settings.endpoint_name, make_client(settings.endpoint_timeout_s))
    deferral = None
    if settings.answers is not None:
        from handlers.functions.aws.deferral import make_deferral  # here: a function without answers should not wait for it

        deferral = make_deferral(settings.answers, settings.endpoint_timeout_s, settings.service)
    init_ms = round((time.monotonic() - _IMPORT_STARTED) * 1000, 1)
    return ApiFunction(settings, endpoint, init_ms=init_ms, deferral=deferral)


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one event of a REST or HTTP API."""
    return _function().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _function()  # in the init phase, which has a full core and is over before the first request comes
