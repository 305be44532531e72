"""What becomes of a job that a loop is told of: of a Future what the model's thread and who gives up ask of one, without its locks."""

from collections.abc import Callable
from concurrent.futures import InvalidStateError
from typing import Any

_GIVEN_UP = object()


class Outcome:
    """`told` is called once, by whoever ends it first: with a result or an error. Nobody is told of what is given up.

    Threads share it: who is first is who appended first, which the interpreter does as one step.
    """

    __slots__ = ("_ends", "_told")

    def __init__(self, told: Callable[["Outcome"], None]) -> None:
        self._told = told
        self._ends: list[Any] = []

    def done(self) -> bool:
        return bool(self._ends)

    def cancelled(self) -> bool:
        return bool(self._ends) and self._ends[0] is _GIVEN_UP

    def cancel(self) -> bool:
        self._ends.append(_GIVEN_UP)
        return self._ends[0] is _GIVEN_UP

    def set_result(self, result: Any) -> None:
        """Raises InvalidStateError where it is over already."""
        self._end((result, None))

    def set_exception(self, error: BaseException) -> None:
        """Raises InvalidStateError where it is over already."""
        self._end((None, error))

    def _end(self, end: tuple[Any, BaseException | None]) -> None:
        self._ends.append(end)
        if self._ends[0] is not end:
            raise InvalidStateError
        self._told(self)

    def end(self) -> tuple[Any, BaseException | None]:
        """Result or error of one that is told of."""
        result, error = self._ends[0]
        return result, error
