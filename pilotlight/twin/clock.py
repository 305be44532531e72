"""The twin's time: the machine's, until a test moves it or makes it run faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A clock showed `now` when the machine's showed `machine` (both in seconds since the epoch), and ran at `speed`."""

    now: float
    machine: float
    speed: float


class Clock:
    """Seconds since the epoch that never run backwards, also when the machine's own clock is set back. Thread-safe.

    `start` is the time that it begins at, the machine's by default, and `speed` how fast it runs.
    """

    def __init__(self, start: float | None = None, speed: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._anchor = time.monotonic()
        self._base = time.time() if start is None else start
        self._speed = speed
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def resumed(cls, before: Reading) -> Clock:
        """The clock of that reading as if it had run on until now."""
        return cls(before.now + max(0.0, time.time() - before.machine) * before.speed, before.speed)

    def now(self) -> float:
        """Seconds since the epoch."""
        with self._lock:
            return self._read()

    def datetime(self) -> datetime:
        """The same as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def reading(self) -> Reading:
        """What `resumed` takes."""
        with self._lock:
            return Reading(now=self._read(), machine=time.time(), speed=self._speed)

    @property
    def speed(self) -> float:
        return self._speed

    def advance(self, seconds: float) -> float:
        """Move forward and return the new time. ValueError for a negative number: time that ran back would break leases and quotas."""
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"clock: advance by {seconds} seconds: use a number of 0 or more.")
        with self._lock:
            self._base += seconds
            now = self._read()
        self._tell()
        return now

    def run_at(self, speed: float) -> None:
        """Let time run `speed` times as fast from now on; 0 stops it. ValueError for a negative number."""
        if not 0 <= speed < float("inf"):
            raise ValueError(f"clock: speed {speed}: use a number of 0 or more, 1 is the machine's own.")
        with self._lock:
            self._base, self._anchor, self._speed = self._read(), time.monotonic(), speed
        self._tell()

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever time was moved or runs at another speed, in the thread that did it."""
        self._listeners.append(changed)

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    def _read(self) -> float:
        return self._base + (time.monotonic() - self._anchor) * self._speed
