"""Now or later, decided for each request: the answer if it is there in time, else the work is handed over.

A request with an Idempotency-Key is worked on once, whichever of the two it was.
"""

import contextvars
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from handlers.functions import idempotency, logs
from handlers.functions.answers import Answer, Answers, refused
from handlers.functions.deadline import HAND_OVER_S, Deadline, seconds_left
from handlers.functions.endpoint import RETRY_AFTER_S
from handlers.functions.idempotency import Kept, Once
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import (
    AnswersUnavailable,
    DeadlineExceeded,
    IdempotencyKeyRefused,
    InternalFault,
    NotReady,
    Overloaded,
    RequestProblem,
    Throttled,
)

_LATER = (DeadlineExceeded, NotReady, Overloaded, Throttled)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A checked request: its body in one spelling, whose it is, and where an answer of some id will be."""

    body: bytes
    request_id: str
    owner: str | None
    url: Callable[[str], str]
    key: str | None = None
    at_once: bool = False


# The model's answer within some seconds. Raises RequestProblem.
Predict = Callable[[float], Answer]


class Deferral:
    """Answers calls within the function's time; `wait_s` is the longest that the model is waited for."""

    def __init__(self, answers: Answers, once: Once, wait_s: float, *, calls: int = 1) -> None:
        """`calls` is how many come at a time."""
        self.answers = answers
        self._once = once
        self._wait_s = wait_s
        # A call that outlives its deadline stays in a thread until its own timeouts end it.
        self._tasks = ThreadPoolExecutor(max_workers=calls + 3, thread_name_prefix="call")

    def respond(self, call: Call, predict: Predict, deadline: Deadline) -> Answer:
        """The answer now or the address of a later one, always before the function's time is over. Raises RequestProblem."""
        working = _Work(call, lambda: self._now_or_later(call, predict, deadline))
        task = self._tasks.submit(contextvars.copy_context().run, self._once_or_plainly, working, deadline)
        try:
            return task.result(timeout=max(0.0, seconds_left(deadline)))
        except FutureTimeout as error:
            # Its caller is told to send it again: what has not begun by now never does.
            task.cancel()
            return self._without_store(working, "The function's time was over.", error)
        except Unavailable as error:
            return self._without_store(working, str(error), error)

    def _once_or_plainly(self, working: "_Work", deadline: Deadline) -> Answer:
        call = working.call
        if call.key is None:
            return working.answer()
        if call.owner is None:
            raise IdempotencyKeyRefused("Idempotency-Key needs a caller that can be told from others: the token has no subject.")
        key, same = idempotency.scoped(call.owner, call.key), idempotency.fingerprint(call.body)
        kept, replayed = self._once.run(key, same, deadline, lambda: self._keep(working.answer()))
        return self._replay(kept, working) if replayed else working.answer()

    def _now_or_later(self, call: Call, predict: Predict, deadline: Deadline) -> Answer:
        _require_time(deadline)
        budget_s = min(self._wait_s, seconds_left(deadline) - HAND_OVER_S)
        if call.owner is None:
            return predict(budget_s)
        if call.at_once:
            answer = self._hand_over(call, call.owner)
            return Answer(answer.status, {**answer.headers, "preference-applied": "respond-async"}, answer.body)
        if budget_s <= 0:
            return self._hand_over(call, call.owner)
        try:
            return predict(budget_s)
        except _LATER as problem:
            _require_time(deadline)
            logs.write("deferred", request_id=call.request_id, reason=problem.detail)
            return self._hand_over(call, call.owner)

    def _hand_over(self, call: Call, owner: str) -> Answer:
        return self.answers.hand_over(call.body, owner=owner, request_id=call.request_id, url=call.url)

    def _keep(self, answer: Answer) -> Kept:
        """What is kept with the key: predictions lie in the store of answers, since they can be larger than a row."""
        headers = {name: value for name, value in answer.headers.items() if name != "server-timing"}
        if answer.status != 200:
            return {"status": answer.status, "headers": headers, "body": answer.body}
        answer_id = str(uuid.uuid4())
        self.answers.store.put_answer(answer_id, answer.body)
        return {"status": answer.status, "headers": headers, "answer": answer_id}

    def _replay(self, kept: Kept, working: "_Work") -> Answer:
        body = kept["body"] if "body" in kept else self.answers.store.answer(kept["answer"])
        if body is None:
            # The answer expired a moment before its key: the key is as good as new.
            return working.answer()
        return Answer(kept["status"], {**kept["headers"], idempotency.REPLAYED: "true"}, body)

    def _without_store(self, working: "_Work", trouble: str, error: Exception) -> Answer:
        """The store did not answer: an answer that is there is given all the same, since a prediction may be made twice."""
        logs.write("answers_unavailable", level="ERROR", request_id=working.call.request_id, message=trouble)
        if working.finished:
            return working.answer()
        raise AnswersUnavailable("The answer could not be kept in time: send the request again.", retry_after_s=RETRY_AFTER_S) from error


class _Work:
    """The work on one call, done at the first time that its answer is wanted."""

    def __init__(self, call: Call, work: Callable[[], Answer]) -> None:
        self.call = call
        self._work = work
        self._ended: Answer | RequestProblem | None = None

    @property
    def finished(self) -> bool:
        return self._ended is not None

    def answer(self) -> Answer:
        """The answer; a refusal that ends the work is one. Raises the others."""
        if self._ended is None:
            self._ended = self._done()
        if isinstance(self._ended, RequestProblem):
            raise self._ended
        return self._ended

    def _done(self) -> Answer | RequestProblem:
        try:
            return self._work()
        except RequestProblem as problem:
            return _told(problem, self.call.request_id) if idempotency.is_kept(problem) else problem
        except Exception as error:  # noqa: BLE001  (an answer, too, and one that is kept)
            logs.write_fault("function_fault", error, request_id=self.call.request_id)
            return _told(InternalFault("The request could not be handled."), self.call.request_id)


def _require_time(deadline: Deadline) -> None:
    """Raises AnswersUnavailable, as the caller was told by then: nobody would ever fetch what is handed over now."""
    if seconds_left(deadline) <= 0:
        raise AnswersUnavailable("The function's time was over: send the request again.", retry_after_s=RETRY_AFTER_S)


def _told(problem: RequestProblem, request_id: str) -> Answer:
    ending = refused(problem, request_id, "done")
    return Answer(ending.status, {"content-type": ending.content_type}, ending.document or "")


def wants_later(prefer: str) -> bool:
    """Whether a `Prefer` header asks for `respond-async` (RFC 7240, section 4.1)."""
    return any(part.strip().lower() == "respond-async" for part in prefer.replace(";", ",").split(","))
