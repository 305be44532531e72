"""The model is asked for the inputs of many objects at once, and a fault of one of them stays its own."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from handlers.functions import metrics, outcomes, outputs
from handlers.functions.endpoint import NotLetIn
from handlers.functions.merging import Asked, Limits, Request, plan
from handlers.functions.outcomes import Outcome, Unavailable
from handlers.functions.problems import AnswerTooLarge, RequestProblem, status_of
from handlers.functions.versions import Model

# What stays to record the results of a prediction that took all of its time.
RECORD_S = 3.0
# Refusals that time can mend: the body came too slowly, or there were too many requests.
_PASSING = {408, 429}


class Predictor:
    """The model with what it takes at once: `max_inputs` texts and `max_body_bytes` within `timeout_s` seconds.

    An object's result may have up to `max_result_bytes`: it is put together in memory.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_inputs: int,
        max_body_bytes: int,
        max_result_bytes: int,
        timeout_s: float,
        task: str,
        service: str | None,
    ) -> None:
        self._model = model
        self._limits = Limits(inputs=max_inputs, body_bytes=max_body_bytes, merged_bytes=max_body_bytes)
        self._max_result_bytes = max_result_bytes
        self._timeout_s = timeout_s
        self._task = task
        self._service = service

    def predict(self, asked: Sequence[Asked], *, batch_id: str, remaining_s: Callable[[], float]) -> Iterator[dict[int, str | Outcome]]:
        """By owner the body of its result, or why there is none: for each one once, as soon as it is known."""
        work = _Work(asked, self._task, self._max_result_bytes)
        waiting = deque(plan(asked, self._limits))
        while waiting:
            request = work.open_part(waiting.popleft())
            if request is None:
                continue
            request_id = work.request_id(request) or batch_id
            try:
                work.take(request, self._invoke(request, request_id, remaining_s() - RECORD_S))
            except (RequestProblem, Unavailable) as error:
                halves = self._halves(request, error)
                if halves is None:
                    work.fail(request, _failure(error))
                else:
                    waiting.extendleft(reversed(halves))
            if ended := work.ended():
                yield ended

    def requests_of(self, asked: Asked) -> int:
        """How many requests an object needs that is alone; with others it takes part in as many more, or fewer."""
        return 1 if len(asked.inputs.texts) == 1 else len(plan([asked], self._limits))

    def _invoke(self, request: Request, request_id: str, remaining_s: float) -> bytes:
        budget_s = min(self._timeout_s, remaining_s)
        if budget_s <= 0:
            raise Unavailable("No time was left to call the model: each object has time for events.requestsPerObject requests.")
        answer = self._model.invoke(request.body(), request_id=request_id, budget_s=budget_s)
        stages = {f"endpoint-{name}": milliseconds for name, milliseconds in answer.cold_start.items()}
        metrics.cold_start(self._service, stages, request_id=request_id)
        return answer.body

    def _halves(self, request: Request, error: Exception) -> tuple[Request, Request] | None:
        """What to ask in place of a refused request, if there is anything to part.

        Not after a failure, which may have nothing to do with the inputs: those come again, each by itself.
        """
        if not isinstance(error, RequestProblem) or not _refuses(error):
            return None
        if isinstance(error, AnswerTooLarge) and request.uri is None and request.count > 1:
            # Later requests are smaller from the start, instead of computing what can't be sent. Those that are on their way, as large as
            # this one, are refused as well and make them no smaller.
            merged = min(self._limits.merged_bytes, len(request.body()) // 2)
            self._limits = replace(self._limits, merged_bytes=merged)
        return request.halves()


class _Work:
    """Outputs as they come in, by owner, until its object has ended; who has failed is not asked for any more."""

    def __init__(self, asked: Sequence[Asked], task: str, most: int) -> None:
        self._asked = {item.owner: item for item in asked}
        self._outputs: dict[int, list[str]] = {owner: [] for owner in self._asked}
        self._sizes = dict.fromkeys(self._asked, 0)
        self._ended: dict[int, str | Outcome] = {}
        self._task = task
        self._most = most

    def open_part(self, request: Request) -> Request | None:
        """The request without the texts of those who have failed meanwhile."""
        pieces = tuple(piece for piece in request.pieces if piece.owner in self._outputs)
        return replace(request, pieces=pieces) if pieces else None

    def request_id(self, request: Request) -> str | None:
        """The correlation id of the one object in a request; None where there are several."""
        (first, *others) = request.pieces
        return None if others else self._asked[first.owner].request_id

    def take(self, request: Request, body: bytes) -> None:
        """Deal an answer out. Raises ModelFailed when it is not one for this request."""
        if request.uri is not None:
            self._end(request.pieces[0].owner, outputs.whole(body))
            return
        answered = iter(outputs.split(body, request.count))
        for piece in request.pieces:
            self._add(piece.owner, [next(answered) for _ in piece.texts])

    def fail(self, request: Request, outcome: Outcome) -> None:
        for piece in request.pieces:
            self._end(piece.owner, outcome)

    def ended(self) -> dict[int, str | Outcome]:
        """Those that have ended since the last call."""
        ended, self._ended = self._ended, {}
        return ended

    def _add(self, owner: int, found: list[str]) -> None:
        self._outputs[owner] += found
        self._sizes[owner] += sum(map(len, found))
        inputs = self._asked[owner].inputs
        if self._sizes[owner] > self._most:
            reason = f"The object's result has more than {self._most} bytes: split the object, or give the function more memory."
            self._end(owner, Outcome("refused", reason))
        elif len(self._outputs[owner]) == len(inputs.texts):
            self._end(owner, outputs.result(self._outputs[owner], many=inputs.many, task=self._task, parameters=inputs.parameters))

    def _end(self, owner: int, ended: str | Outcome) -> None:
        self._ended[owner] = ended
        del self._outputs[owner]


def _refuses(problem: RequestProblem) -> bool:
    return 400 <= status_of(problem) < 500 and status_of(problem) not in _PASSING


def _failure(error: Exception) -> Outcome:
    if isinstance(error, RequestProblem):
        return Outcome("refused" if _refuses(error) else "failed", error.detail, spent=not isinstance(error, NotLetIn))
    return outcomes.of(error)
