"""The function of pattern 1: validate, pre-process, call the endpoint, post-process.

handlers.functions.api.handler     # the Lambda handler; variables in docs/architecture.md, contract 3
"""

import functools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_IMPORT_STARTED = time.monotonic()

from handlers.functions import events_http, logs, problems, requests  # noqa: E402  (the clock above starts before them)
from handlers.functions.endpoint import Endpoint, make_client  # noqa: E402
from handlers.functions.environment import Environment  # noqa: E402
from handlers.functions.problems import AnswerTooLarge, BodyTooLarge, DeadlineExceeded, InternalFault, ModelFailed, RequestProblem  # noqa: E402

# What stays for the function's own answer when the Lambda's time runs out.
MARGIN_S = 0.5
MAX_INPUTS = 256
_OUTPUTS = b'{"outputs":'


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSettings:
    """Endpoint to call, how long it may take in seconds, the largest body in bytes, and the task that it serves."""

    endpoint_name: str
    endpoint_timeout_s: float
    max_body_bytes: int
    task: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "FunctionSettings":
        """Raises SettingsError with every bad variable."""
        environment = Environment(variables)
        settings = cls(
            endpoint_name=environment.required("ENDPOINT_NAME", "the name of the SageMaker endpoint"),
            endpoint_timeout_s=environment.seconds("ENDPOINT_TIMEOUT_S", 25, least=0.1, most=900),
            max_body_bytes=environment.whole("MAX_BODY_BYTES", 4_194_304, least=1, most=6_291_556),
            task=environment.choice("MODEL_TASK", requests.PARAMETERS),
        )
        environment.check()
        return settings


class ApiFunction:
    """One process of the function. It lives for many requests and handles one at a time."""

    def __init__(self, settings: FunctionSettings, endpoint: Endpoint, init_ms: float) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._own_stages = {"function-init": init_ms}

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The gateway's answer. Never raises: what goes wrong is a problem document."""
        started = time.monotonic()
        request_id = context.aws_request_id
        try:
            request = events_http.parse(event)
            request_id = logs.request_id(request.headers, request.request_id or context.aws_request_id)
            status, headers, body = 200, *self._predict(request, request_id, context)
        except RequestProblem as problem:
            status, headers, body = _refusal(problem, request_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            logs.write_fault("function_fault", error, request_id=request_id)
            status, headers, body = _refusal(InternalFault("The request could not be handled."), request_id)
        logs.write("request", request_id=request_id, status=status, ms=round((time.monotonic() - started) * 1000, 1))
        return events_http.answer(status, headers | {"x-request-id": request_id}, body)

    def _predict(self, request: events_http.HttpRequest, request_id: str, context: LambdaContext) -> tuple[dict[str, str], str]:
        events_http.require_post(request)
        self._require_size(request.body)
        # Checked here already, so that a request which can only fail does not wake an endpoint that sleeps.
        asked = requests.parse(request.body, request.content_type, max_inputs=MAX_INPUTS)
        requests.check_parameters(self._settings.task, asked.parameters)
        remaining_s = context.get_remaining_time_in_millis() / 1000 - MARGIN_S
        budget_s = min(self._settings.endpoint_timeout_s, remaining_s)
        if budget_s <= 0:
            raise DeadlineExceeded("No time was left to call the model.")
        body = _normalised(asked)
        self._require_size(body)
        answer = self._endpoint.invoke(body, request_id=request_id, budget_s=budget_s)
        stages = self._take_own_stages() | {f"endpoint-{name}": ms for name, ms in answer.cold_start.items()}
        if stages:
            logs.write("cold_start", request_id=request_id, stages=stages)
        timing = {"server-timing": ", ".join(f"{name};dur={ms:g}" for name, ms in stages.items())} if stages else {}
        return {"content-type": "application/json", **timing}, _checked(answer.body)

    def _require_size(self, body: bytes) -> None:
        if len(body) > self._settings.max_body_bytes:
            raise BodyTooLarge(f"The body has {len(body)} bytes: {self._settings.max_body_bytes} are allowed.")

    def _take_own_stages(self) -> dict[str, float]:
        stages, self._own_stages = self._own_stages, {}
        return stages


def _normalised(asked: requests.PredictionRequest) -> bytes:
    """The request as the endpoint gets it: one spelling, the shortest, so that a body within the limit stays within it."""
    inputs = list(asked.texts) if asked.many else asked.texts[0]
    body = {"inputs": inputs} | ({"parameters": asked.parameters} if asked.parameters else {})
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _checked(body: bytes) -> str:
    """The endpoint's answer as text, checked by its shape: parsing megabytes of numbers again would cost more than it finds."""
    if not body.startswith(_OUTPUTS) or not body.endswith(b"}"):
        raise ModelFailed("The model's answer has no 'outputs'.")
    if len(body) > events_http.MAX_ANSWER_BYTES:
        raise AnswerTooLarge(f"The answer has {len(body)} bytes, {events_http.MAX_ANSWER_BYTES} can be sent: send fewer or shorter texts.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ModelFailed("The model's answer is not UTF-8.") from error


def _refusal(problem: RequestProblem, request_id: str) -> tuple[int, dict[str, str], str]:
    body = json.dumps(problems.document(problem, request_id))
    return problems.status_of(problem), problems.headers_of(problem), body


@functools.cache
def _function() -> ApiFunction:
    """Settings and client, once per process. Raises SettingsError, which Lambda reports as a failed init."""
    settings = FunctionSettings.from_environment(os.environ)
    endpoint = Endpoint(settings.endpoint_name, make_client(settings.endpoint_timeout_s))
    return ApiFunction(settings, endpoint, init_ms=round((time.monotonic() - _IMPORT_STARTED) * 1000, 1))


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one event of a REST or HTTP API."""
    return _function().handle(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _function()  # in the init phase, which has a full core and is over before the first request comes
