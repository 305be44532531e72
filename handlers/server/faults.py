"""What a model raises, as whoever waits for its answer can be told."""

from concurrent.futures import CancelledError


def carried(error: BaseException) -> Exception:
    """The error as a future can carry it: one that would end or cancel whoever waits, or pass for the end of the wait, as the cause of
    another (SystemExit and CancelledError of a model of one's own, its TimeoutError, a panic below it)."""
    if isinstance(error, Exception) and not isinstance(error, CancelledError | TimeoutError | StopIteration):
        return error
    fault = RuntimeError(f"The model raised {type(error).__name__}.")
    fault.__cause__ = error
    return fault
