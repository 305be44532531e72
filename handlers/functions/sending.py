"""Spans on their way to whoever collects them: a thread of its own sends what has gathered, and nobody else ever waits for it."""

import functools
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence

from handlers.functions import logs
from handlers.functions.spans import Span

_HURRIED_S, _LONGEST_PAUSE_S = 0.2, 60.0


class NotTaken(Exception):
    """Spans did not arrive; `again` tells whether the same may be taken later, after the `after_s` seconds that were asked for."""

    def __init__(self, message: str, *, again: bool, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.again = again
        self.after_s = after_s


class Sending:
    """What can't be sent yet is kept as far as there is room; beyond it the oldest is lost, which is counted and told in the log."""

    # A span is some 600 bytes.
    most_at_once, most_kept, gather_s = 400, 4_000, 1.0
    _sending: threading.Thread | None

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._name = name
        self._sent = self._dropped = 0
        self._begin()
        os.register_at_fork(after_in_child=self._forked)

    def connect(self) -> None:
        """Have connections of this process's own: at first, and in one that is forked."""
        raise NotImplementedError

    def send(self, batch: Sequence[Span]) -> int:
        """Send them, in the thread; how many of them were not taken and never will be. Raises NotTaken."""
        raise NotImplementedError

    def add(self, span: Span) -> None:
        with self._changed:
            self._waiting.append(span)
            self._shorten()
            if self._sending is None:
                # Not before: what a process starts with has its signals to itself, and costs a cold start.
                self._sending = _started(threading.Thread(target=self._run, name=self._name, daemon=True))
            self._changed.notify_all()

    def flush(self, within_s: float) -> None:
        """What is not taken within that time is lost."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._under_way, timeout=within_s)

    def counts(self) -> Mapping[str, int]:
        with self._changed:
            return {"sent": self._sent, "dropped": self._dropped}

    def _begin(self) -> None:
        self._waiting: deque[Span] = deque()
        self._under_way: list[Span] = []
        self._lost = 0
        self._changed = threading.Condition()
        self._hurry = False
        self._sending = None
        self.connect()

    def _forked(self) -> None:
        """Neither the thread nor what it would send is this process's."""
        self._sent = self._dropped = 0
        self._begin()

    def _run(self) -> None:
        pause_s = self.gather_s
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                # Spans of one request come together, and so go together; after trouble all of them wait.
                self._changed.wait_for(functools.partial(self._due, pause_s > self.gather_s), timeout=pause_s)
                batch = self._under_way = [self._waiting.popleft() for _ in range(min(len(self._waiting), self.most_at_once))]
            try:
                lost, pause_s = self._tried(batch), self.gather_s
            except NotTaken as error:
                self._keep(batch)
                logs.write("spans_kept", level="WARNING", spans=len(self._waiting), message=str(error))
                pause_s = min(max(2 * pause_s, error.after_s), _LONGEST_PAUSE_S)
                if self._hurry:
                    # Whoever waits for the last words says for how long.
                    time.sleep(_HURRIED_S)
                continue
            self._done(len(batch), lost)

    def _due(self, troubled: bool) -> bool:
        return self._hurry or (not troubled and len(self._waiting) >= self.most_at_once)

    def _tried(self, batch: Sequence[Span]) -> int:
        """How many of them are lost. Raises NotTaken for what may go well later."""
        try:
            return self.send(batch)
        except NotTaken as error:
            if error.again:
                raise
            logs.write("spans_refused", level="WARNING", message=str(error))
        except Exception as error:  # noqa: BLE001  (no span may end the thread that sends all others)
            trace = "".join(traceback.format_exception(error))
            logs.write("spans_lost", level="WARNING", error=type(error).__name__, message=str(error), traceback=trace)
        return len(batch)

    def _keep(self, batch: Sequence[Span]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            self._under_way = []
            self._shorten()
            self._changed.notify_all()

    def _done(self, spans: int, lost: int) -> None:
        with self._changed:
            self._under_way = []
            self._sent += spans - lost
            self._dropped += lost
            lost, self._lost = lost + self._lost, 0
            self._changed.notify_all()
        if lost:
            logs.write("spans_lost", level="WARNING", spans=lost)

    def _shorten(self) -> None:
        while len(self._waiting) > self.most_kept:
            self._waiting.popleft()
            self._lost += 1
            self._dropped += 1


def _started(thread: threading.Thread) -> threading.Thread | None:
    """None where the system has no thread left: what is told is no reason to fail a request."""
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread
