"""Requests that one model continues side by side: who comes joins between two steps, who leaves is not computed any more."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from handlers.engines import EngineLost
from handlers.engines.cancellation import Cancellation
from handlers.functions.requests import PredictionRequest
from handlers.server.waiting import Answered, Asked, Job

Opened = TypeVar("Opened", bound="OpenedRequest")


class OpenedRequest(Protocol):
    """A request that a model goes on with. `outputs` raises what it failed with."""

    def outputs(self) -> Any: ...


@runtime_checkable
class Continuous(Protocol):
    """A model that goes on with many requests, as `handlers/tasks/text_generation.py` does."""

    @property
    def free(self) -> int: ...
    def begin(self, request: PredictionRequest, cancellation: Cancellation, told: Callable[[Any], None] | None = None) -> Any: ...
    def step(self) -> Sequence[Any]: ...
    def reset(self) -> None: ...


class Running(Generic[Asked, Answered]):
    """The jobs of a continuous model. `begin` and `encoded` are given by whoever knows what a job asks; both may raise its answer."""

    def __init__(
        self,
        model: Continuous,
        begin: Callable[[Job[Asked, Answered]], tuple[Any, PredictionRequest]],
        encoded: Callable[[Job[Asked, Answered], PredictionRequest, Any], Answered | Exception],
    ) -> None:
        self._model = model
        self._begin = begin
        self._encoded = encoded
        self._jobs: dict[Any, tuple[Job[Asked, Answered], PredictionRequest]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def free(self) -> int:
        """How many more inputs the model goes on with at once."""
        return self._model.free

    def begin(self, job: Job[Asked, Answered]) -> BaseException | None:
        """Let a job join; what is its answer where it can't, a panic of what is below Python among that. Raises EngineLost."""
        try:
            opened, request = self._begin(job)
        except EngineLost:
            raise
        except BaseException as error:  # noqa: BLE001  (its answer)
            return error
        self._jobs[opened] = job, request
        return None

    def step(self) -> Iterator[tuple[Job[Asked, Answered], Answered | BaseException]]:
        """One step of all; those that are over, each with its answer or the exception that is one. Raises what broke a step, EngineLost."""
        for opened in self._model.step():
            job, request = self._jobs.pop(opened)
            try:
                answer: Answered | BaseException = self._encoded(job, request, opened.outputs())
            except EngineLost:
                raise
            except BaseException as error:  # noqa: BLE001  (its answer)
                answer = error
            yield job, answer

    def give_up(self) -> list[Job[Asked, Answered]]:
        """Forget every job, because a step broke."""
        self._model.reset()
        return self.abandon()

    def abandon(self) -> list[Job[Asked, Answered]]:
        """The same where the model can't even forget: it is lost."""
        jobs = [job for job, _ in self._jobs.values()]
        self._jobs.clear()
        return jobs
