"""Lambda's contract: events of a REST or HTTP API, and a bare payload, over the same path as HTTP."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import orjson

from handlers.functions import deadline, idempotency, logs, metrics, pings, traces
from handlers.functions.aws import events_http
from handlers.functions.aws.s3_events import is_sqs
from handlers.functions.http_request import HttpRequest, require_post
from handlers.functions.problems import BodyTooLarge, RequestProblem
from handlers.functions.requests import PredictionRequest, from_value, parse
from handlers.server.service import Answer, Service

# What stays for the answer's own way when the Lambda's time runs out.
_MARGIN_S = 0.5


_Formed = TypeVar("_Formed")


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


Batches = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


class LambdaHandler:
    """Answers one event at a time, as Lambda sends them."""

    def __init__(self, service: Service, batches: Batches | None = None) -> None:
        self._service = service
        self._batches = batches

    def __call__(self, event: Any, context: LambdaContext) -> Any:
        """A gateway's answer for a gateway's event; for a bare payload `{"outputs": …}`, a ping's answer or a problem document.

        A batch of SQS messages goes to the event pipeline. Raises RuntimeError where there is none, so that no message is lost.
        """
        traces.follow({})
        if is_sqs(event):
            if self._batches is None:
                raise RuntimeError("SQS messages came and RESULTS_TABLE is not set: this function serves no event pipeline.")
            return self._batches(event, context)
        if events_http.is_http(event):
            return self._http(event, context)
        if isinstance(event, dict) and "ping" in event:
            return self._ping(event, context)
        return self._guarded(lambda: self._value(event), _bare, context, context.aws_request_id, {})

    def _ping(self, event: dict[str, Any], context: LambdaContext) -> Any:
        started, request_id = time.perf_counter(), context.aws_request_id
        try:
            ping = pings.of_event(event, request_id)
            request_id = ping.request_id
            answer = self._service.ping_within(ping, _seconds_left(context))
        except RequestProblem as problem:
            answer = self._service.refusal(problem, request_id)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            answer = self._service.fault(error, request_id)
        self._service.record_ping(answer, request_id, time.perf_counter() - started)
        return orjson.loads(answer.body)

    def _http(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        request_id = context.aws_request_id
        try:
            request = events_http.parse(event)
        except RequestProblem as problem:
            return _for_gateway(self._service.refusal(problem, request_id), request_id)
        traces.follow(request.headers)
        gateway_id = request.request_id or request_id
        request_id = logs.request_id(request.headers, gateway_id)
        read = functools.partial(self._read, request)
        form = functools.partial(_for_gateway, request_id=request_id)
        # Both in the log: an access log knows nothing of an id that the caller chose.
        return self._guarded(read, form, context, request_id, request.headers, gateway_request_id=gateway_id)

    def _read(self, request: HttpRequest) -> PredictionRequest:
        require_post(request)
        settings = self._service.settings
        if len(request.body) > settings.max_body_bytes:
            raise BodyTooLarge(f"The body has {len(request.body)} bytes: {settings.max_body_bytes} are allowed.")
        idempotency.refuse_key(request.headers)
        return parse(request.body, request.content_type, max_inputs=settings.max_inputs, kind=self._service.kind)

    def _value(self, event: object) -> PredictionRequest:
        return from_value(event, max_inputs=self._service.settings.max_inputs, kind=self._service.kind)

    def _guarded(
        self,
        read: Callable[[], PredictionRequest],
        form: Callable[[Answer], _Formed],
        context: LambdaContext,
        request_id: str,
        headers: Mapping[str, str],
        **told: str,
    ) -> _Formed:
        """An answer in the form in which Lambda sends it, told as what was sent: the reason where it could not carry the answer."""
        started = time.perf_counter()
        try:
            seconds = min(_seconds_left(context), deadline.of_headers(headers))
            answer = self._service.answer_within(read(), request_id, seconds)
            formed = form(answer)
        except RequestProblem as problem:
            answer = self._service.refusal(problem, request_id)
            formed = form(answer)
        except Exception as error:  # noqa: BLE001  (the last place where an error can still become an answer)
            answer = self._service.fault(error, request_id)
            formed = form(answer)
        self._service.metrics.answered([(answer.status, None)])
        taken = metrics.latency(self._service.settings.service, (time.perf_counter() - started) * 1000)
        logs.write("request", request_id=request_id, **told, status=answer.status, bytes=len(answer.body), **taken)
        return formed


def _bare(answer: Answer) -> Any:
    """For who called the function directly. Raises AnswerTooLarge."""
    told = orjson.loads(answer.body)
    events_http.check_size(told, len(answer.body))
    return told


def _for_gateway(answer: Answer, request_id: str) -> dict[str, Any]:
    """Raises AnswerTooLarge."""
    body = answer.body.decode()
    events_http.check_size(body, len(answer.body))
    return events_http.answer(answer.status, {**answer.headers, "x-request-id": request_id}, body)


def _seconds_left(context: LambdaContext) -> float:
    return context.get_remaining_time_in_millis() / 1000 - _MARGIN_S
