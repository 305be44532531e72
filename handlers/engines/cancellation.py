"""A prediction that nobody waits for any more: how to say so to the thread that computes it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress


class Cancelled(Exception):
    """The prediction was given up; its result is not wanted."""


class Cancellation:
    """Set by the side that waits, looked at by the side that computes."""

    # One for all: it is held for a moment, and to make one costs as much as the rest.
    _lock = threading.RLock()

    _cancelled = False
    _stop: Callable[[], None] | None = None

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Give the prediction up; a running computation that can be stopped is stopped."""
        with self._lock:
            self._cancelled = True
            if self._stop is not None:
                self._stop()

    def check(self) -> None:
        """Raises Cancelled once the prediction was given up."""
        if self._cancelled:
            raise Cancelled

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` if the prediction is given up inside the block. Raises Cancelled when it was before."""
        with self._lock:
            self.check()
            self._stop = stop
        try:
            yield
        finally:
            with self._lock:
                self._stop = None


class Together(Cancellation):
    """Several predictions that are computed at once: given up when every one of them is, and no sooner."""

    def __init__(self, members: Sequence[Cancellation]) -> None:
        self._members = members

    @property
    def cancelled(self) -> bool:
        return all(member.cancelled for member in self._members)

    def check(self) -> None:
        """Raises Cancelled once nobody waits any more."""
        if self.cancelled:
            raise Cancelled

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` if the last of them is given up inside the block. Raises Cancelled when none was left before."""

        def stop_after_the_last() -> None:
            if self.cancelled:
                stop()

        with ExitStack() as watched:
            for member in self._members:
                with suppress(Cancelled):
                    watched.enter_context(member.stopping(stop_after_the_last))
            self.check()
            yield
