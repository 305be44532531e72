"""The one thread that owns the model: it loads it, then computes what waits, as many requests at once as there are and as fit."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Generic, NoReturn

from handlers.engines import EngineLost
from handlers.engines.loading import Model
from handlers.engines.manifest import ModelError
from handlers.functions.problems import NotReady, Overloaded
from handlers.server.inner_spans import BatchSpans
from handlers.server.metrics import Metrics
from handlers.server.running import Running
from handlers.server.waiting import Answered, Asked, Job, Waiting

# When each job that goes on with others began (performance counter), and its spans.
_Began = dict[Job[Asked, Answered], tuple[float, BatchSpans]]


class Worker(Generic[Asked, Answered]):
    """A request that comes while the model loads waits in the same queue as one that comes while it computes."""

    def __init__(
        self,
        load: Callable[[], Model],
        compute: Callable[[Model, Sequence[Job[Asked, Answered]]], Iterator[tuple[Job[Asked, Answered], Answered | Exception]]],
        *,
        continuous: Callable[[Model], Running[Asked, Answered] | None] = lambda model: None,
        max_queue: int,
        batch_size: int = 1,
        batch_wait_s: float = 0.0,
        metrics: Metrics | None = None,
        warm_up: Callable[[], Job[Asked, Answered] | None] = lambda: None,
    ) -> None:
        """`compute` gives each job with its answer, or the exception that is its answer, as it is done; where the model is one that goes on
        with many at once, `continuous` gives what does that in its place. `warm_up` makes the job that a model computes before it is said
        to be there, None where it has computed one; whoever waits has a request that is as good."""
        self._load = load
        self._compute = compute
        self._continuous = continuous
        self._batch_size = batch_size
        self._batch_wait_s = batch_wait_s
        self._metrics = metrics or Metrics()
        self._warm_up = warm_up
        self._jobs: Waiting[Asked, Answered] = Waiting(max_queue, self._metrics)
        # A daemon: a computation that can't be stopped must not keep a process from leaving.
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self.loaded: Future[None] = Future()
        # Done when the model computes nothing any more, with the reason.
        self.lost: Future[EngineLost] = Future()

    def start(self) -> None:
        self._thread.start()

    @property
    def ready(self) -> bool:
        return self.loaded.done() and self.loaded.exception() is None and not self.lost.done() and self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Requests in the queue; those that are computed are not counted."""
        return len(self._jobs)

    def require_place(self, *, counted: bool = True) -> None:
        """Raises Overloaded when the queue is full, in figures where the request is `counted`."""
        self._jobs.require_place(counted=counted)

    def submit(self, job: Job[Asked, Answered], *, wake: bool = True) -> Job[Asked, Answered]:
        """Queue a prediction. Raises Overloaded when there is no place or no time for it, so that a client can go elsewhere at once.

        Without `wake` a model that has nothing to do begins it once it is told to (`wake()`).
        """
        self._jobs.put(job, wake=wake)
        return job

    def wake(self) -> None:
        """Begin what was submitted."""
        self._jobs.wake()

    def _run(self) -> None:
        self._serve()
        # Others have a process that computes; this one has none to offer until it is gone.
        while True:
            for job in self._jobs.take(1, 0):
                job.fail(_gone())

    def _serve(self) -> None:
        """Returns when the model computes nothing any more, or can't be loaded, which `lost` and `loaded` tell."""
        try:
            model = self._load()
            running = self._continuous(model)
        except BaseException as error:  # noqa: BLE001  (handed to the thread that waits for `loaded`)
            self.loaded.set_exception(error)
            return
        warm_up = None if self._jobs.anybody() else self._warm_up()
        if warm_up is None:
            self.loaded.set_result(None)
        else:
            try:
                first = self.submit(warm_up)
            except Overloaded:
                # Whoever has come in this moment has taken the last place.
                self.loaded.set_result(None)
            else:
                # Whatever became of it, which is told by whoever made it.
                first.future.add_done_callback(self._warmed_up)
        try:
            self._compute_all(model, running)
        except BaseException as error:  # noqa: BLE001  (a thread that computes nothing any more is told of, whatever ended it)
            self.lost.set_result(error if isinstance(error, EngineLost) else EngineLost(f"{type(error).__name__}: {error}"))

    def _warmed_up(self, first: Future[Any]) -> None:
        """What a warm-up can't compute may be its own fault, but not that its model and manifest do not belong together."""
        error = None if first.cancelled() else first.exception()
        if isinstance(error, ModelError):
            self.loaded.set_exception(error)
        else:
            self.loaded.set_result(None)

    def _compute_all(self, model: Model, running: Running[Asked, Answered] | None) -> NoReturn:
        """Raises EngineLost."""
        if running is not None:
            self._go_on(running)
        most_inputs = self._batch_size if hasattr(model, "predict_together") else 1
        while True:
            self._compute_next(model, most_inputs)

    def _compute_next(self, model: Model, most_inputs: int) -> None:
        """By itself, so that what was computed is not kept until somebody comes again."""
        if jobs := self._jobs.take(most_inputs, self._batch_wait_s):
            self._answer(model, jobs)

    def _answer(self, model: Model, jobs: Sequence[Job[Asked, Answered]]) -> None:
        began, started = time.monotonic(), time.perf_counter()
        self._metrics.batch([began - job.came for job in jobs if job.counted])
        batch = BatchSpans(jobs, began)
        try:
            self._answer_each(model, jobs, started, batch)
        except EngineLost:
            for job in jobs:
                if not job.future.done():
                    batch.answered(job, _gone())
                    job.fail(_gone())
            raise
        finally:
            batch.done()
            self._jobs.done(time.perf_counter() - started)

    def _answer_each(self, model: Model, jobs: Sequence[Job[Asked, Answered]], started: float, batch: BatchSpans) -> None:
        try:
            for job, answer in self._compute(model, jobs):
                batch.answered(job, answer if isinstance(answer, Exception) else None)
                if isinstance(answer, Exception):
                    job.fail(answer)
                else:
                    job.answer(answer, time.perf_counter() - started)
        except EngineLost:
            raise
        except BaseException as error:  # noqa: BLE001  (handed to the request that it belongs to; this thread goes on, whatever a model raises)
            if len(jobs) == 1:
                batch.answered(jobs[0], error)
                jobs[0].fail(error)
                return
            # A panic of what is below Python, say, says not in whose text: alone, only that one fails.
            for job in jobs:
                if not job.future.done():
                    self._answer_each(model, [job], started, batch)

    def _go_on(self, running: Running[Asked, Answered]) -> NoReturn:
        """Whoever comes joins those that are computed already, as soon as there is a place."""
        began: _Began[Asked, Answered] = {}
        while True:
            joined = self._jobs.join(self._batch_size, running.free)
            now = time.monotonic()
            self._metrics.batch([now - job.came for job in joined if job.counted])
            began |= {job: (time.perf_counter(), BatchSpans([job], now)) for job in joined}
            try:
                for job in joined:
                    if (error := running.begin(job)) is not None:
                        self._over(job, error, began)
                self._step(running, began)
            except BaseException:
                running.abandon()
                for job in list(began):
                    self._over(job, _gone(), began)
                raise

    def _step(self, running: Running[Asked, Answered], began: _Began[Asked, Answered]) -> None:
        """Raises EngineLost, and what comes of it where a step that broke can't be forgotten."""
        try:
            for job, answer in running.step():
                self._over(job, answer, began)
        except EngineLost:
            raise
        except BaseException as error:  # noqa: BLE001  (handed to the requests that were computed; this thread goes on)
            for job in running.give_up():
                self._over(job, error, began)

    def _over(self, job: Job[Asked, Answered], answer: Answered | BaseException, began: _Began[Asked, Answered]) -> None:
        started, spans = began.pop(job)
        seconds = time.perf_counter() - started
        # Told before whoever waits goes on.
        spans.answered(job, answer if isinstance(answer, BaseException) else None)
        spans.done()
        if isinstance(answer, BaseException):
            job.fail(answer)
        else:
            job.answer(answer, seconds)
        self._jobs.left(job, seconds)


def _gone() -> NotReady:
    return NotReady("The model computes nothing any more in this process, which ends: ask again.", retry_after_s=1)
