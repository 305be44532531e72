"""Predictions that wait for the model: in a bounded queue that refuses at once what it could not answer in time."""

import math
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.functions import spans
from handlers.functions.problems import DeadlineExceeded, Overloaded, RequestProblem
from handlers.server.bell import Bell
from handlers.server.faults import carried
from handlers.server.metrics import Metrics
from handlers.server.outcome import Outcome

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
# Of a new measurement in the mean of what a cost takes: some ten batches are remembered.
_SHARE = 0.2


class Job(Generic[Asked, Answered]):
    """One prediction of `inputs` inputs, of no use after `until` (monotonic clock): `future` gives the answer and, in seconds, how long it
    took. `cost` says in any unit how long that is beside others'; of one that is not `weighed` that was not known when it came. One that is
    not `counted` is in no figure, and beside one that is `alone` nobody else can come soon. It is `answered` once it has an answer that is
    no error."""

    answered = False

    def __init__(
        self,
        request: Asked,
        inputs: int = 1,
        until: float = math.inf,
        *,
        cost: float | None = None,
        counted: bool = True,
        weighed: bool = True,
        alone: bool = False,
        future: Outcome | None = None,
    ) -> None:
        self.request = request
        self.inputs = inputs
        self.until = until
        self.cost = inputs if cost is None else cost
        self.counted = counted
        self.weighed = weighed
        self.alone = alone
        self.came = time.monotonic()
        # The span of the request that waits for it, where somebody hears of that.
        self.span = spans.heard() if counted else None
        self.cancellation = Cancellation()
        # Whoever gives an outcome waits by it, not by the future whose name it takes.
        self.future: Future[tuple[Answered, float]] = Future() if future is None else future  # type: ignore[assignment]  # has what is asked of one

    def answer(self, answer: Answered, seconds: float) -> None:
        try:
            self.future.set_result((answer, seconds))
        except InvalidStateError:
            # Given up in the last moment, it is over already: nobody waits.
            return
        self.answered = True

    def give_up(self) -> None:
        """Nobody waits for it any more, as when it is over."""
        self.cancellation.cancel()
        self.future.cancel()

    def fail(self, error: BaseException) -> None:
        """With Cancelled it was given up."""
        with suppress(InvalidStateError):
            if isinstance(error, Cancelled):
                self.future.cancel()
                return
            if isinstance(error, RequestProblem):
                # Nobody reads it, and its frames lead back here: what was asked would wait for the garbage collector.
                error.__traceback__ = None
            self.future.set_exception(carried(error))


class Waiting(Generic[Asked, Answered]):
    """The queue before one thread, which takes what it computes at once and says when it is done.

    Threads share it. How long a cost takes is known from what was computed before; until then nobody is refused for want of time.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._jobs: deque[Job[Asked, Answered]] = deque()
        self._lock = threading.Lock()
        self._came = Bell(self._lock)
        self._taken: list[Job[Asked, Answered]] = []
        # What those that wait cost together, and those that were taken: no sum over all of them for each one that comes.
        self._jobs_cost: float = 0
        self._taken_cost: float = 0
        self._began = 0.0
        # 0 until something was computed.
        self._cost_s = 0.0
        # What the others of a batch add to the time of the largest: whoever is in it has the answer with the last of them.
        self._beside_s = 0.0
        # Whether what is taken was weighed when it came; of what comes behind such that always holds.
        self._weighs = False
        # How many inputs go on side by side, where what was taken does not end together; 0 where it does.
        self._places = 0

    def __len__(self) -> int:
        """Requests that wait; those that are computed are not counted."""
        return len(self._jobs)

    def anybody(self) -> bool:
        """Whether one waits who has not left."""
        with self._lock:
            return any(not job.cancellation.cancelled for job in self._jobs)

    def require_place(self, *, counted: bool) -> None:
        """Raises Overloaded when the queue is full: before anything is made of a request that would find no place."""
        with self._lock:
            self._require_place(counted=counted)

    def put(self, job: Job[Asked, Answered], *, wake: bool = True) -> None:
        """Queue a prediction. Raises Overloaded where it has no place, or would be answered later than it may. Without `wake` the thread
        that takes it hears of it only by the next one, or by `wake`."""
        with self._lock:
            if len(self._jobs) >= self._most:
                self._require_place(counted=job.counted)
            expected_s = self._answered_s(job)
            if job.came + expected_s > job.until:
                # Who left, or whose time is over, keeps nobody waiting.
                self._drop()
                expected_s = self._answered_s(job)
            if job.came + expected_s > job.until:
                self._shed("wait", job.counted)
                waits, has = f"{expected_s:.2g} s", f"{max(job.until - job.came, 0):.2g} s"
                raise Overloaded(f"It would be answered in about {waits}, and has {has}.", retry_after_s=_whole(self._expected_s()))
            self._jobs.append(job)
            self._jobs_cost += job.cost
            rings = wake and self._came.is_needed()
        if rings:
            self._came.ring()

    def wake(self) -> None:
        """Tell the thread that there is something to take."""
        with self._lock:
            rings = self._came.is_needed()
        if rings:
            self._came.ring()

    def take(self, most_inputs: int, hold_s: float) -> list[Job[Asked, Answered]]:
        """The next requests, in the order they came, with that many inputs together, or the first with whatever it has. Blocks.

        Who finds nobody waiting is computed at once. Who waits anyway is held for others up to `hold_s` after it came, no longer.
        What nobody waits for any more is dropped.
        """
        with self._lock:
            idle = not self._jobs
            self._came.wait_for(lambda: self._jobs)
            # A warm-up or a ping is no reason to wait for others, and there are none beside a lone client, however soon it comes again.
            if not idle and hold_s and self._jobs[0].counted and not self._jobs[0].alone:
                first = self._jobs[0]
                left_s = min(first.came + hold_s, first.until - self._computed_s(first)) - time.monotonic()
                self._came.wait_for(lambda: sum(job.inputs for job in self._jobs) >= most_inputs, timeout=max(left_s, 0))
            self._taken, self._began = self._next(most_inputs), time.monotonic()
            self._taken_cost = sum([job.cost for job in self._taken])
            return self._taken

    def done(self, seconds: float) -> None:
        """What was taken is computed, which took so long."""
        with self._lock:
            # What was given up in the middle says nothing of how long the whole takes, and who failed may have been refused at once.
            answered = [job for job in self._taken if job.answered]
            # Pings, and above all the first work of a model, say nothing of what requests take, nor does what came before the model.
            self._weighs = self._weighs or all(job.weighed for job in self._taken)
            if (
                self._weighs
                and any(job.counted for job in answered)
                and not any(job.future.cancelled() for job in self._taken if not job.answered)
            ):
                costs = [job.cost for job in answered]
                whole = sum(costs)
                beside_s = seconds * (1 - max(costs) / whole)
                self._beside_s += (_SHARE if self._cost_s else 1.0) * (beside_s - self._beside_s)
                self._measured(seconds / whole)
            self._taken, self._taken_cost = [], 0

    def join(self, places: int, free: int) -> list[Job[Asked, Answered]]:
        """The requests that find a place among those that were taken before and go on, of `places` inputs that `free` are left of. Blocks
        where nobody goes on."""
        with self._lock:
            self._places = places
            if not self._taken:
                self._came.wait_for(lambda: self._jobs)
            self._drop_first()
            if self._taken and (not self._jobs or self._jobs[0].inputs > free):
                return []
            joined = self._next(free)
            self._taken += joined
            self._taken_cost = sum(job.cost for job in self._taken)
            return joined

    def left(self, job: Job[Asked, Answered], seconds: float) -> None:
        """One of those that go on side by side is over, after so long."""
        with self._lock:
            self._taken.remove(job)
            self._taken_cost = sum(job.cost for job in self._taken)
            if job.answered and job.counted and job.weighed:
                self._measured(seconds / (job.cost * self._places) * min(job.inputs, self._places))

    def _measured(self, cost_s: float) -> None:
        self._cost_s += (_SHARE if self._cost_s else 1.0) * (cost_s - self._cost_s)

    def _next(self, most_inputs: int) -> list[Job[Asked, Answered]]:
        taken: list[Job[Asked, Answered]] = []
        inputs, now = 0, time.monotonic()
        while self._jobs and (not taken or inputs + self._jobs[0].inputs <= most_inputs):
            job = self._jobs.popleft()
            # Exactly nothing where nobody waits, whatever was rounded on the way.
            self._jobs_cost = self._jobs_cost - job.cost if self._jobs else 0
            if (now < job.until and not job.cancellation.cancelled) or not self._dropped(job, now):
                if not self._places and now + self._computed_s(job) > job.until and self._crowded(job, inputs, most_inputs, now):
                    # It would be computed in vain, in the place of somebody who waits behind it.
                    self._shed("wait", job.counted)
                    job.fail(Overloaded("Its time would be over before it is computed.", retry_after_s=_whole(self._expected_s())))
                    continue
                taken.append(job)
                inputs += job.inputs
        return taken

    def _crowded(self, first: Job[Asked, Answered], inputs: int, most_inputs: int, now: float) -> bool:
        """Whether those who wait, and for whom somebody still does, do not all find a place beside the first, and so many inputs."""
        behind = sum(job.inputs for job in self._jobs if job.counted and now < job.until and not job.cancellation.cancelled)
        return first.counted and behind > 0 and inputs + first.inputs + behind > most_inputs

    def _require_place(self, *, counted: bool) -> None:
        if len(self._jobs) < self._most:
            return
        # Places of those who left are free.
        self._drop()
        if len(self._jobs) == self._most:
            self._shed("full", counted)
            raise Overloaded(f"{self._most} requests are waiting already.", retry_after_s=_whole(self._expected_s()))

    def _drop_first(self) -> None:
        """Who left, or is too late, keeps nobody behind it waiting for as many places as it would have taken."""
        now = time.monotonic()
        while self._jobs and self._dropped(self._jobs[0], now):
            cost = self._jobs.popleft().cost
            self._jobs_cost = self._jobs_cost - cost if self._jobs else 0

    def _drop(self) -> None:
        """Forget those who wait and for whom nobody does any more."""
        now = time.monotonic()
        self._jobs = deque(job for job in self._jobs if not self._dropped(job, now))
        self._jobs_cost = sum(job.cost for job in self._jobs)

    def _dropped(self, job: Job[Asked, Answered], now: float) -> bool:
        if now >= job.until:
            self._shed("deadline", job.counted)
            job.fail(DeadlineExceeded("Its time was over before the model was free."))
            return True
        if job.cancellation.cancelled:
            self._shed("gone", job.counted)
            job.fail(Cancelled())
            return True
        return False

    def _shed(self, reason: str, counted: bool) -> None:
        if counted:
            self._metrics.shed(reason)

    def _expected_s(self) -> float:
        """How long a request that comes now will wait."""
        if not self._cost_s:
            return 0.0
        waiting_s = self._jobs_cost * self._cost_s
        if self._places:
            if len(self._jobs) < self._places and sum(job.inputs for job in (*self._jobs, *self._taken)) < self._places:
                return 0.0
            # One of them is over about as soon as a place has had its share of one.
            return waiting_s + self._taken_cost / max(len(self._taken), 1) * self._cost_s
        if not self._taken or self._is_answered():
            return waiting_s
        running_s = self._taken_cost * self._cost_s - (time.monotonic() - self._began)
        return max(running_s, 0.0) + waiting_s

    def _answered_s(self, job: Job[Asked, Answered]) -> float:
        """How long until one that comes now is answered: who is let in with time to wait and none to be computed is computed in vain,
        and keeps others from their answers. Nothing where nobody is before it, so that one measurement that was too long is followed by
        others."""
        expected_s = self._expected_s()
        if self._places or (not self._jobs and (not self._taken or self._is_answered())):
            return expected_s
        return expected_s + self._computed_s(job)

    def _computed_s(self, job: Job[Asked, Answered]) -> float:
        """How long it will be computed, with others beside it. Not of texts that go on side by side: how long these are allowed to be is
        known, and most end sooner."""
        return job.cost * self._cost_s + self._beside_s

    def _is_answered(self) -> bool:
        """Whether all that is left of what was taken is to say that it is done: a lone client has its answer before, and may ask again."""
        if len(self._taken) > 1:
            return False
        future = self._taken[0].future
        return future.done() and not future.cancelled()


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
