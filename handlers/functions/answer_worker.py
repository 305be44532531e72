"""The worker of answers that come later, whatever the cloud: a message in, whether it needs no further attempt out, with lines and metrics.

A cloud's folder takes messages from its queue, and lets those that are not done come again.
"""

from collections.abc import Callable

from handlers.functions import logs, metrics
from handlers.functions.answer_work import AnswerWork, TryAgain
from handlers.functions.answers import AnswerStore
from handlers.functions.api import Endpoint
from handlers.functions.attempts import Attempts
from handlers.functions.outcomes import Outcome
from handlers.functions.settings import FunctionSettings

# What stays to keep an answer that took all of its time; when that is too little, the message comes again.
STORE_S = 1.0
DONE, FAILED, ATTEMPTS_FAILED = "AnswersDone", "AnswersFailed", "AnswerAttemptsFailed"


class AnswerWorker:
    """One process of the worker."""

    def __init__(
        self,
        store: AnswerStore,
        endpoint: Endpoint,
        settings: FunctionSettings,
        *,
        keep_s: int,
        attempts: Attempts,
        max_answer_bytes: int,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._attempts = attempts
        self._max_answer_bytes = max_answer_bytes
        self.store = store
        self._work = AnswerWork(store=store, predict=self._predict, keep_s=keep_s, attempts=attempts)

    def done(self, message: str, *, attempt: int, message_id: str, seconds_left: Callable[[], float]) -> bool:
        """Work on a message for the `attempt`th time, within `seconds_left`. Never raises."""
        return self.trouble(message, attempt=attempt, message_id=message_id, seconds_left=seconds_left) is None

    def is_wanted(self, message: str) -> bool:
        """Whether somebody may still wait for the answer of a message that has no attempt left. Raises Unavailable."""
        return self._work.is_wanted(message)

    def trouble(
        self, message: str, *, attempt: int, message_id: str, seconds_left: Callable[[], float], spares: bool = False
    ) -> Outcome | None:
        """The same: why it needs a further attempt, None where it needs none. Who `spares` takes one that is not spent for none."""
        try:
            state = self._work.attempt(message, attempt=attempt, remaining_s=lambda: seconds_left() - STORE_S, spares=spares)
        except Exception as error:  # noqa: BLE001  (the rest of a batch is to go on)
            spent = not isinstance(error, TryAgain) or error.spent
            self._tell_failed(message_id, attempt, error, last=attempt >= self._attempts.most and (spent or not spares))
            return Outcome("failed", str(error) or type(error).__name__, spent=spent)
        metrics.count(self._settings.service, {DONE: int(state == "done"), FAILED: int(state == "failed"), ATTEMPTS_FAILED: 0})
        return None

    def _tell_failed(self, message_id: str, attempt: int, error: Exception, *, last: bool) -> None:
        request_id, answer_id = (error.request_id, error.answer_id) if isinstance(error, TryAgain) else (None, None)
        if not isinstance(error, TryAgain):
            logs.write_fault("worker_fault", error, message_id=message_id)
        # By the answer's id `pilotlight replay` finds the reason.
        told = {"answer": answer_id, "message_id": message_id, "attempt": attempt, "max_attempts": self._attempts.most}
        logs.write("answer_attempt_failed", level="WARNING", request_id=request_id, reason=str(error), **told)
        metrics.count(self._settings.service, {DONE: 0, FAILED: int(last), ATTEMPTS_FAILED: 1}, request_id=request_id)

    def _predict(self, body: bytes, request_id: str, seconds: float) -> str:
        budget_s = min(self._settings.endpoint_timeout_s, seconds)
        answer = self._endpoint.invoke(body, request_id=request_id, budget_s=budget_s)
        stages = {f"endpoint-{name}": ms for name, ms in answer.cold_start.items()}
        if stages:
            logs.write("cold_start", request_id=request_id, stages=stages)
            metrics.cold_start(self._settings.service, stages, request_id=request_id)
        return answer.text(self._max_answer_bytes)
