"""What a thread that has nothing to do waits for."""

import os
import select
import threading
import time
import weakref
from collections.abc import Callable


class Bell:
    """One thread waits for it under a lock, others ring; what threading.Condition is, through a pipe.

    The system wakes who reads a pipe where the ringer runs, which is about to wait itself, and who waits for a lock on a processor that
    has to be woken first. A lone client of a short prediction waits a tenth less for that (docs/decisions/0026).
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        # Of one that sleeps, until somebody has taken it on himself to ring: so there is one byte for each sleep.
        self._asleep = False
        self._heard, self._rope = os.pipe()
        self._looks = select.poll()
        self._looks.register(self._heard, select.POLLIN)
        # At the end of the process its threads still wait.
        weakref.finalize(self, _close, self._heard, self._rope).atexit = False

    def wait_for(self, there: Callable[[], object], timeout: float | None = None) -> None:
        """Until something is there, or so many seconds are over. The lock is held, but not while it waits."""
        until = None if timeout is None else time.monotonic() + timeout
        while not there():
            if until is None:
                self._sleep(None)
            elif (left_s := until - time.monotonic()) <= 0 or not self._sleep(left_s):
                return

    def _sleep(self, seconds: float | None) -> bool:
        """Whether it rang in that time."""
        self._asleep = True
        self._lock.release()
        rang = False
        try:
            # In whole milliseconds, and none too long.
            rang = seconds is None or bool(self._looks.poll(int(seconds * 1000)))
            if rang:
                os.read(self._heard, 1)
        finally:
            self._lock.acquire()
        if not rang and not self._asleep:
            # In the last moment: whoever has promised to ring does.
            os.read(self._heard, 1)
            return True
        self._asleep = False
        return rang

    def is_needed(self) -> bool:
        """Whether it has to be rung, which whoever asks then must. The lock is held."""
        needed, self._asleep = self._asleep, False
        return needed

    def ring(self) -> None:
        """The lock need not be held."""
        os.write(self._rope, b"\0")


def _close(*numbers: int) -> None:
    for number in numbers:
        os.close(number)
