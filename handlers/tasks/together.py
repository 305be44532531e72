"""Several requests through one model at once: each keeps its own answer, its own mistakes and its own right to be given up."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from handlers.engines.cancellation import Cancellation, Cancelled, Together
from handlers.functions.problems import InternalFault
from handlers.functions.requests import PredictionRequest
from handlers.tasks.text import PING, Array, TextModel, Tokens, finite

# Texts that are tokenized ahead of the model: enough to find many of one length, few enough to hold.
_WINDOW = 1024

Asked = tuple[PredictionRequest, Cancellation]


class Prepared(NamedTuple):
    """What a request asks of the model, read as it is computed, and what becomes of the outputs, in the same order."""

    tokens: Iterable[Tokens]
    answer: Callable[[list[Array]], Any]


class TextTask(ABC):
    """A task whose requests are texts for one model, computed together where several wait."""

    warm_up = PING

    def __init__(self, model: TextModel) -> None:
        self._model = model

    @abstractmethod
    def prepare(self, request: PredictionRequest) -> Prepared:
        """Raises InputRefused."""

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        """The answer to one request. Raises Cancelled, RequestProblem."""
        ((_, answer),) = self.predict_together([(request, cancellation)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def predict_together(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Any]]:
        """The place of each request and its answer, or the exception that is its answer, as each is done."""
        opened = [_Open(place, *each) for place, each in enumerate(asked)]
        texts = (text for each in opened for text in each.texts(self.prepare))
        while window := list(islice(texts, _WINDOW)):
            for run in self._model.runs([len(text.tokens.ids) for text in window]):
                self._compute([window[place] for place in run])
                yield from _done(opened)
        # Those of which nothing was left to compute.
        yield from _done(opened)

    def counted(self) -> dict[str, int]:
        """How many tokens were computed: those of texts, and padding."""
        return {"text": self._model.places - self._model.padding, "padding": self._model.padding}

    def _compute(self, run: "Sequence[_Text]") -> None:
        texts = [text for text in run if not text.of.over]
        owners = list({id(text.of): text.of for text in texts}.values())
        if not owners:
            return
        cancellation = owners[0].cancellation if len(owners) == 1 else Together([owner.cancellation for owner in owners])
        try:
            outputs = self._model.compute([text.tokens for text in texts], cancellation)
        except Cancelled as error:
            for owner in owners:
                owner.failure = error
        except Exception as error:  # noqa: BLE001  (the answer of whoever it belongs to)
            if len(owners) == 1:
                owners[0].failure = error
                return
            # One of them is at fault: alone, it fails alone.
            for owner in owners:
                self._compute([text for text in texts if text.of is owner])
        else:
            for text, output in zip(texts, outputs, strict=True):
                text.of.take(text.place, output)


class _Open:
    """A request under way: what was read of it, what of that is computed."""

    def __init__(self, place: int, request: PredictionRequest, cancellation: Cancellation) -> None:
        self.place = place
        self.cancellation = cancellation
        self.failure: Exception | None = None
        self.told = False
        self._request = request
        self._answer: Callable[[list[Array]], Any] | None = None
        self._outputs: list[Any] = []
        self._waiting = 0
        self._read = False

    @property
    def over(self) -> bool:
        """Whether nothing of it needs to be computed any more."""
        return self.failure is not None or self.cancellation.cancelled

    def texts(self, prepare: Callable[[PredictionRequest], Prepared]) -> "Iterator[_Text]":
        """Its texts, until it fails or is given up."""
        try:
            tokens, self._answer = prepare(self._request)
            for each in tokens:
                if self.over:
                    return
                self._outputs.append(None)
                self._waiting += 1
                yield _Text(self, len(self._outputs) - 1, each)
        except Exception as error:  # noqa: BLE001  (its answer)
            self.failure = error
        finally:
            self._read = True

    def take(self, place: int, output: Array) -> None:
        self._waiting -= 1
        if finite(output):
            self._outputs[place] = output
        else:
            self.failure = InternalFault("The model computed a value that is not a number for this input.")

    def done(self) -> bool:
        return self.over or (self._read and not self._waiting)

    def answer(self) -> Any:
        """The answer, or the exception that is one."""
        if self.failure is not None:
            return self.failure
        if self.cancellation.cancelled or self._answer is None:
            return Cancelled()
        try:
            return self._answer(self._outputs)
        except Exception as error:  # noqa: BLE001  (its answer)
            return error


class _Text(NamedTuple):
    """One text of a request, and its place there."""

    of: _Open
    place: int
    tokens: Tokens


def _done(opened: Iterable[_Open]) -> Iterator[tuple[int, Any]]:
    """Those that are done and were not told before."""
    for each in opened:
        if not each.told and each.done():
            each.told = True
            yield each.place, each.answer()
