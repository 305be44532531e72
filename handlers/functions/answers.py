"""Answers that come later: handed over to a queue, kept for a time, given to nobody but their owner. No cloud in here.

A row is `pending` until the worker's answer or, after the last attempt, its failure is there; a replay turns `failed` into `done`.
Where nobody could write the failure down, whoever asks is told of it all the same, once no attempt can be left.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from handlers.functions import logs, metrics, problems
from handlers.functions.attempts import Attempts
from handlers.functions.endpoint import RETRY_AFTER_S
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import AnswersUnavailable, AnswerUnknown, ModelFailed, RequestProblem

HANDED_OVER = "AnswersHandedOver"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A client that asks again after a quarter of the time that it has waited finds its answer not much later than it is there.
_LONGEST_RETRY_AFTER_S = 30
# How long a message may wait for its first attempt before the worker says in its row when the last one will be over.
WAITING_S = 60
_GIVEN_UP = (
    "No attempt to answer is left: the request lies among the dead letters. "
    "When `pilotlight replay STACK` has sent it again, its answer will be here."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower-case names) and body of an answer to a client."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How the work ended: status and content type; `document` is the body of a refusal, else the store has the body."""

    state: Literal["done", "failed"]
    status: int
    content_type: str
    document: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One answer to come: whose it is, the id of the request that it answers, and how that ended (None: not yet).

    Times are seconds since 1970. An attempt can die without a word, so the worker says beforehand when no attempt can be left:
    `last_attempt_ends` when the last one begins, `attempts_end` when an earlier one begins later than goes without saying.
    """

    id: str
    owner: str
    request_id: str
    at: float
    expires: int
    ending: Ending | None = None
    attempts_end: float | None = None
    last_attempt_ends: float | None = None

    def ends(self, attempts: Attempts) -> float:
        """When no attempt can be left, for a message that did not wait before each of them: WAITING_S for the first goes without saying."""
        told = self.attempts_end if self.last_attempt_ends is None else self.last_attempt_ends
        return self.at + WAITING_S + attempts.left_s(1) if told is None else told


class AnswerStore(Protocol):
    """Where requests, rows and answers are kept. Every method raises Unavailable when the store does not answer."""

    def put_request(self, answer_id: str, body: bytes) -> None: ...

    def request(self, answer_id: str) -> bytes | None: ...

    def put_row(self, row: Row) -> None: ...

    def row(self, answer_id: str) -> Row | None: ...

    def send(self, answer_id: str, request_id: str) -> None:
        """Tell the worker. It may be told twice."""
        ...

    def put_answer(self, answer_id: str, body: str) -> None: ...

    def answer(self, answer_id: str) -> str | None: ...

    def put_end(self, answer_id: str, ends: float, *, last: bool) -> None:
        """Say in the row when the attempts that are left, or this last one, will be over."""
        ...

    def waits(self) -> bool:
        """Whether there are messages that nobody has taken yet."""
        ...

    def settle(self, answer_id: str, ending: Ending, expires: int) -> bool:
        """Write how the work ended, unless it is done already or the row is gone; whether this call wrote it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Hands requests over and gives their answers; both are kept `keep_s` seconds from their last change."""

    store: AnswerStore
    keep_s: int
    attempts: Attempts
    service: str | None = None
    now: Callable[[], float] = field(default=time.time)

    def hand_over(self, body: bytes, *, owner: str, request_id: str, url: Callable[[str], str]) -> Answer:
        """202 with the address of the answer. Raises AnswersUnavailable when the work could not be handed over.

        Body, row, message, in this order: the worker finds what the message names, and what a crash leaves between them
        expires. Nothing is promised before the message is sent.
        """
        at = self.now()
        row = Row(id=str(uuid.uuid4()), owner=owner, request_id=request_id, at=at, expires=int(at) + self.keep_s)
        try:
            self.store.put_request(row.id, body)
            self.store.put_row(row)
            self.store.send(row.id, request_id)
        except Unavailable as error:
            logs.write("hand_over_failed", level="ERROR", request_id=request_id, answer=row.id, message=str(error))
            raise AnswersUnavailable("The request could not be handed over: send it again.", retry_after_s=RETRY_AFTER_S) from error
        logs.write("handed_over", request_id=request_id, answer=row.id, ms=round((self.now() - at) * 1000, 1))
        metrics.count(self.service, {HANDED_OVER: 1}, request_id=request_id)
        return self._pending(row, url(row.id))

    def result(self, answer_id: str, *, owner: str | None, request_id: str, url: str) -> Answer:
        """The answer as it is now: 202, what the request was answered, or 502 when no attempt to answer it is left.

        Raises AnswerUnknown where there is none, or none of this owner's, and AnswersUnavailable.
        """
        try:
            row = self.store.row(answer_id) if _ID.fullmatch(answer_id) else None
            if row is None or row.owner != owner or row.expires <= self.now():
                raise AnswerUnknown("There is no such answer: it may have expired, or belong to another caller.")
            answer = self._answer(row, url)
        except Unavailable as error:
            logs.write("result_failed", level="ERROR", request_id=request_id, answer=answer_id, message=str(error))
            raise AnswersUnavailable("The answer can't be read at this moment.", retry_after_s=RETRY_AFTER_S) from error
        logs.write("result", request_id=request_id, answer=row.id, answers_request=row.request_id, status=answer.status)
        return answer

    def _answer(self, row: Row, url: str) -> Answer:
        ending = row.ending
        if ending is None:
            if not self._given_up(row):
                return self._pending(row, url)
            ending = refused(ModelFailed(_GIVEN_UP), row.request_id, "failed")
        body = self.store.answer(row.id) if ending.document is None else ending.document
        if body is None:
            raise AnswerUnknown("The answer has expired.")
        return Answer(ending.status, {"content-type": ending.content_type}, body)

    def _given_up(self, row: Row) -> bool:
        """Whether no attempt is left although nobody wrote down how the last one ended.

        Before each attempt but a last one that has begun, the message may wait behind others for any time: the queue tells.
        """
        over = self.now() > row.ends(self.attempts)
        return over and (row.last_attempt_ends is not None or not self.store.waits())

    def _pending(self, row: Row, url: str) -> Answer:
        wait_s = min(max(RETRY_AFTER_S, round((self.now() - row.at) / 4)), _LONGEST_RETRY_AFTER_S)
        headers = {"content-type": "application/json", "location": url, "retry-after": str(wait_s)}
        return Answer(202, headers, json.dumps({"id": row.id, "status": "pending", "result": url}))


def refused(problem: RequestProblem, request_id: str, state: Literal["done", "failed"]) -> Ending:
    """The ending that is a problem document."""
    document = json.dumps(problems.document(problem, request_id))
    return Ending(state=state, status=problems.status_of(problem), content_type=problems.MEDIA_TYPE, document=document)
