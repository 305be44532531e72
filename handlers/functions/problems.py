"""Everything that can go wrong with a request, and the one table that turns it into an answer (RFC 9457)."""

from typing import Any

MEDIA_TYPE = "application/problem+json"


class RequestProblem(Exception):
    """A request that gets no prediction. `detail` goes to the client; `retry_after_s` becomes `Retry-After`."""

    def __init__(self, detail: str, *, retry_after_s: int | None = None, allow: str | None = None) -> None:
        # A model's own words may be no text, or have half of a character, which no answer can carry.
        self.detail = str(detail).encode(errors="backslashreplace").decode()
        super().__init__(self.detail)
        self.retry_after_s = retry_after_s
        self.allow = allow


class RequestMalformed(RequestProblem): ...


class MalformedBody(RequestProblem): ...


class IdempotencyKeyRefused(RequestProblem): ...


class TimeoutRefused(RequestProblem): ...


class RouteUnknown(RequestProblem): ...


class AnswerUnknown(RequestProblem): ...


class ModelUnknown(RequestProblem): ...


class PredictionUnknown(RequestProblem): ...


class PredictionRuns(RequestProblem): ...


class SlotsInUse(RequestProblem): ...


class MethodNotAllowed(RequestProblem): ...


class NotAcceptable(RequestProblem): ...


class HeadersTooSlow(RequestProblem): ...


class BodyTooSlow(RequestProblem): ...


class IdempotencyKeyInUse(RequestProblem): ...


class BodyTooLarge(RequestProblem): ...


class MediaTypeUnsupported(RequestProblem): ...


class InputRefused(RequestProblem): ...


class AnswerTooLarge(RequestProblem): ...


class TaskMismatch(RequestProblem): ...


class IdempotencyKeyReused(RequestProblem): ...


class HeadersTooLarge(RequestProblem): ...


class Throttled(RequestProblem): ...


class InternalFault(RequestProblem): ...


class ModelFailed(RequestProblem): ...


class NotReady(RequestProblem): ...


class Overloaded(RequestProblem): ...


class AnswersUnavailable(RequestProblem): ...


class DeadlineExceeded(RequestProblem): ...


# class -> (status, name in the problem's type, title). Read along the class's bases, so a subclass needs no row.
PROBLEMS: dict[type[RequestProblem], tuple[int, str, str]] = {
    RequestMalformed: (400, "request-malformed", "The request can't be read"),
    MalformedBody: (400, "malformed-body", "The body can't be read"),
    IdempotencyKeyRefused: (400, "idempotency-key-refused", "The Idempotency-Key can't be used"),
    TimeoutRefused: (400, "timeout-refused", "The time that the caller has can't be read"),
    RouteUnknown: (404, "route-unknown", "No such route"),
    AnswerUnknown: (404, "answer-unknown", "No such answer"),
    ModelUnknown: (404, "model-unknown", "No such model"),
    PredictionUnknown: (404, "prediction-unknown", "No such prediction"),
    MethodNotAllowed: (405, "method-not-allowed", "The route has another method"),
    NotAcceptable: (406, "not-acceptable", "The answer has no such format"),
    HeadersTooSlow: (408, "headers-too-slow", "The headers did not arrive in time"),
    BodyTooSlow: (408, "body-too-slow", "The body did not arrive in time"),
    PredictionRuns: (409, "prediction-runs", "A prediction of this id runs already"),
    SlotsInUse: (409, "slots-in-use", "As many predictions run as may"),
    IdempotencyKeyInUse: (409, "idempotency-key-in-use", "A request with this Idempotency-Key is being answered"),
    BodyTooLarge: (413, "body-too-large", "The body is too large"),
    MediaTypeUnsupported: (415, "media-type-unsupported", "The body has a format that is not read"),
    InputRefused: (422, "input-refused", "The input is not what the model takes"),
    AnswerTooLarge: (422, "answer-too-large", "The answer would be too large"),
    TaskMismatch: (422, "task-mismatch", "The contract does not serve the model's task"),
    IdempotencyKeyReused: (422, "idempotency-key-reused", "The Idempotency-Key belongs to another request"),
    Throttled: (429, "throttled", "Too many requests"),
    HeadersTooLarge: (431, "headers-too-large", "The headers are too large"),
    InternalFault: (500, "internal-fault", "Something failed on our side"),
    ModelFailed: (502, "model-failed", "The model failed"),
    NotReady: (503, "not-ready", "The model is not ready"),
    Overloaded: (503, "overloaded", "Too many requests are waiting"),
    AnswersUnavailable: (503, "answers-unavailable", "Answers can't be kept or read"),
    DeadlineExceeded: (504, "deadline-exceeded", "The prediction took too long"),
}

# What only a gateway's callers are told: no part of the model server's contract over HTTP.
OF_ANSWERS = (IdempotencyKeyRefused, AnswerUnknown, IdempotencyKeyInUse, IdempotencyKeyReused, AnswersUnavailable)


def _row(problem: RequestProblem) -> tuple[int, str, str]:
    return next(PROBLEMS[kind] for kind in type(problem).__mro__ if kind in PROBLEMS)


def status_of(problem: RequestProblem) -> int:
    """HTTP status of a problem."""
    return _row(problem)[0]


def document(problem: RequestProblem, request_id: str) -> dict[str, Any]:
    """The problem document of RFC 9457; `instance` names the request, so that a client can quote it."""
    status, name, title = _row(problem)
    return {
        "type": f"urn:pilotlight:problem:{name}",
        "title": title,
        "status": status,
        "detail": problem.detail,
        "instance": f"urn:pilotlight:request:{request_id}",
    }


def headers_of(problem: RequestProblem) -> dict[str, str]:
    """Headers that belong to a problem's answer, content type included."""
    headers = {"content-type": MEDIA_TYPE}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    if problem.allow is not None:
        headers["allow"] = problem.allow
    return headers
