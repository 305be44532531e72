"""The one thread that owns the model: it loads it, then takes predictions from a bounded queue."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Generic, TypeVar

from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.loading import Model
from handlers.functions.problems import Overloaded

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Job(Generic[Asked, Answered]):
    """One prediction: `future` gives the answer and, in seconds, how long it took."""

    def __init__(self, request: Asked) -> None:
        self.request = request
        self.cancellation = Cancellation()
        self.future: Future[tuple[Answered, float]] = Future()


class Worker(Generic[Asked, Answered]):
    """A request that comes while the model loads waits in the same queue as one that comes while it computes."""

    def __init__(self, load: Callable[[], Model], predict: Callable[[Model, Asked, Cancellation], Answered], max_queue: int) -> None:
        self._load = load
        self._predict = predict
        self._jobs: queue.Queue[Job[Asked, Answered]] = queue.Queue(max_queue)
        # A daemon: a computation that can't be stopped must not keep a process from leaving.
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self.loaded: Future[None] = Future()

    def start(self) -> None:
        self._thread.start()

    @property
    def ready(self) -> bool:
        return self.loaded.done() and self.loaded.exception() is None

    @property
    def waiting(self) -> int:
        """Requests in the queue; the one that is computed is not counted."""
        return self._jobs.qsize()

    def submit(self, request: Asked) -> Job[Asked, Answered]:
        """Queue a prediction. Raises Overloaded when the queue is full, so that a client can go elsewhere at once."""
        job: Job[Asked, Answered] = Job(request)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Overloaded(f"{self._jobs.maxsize} requests are waiting already.", retry_after_s=1) from None
        return job

    def _run(self) -> None:
        try:
            model = self._load()
        except BaseException as error:  # noqa: BLE001  (handed to the thread that waits for `loaded`)
            self.loaded.set_exception(error)
            return
        self.loaded.set_result(None)
        while True:
            self._answer(model, self._jobs.get())

    def _answer(self, model: Model, job: Job[Asked, Answered]) -> None:
        started = time.perf_counter()
        try:
            job.cancellation.check()
            answer = self._predict(model, job.request, job.cancellation)
            _settle(job, result=(answer, time.perf_counter() - started))
        except Cancelled:
            job.future.cancel()
        except Exception as error:  # noqa: BLE001  (handed to the request that waits for it)
            _settle(job, error=error)


def _settle(job: Job[Asked, Answered], *, result: tuple[Answered, float] | None = None, error: Exception | None = None) -> None:
    try:
        if error is not None:
            job.future.set_exception(error)
        elif result is not None:
            job.future.set_result(result)
    except InvalidStateError:
        pass  # given up in the last moment: nobody waits
