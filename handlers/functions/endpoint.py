"""What a call of an endpoint ends in, whichever cloud it is on: an answer, or the problem that the client is told."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from handlers.functions import values
from handlers.functions.problems import (
    AnswerTooLarge,
    BodyTooLarge,
    DeadlineExceeded,
    InputRefused,
    MalformedBody,
    MediaTypeUnsupported,
    ModelFailed,
    NotReady,
    Overloaded,
    RequestProblem,
    Throttled,
)
from handlers.functions.requests import PredictionRequest

MAX_ATTEMPTS = 3
FIRST_PAUSE_S = 0.2
RETRY_AFTER_S = 2
_COLD_START = "cold-start="
_OUTPUTS = b'{"outputs":'
# A model server's own answers that are the client's business; any other means that the model failed.
_HANDED_ON: dict[int, type[RequestProblem]] = {
    400: MalformedBody,
    413: BodyTooLarge,
    415: MediaTypeUnsupported,
    422: InputRefused,
    503: Overloaded,
    504: DeadlineExceeded,
}


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """`body` as the endpoint sent it; `cold_start` holds its stages in milliseconds, empty for a warm answer."""

    body: bytes
    cold_start: dict[str, float]

    def text(self, max_bytes: int) -> str:
        """The body, checked by its shape: parsing megabytes of numbers again would cost more than it finds.

        Raises ModelFailed where it is no answer, AnswerTooLarge where it has more than `max_bytes`, which a function can send.
        """
        if not self.body.startswith(_OUTPUTS) or not self.body.endswith(b"}"):
            raise ModelFailed("The model's answer has no 'outputs'.")
        if len(self.body) > max_bytes:
            raise AnswerTooLarge(f"The answer has {len(self.body)} bytes, {max_bytes} can be sent: send fewer or shorter texts.")
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise ModelFailed("The model's answer is not UTF-8.") from error


class Dropped(NotReady):
    """The connection ended under the call: the service may have closed it while the process was frozen between two requests."""


class NotReached(Dropped):
    """No connection came about: in a private network a new instance may have none for a minute (Cloud Run, "Direct VPC egress",
    limitations). Asked as long as there is time."""


class NotLetIn(NotReady):
    """The endpoint's service lets this function not in: its grant is not known yet, or gone. It says nothing of the request."""


def patiently(once: Callable[[float], EndpointAnswer], budget_s: float) -> EndpointAnswer:
    """What `once` answers within the seconds that it is given, `budget_s` in all.

    A call that was throttled or lost its connection is tried again while the budget lasts, `MAX_ATTEMPTS` times in all, one that got no
    connection for as long as it lasts. Raises the RequestProblem that tells
    the client what happened.
    """
    until = time.monotonic() + budget_s
    attempt = 0
    while True:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("No time was left to call the model.")
        try:
            return once(left_s)
        except (Throttled, Dropped) as error:
            attempt += not isinstance(error, NotReached)
            # Full jitter, so that callers who were throttled together do not come back together.
            pause = random.uniform(0, FIRST_PAUSE_S * 2 ** max(attempt, 1))  # noqa: S311 (spread, no secret)
            if attempt == MAX_ATTEMPTS or time.monotonic() + pause >= until:
                raise
            time.sleep(pause)


def normalised(asked: PredictionRequest) -> bytes:
    """The request as the endpoint gets it: one spelling, the shortest, so that a body within the limit stays within it.

    But for an image that was a body of its own, which takes a third more.
    """
    texts = [values.as_json(item) for item in asked.texts]
    inputs = texts if asked.many else texts[0]
    body = {"inputs": inputs} | ({"parameters": asked.parameters} if asked.parameters else {})
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def cold_start_stages(attributes: str) -> dict[str, float]:
    """Stages and milliseconds out of `cold-start=boot:12,import:210,…`; empty when there are none or they can't be read."""
    if not attributes.startswith(_COLD_START):
        return {}
    try:
        pairs = (part.split(":", 1) for part in attributes.removeprefix(_COLD_START).split(","))
        return {name.strip(): float(value) for name, value in pairs if name.strip().isalpha()}
    except ValueError:
        return {}


def model_problem(status: int | None, said: str) -> RequestProblem:
    """What the model server answered instead: its own problem documents are handed on where they are meant for the client."""
    try:
        document = json.loads(said)
        detail, kind = str(document["detail"]), str(document["type"])
    except (ValueError, KeyError, TypeError):
        return ModelFailed("The model failed to answer.")
    if status not in _HANDED_ON:
        return ModelFailed("The model failed to answer.")
    if kind.endswith(":answer-too-large"):
        return AnswerTooLarge(detail)
    return _HANDED_ON[status](detail, retry_after_s=RETRY_AFTER_S if status == 503 else None)
