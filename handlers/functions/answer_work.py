"""The worker behind the queue: one request that was handed over, from its message to its answer. No cloud in here.

A message may come twice, or to two workers at once: predictions are pure, and of two endings the first `done` stays.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from handlers.functions import logs
from handlers.functions.answers import AnswerStore, Ending, Row, refused
from handlers.functions.attempts import LONGEST_PAUSE_S, Attempts
from handlers.functions.deadline import HAND_OVER_S, MARGIN_S
from handlers.functions.endpoint import NotLetIn
from handlers.functions.outcomes import NotAllowed, Unavailable
from handlers.functions.problems import AnswerUnknown, InternalFault, RequestProblem, status_of

# The model's answer within some seconds; its second argument is the correlation id. Raises RequestProblem.
Predict = Callable[[bytes, str, float], str]
# What comes again may go better after 408 and 429; every other 4xx is the answer.
_PASSING = (408, 429)
# A right is missing, of the endpoint or of what is kept: no fault of the request's.
_NOT_LET_IN = (NotAllowed, NotLetIn)


class TryAgain(Exception):
    """The message is to come again, or to go to the dead letters after its last attempt; `spent` is whether this one counts."""

    def __init__(self, reason: str, request_id: str | None = None, answer_id: str | None = None, *, spent: bool = True) -> None:
        super().__init__(reason)
        self.spent = spent
        self.request_id = request_id
        self.answer_id = answer_id


@dataclass(frozen=True, kw_only=True)
class AnswerWork:
    """Works on messages; after the last of `attempts` a row says that its answer failed, until a replay says otherwise."""

    store: AnswerStore
    predict: Predict
    keep_s: int
    attempts: Attempts
    now: Callable[[], float] = field(default=time.time)

    def attempt(self, message: str, *, attempt: int, remaining_s: Callable[[], float], spares: bool = False) -> str:
        """Work on a message for the `attempt`th time; `remaining_s` tells how long the model may take from now. Who `spares` takes an
        attempt that a missing right ended for none.

        `done` or `failed` for good, `unwanted` where nobody waits any more. Raises TryAgain.
        """
        answer_id, request_id = _read(message)
        last = attempt >= self.attempts.most
        try:
            row = self._wanted(answer_id, request_id)
            if row is None:
                return "unwanted"
            # An attempt can die without a word: when this time is over, whoever asks is told that it failed.
            ends = self.now() + (max(remaining_s(), 0) + HAND_OVER_S + MARGIN_S if last else self.attempts.left_s(attempt))
            if last or ends > row.ends(self.attempts):
                self.store.put_end(answer_id, ends, last=last)
            return self._answer(row, last, spares, remaining_s)
        except Unavailable as error:
            raise TryAgain(str(error), request_id, answer_id, spent=not isinstance(error, _NOT_LET_IN)) from error

    def is_wanted(self, message: str) -> bool:
        """Whether somebody may still wait for the answer of a message that has no attempt left. Raises Unavailable."""
        try:
            return self._wanted(*_read(message)) is not None
        except TryAgain:
            # What names no answer belongs among the dead letters.
            return True

    def _wanted(self, answer_id: str, request_id: str | None) -> Row | None:
        """The row; None, with a line, where it is gone, over or done. Raises Unavailable."""
        row = self.store.row(answer_id)
        if row is not None and row.expires > self.now() and (row.ending is None or row.ending.state != "done"):
            return row
        logs.write("answer_unwanted", request_id=request_id, answer=answer_id)
        return None

    def _answer(self, row: Row, last: bool, spares: bool, remaining_s: Callable[[], float]) -> str:
        try:
            body = self.store.request(row.id)
            if body is None:
                # Gone before the row: no attempt can bring it back, so it needs no place among the dead letters either.
                return self._settle(row, refused(AnswerUnknown("The request expired before it was answered."), row.request_id, "failed"))
            self.store.put_answer(row.id, self.predict(body, row.request_id, remaining_s()))
        except RequestProblem as problem:
            if 400 <= status_of(problem) < 500 and status_of(problem) not in _PASSING:
                return self._settle(row, refused(problem, row.request_id, "done"))
            return self._fail(row, problem, problem, last, spares)
        except Unavailable as error:
            return self._fail(row, InternalFault("The request could not be read, or its answer not be kept."), error, last, spares)
        except Exception as error:  # noqa: BLE001  (the last place where it still has its row)
            logs.write_fault("worker_fault", error, request_id=row.request_id, answer=row.id)
            return self._fail(row, InternalFault("The request could not be handled."), error, last, spares)
        return self._settle(row, Ending(state="done", status=200, content_type="application/json"))

    def _fail(self, row: Row, problem: RequestProblem, error: Exception, last: bool, spares: bool) -> str:
        """Raises TryAgain, after the last attempt with the failure in the row; unless another worker has the answer by then."""
        spent = not isinstance(error, _NOT_LET_IN)
        if last and spares and not spent:
            # It was not the last one, and the next one says again when it will be over.
            self.store.put_end(row.id, self.now() + LONGEST_PAUSE_S + self.attempts.unseen_s, last=True)
        elif last and self._settle(row, refused(problem, row.request_id, "failed")) == "unwanted":
            return "unwanted"
        raise TryAgain(str(error), row.request_id, row.id, spent=spent) from error

    def _settle(self, row: Row, ending: Ending) -> str:
        wrote = self.store.settle(row.id, ending, int(self.now()) + self.keep_s)
        since_request_ms = round((self.now() - row.at) * 1000)
        event = f"answer_{ending.state}"
        logs.write(event, request_id=row.request_id, answer=row.id, status=ending.status, since_request_ms=since_request_ms, wrote=wrote)
        return ending.state if wrote else "unwanted"


def _read(message: str) -> tuple[str, str | None]:
    """Answer and correlation id. Raises TryAgain for what is no message of ours: it belongs among the dead letters."""
    try:
        value = json.loads(message)
        if not isinstance(value["id"], str):
            raise TypeError("an id is a text")
        return value["id"], value.get("requestId")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TryAgain(f"The message names no answer: {type(error).__name__}.") from error
