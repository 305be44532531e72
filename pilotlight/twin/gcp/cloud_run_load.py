"""What a revision's instances have under way, on average over the last minute: by that Cloud Run decides how many there should be.

Source: Cloud Run documentation, "About instance autoscaling" (read 2026-11): every few seconds, requests at a time as a share of what an
instance takes, and the same of its vCPUs, which nobody measures here.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable

WINDOW_S = 60.0
LOOK_S = 5.0


class Load:
    """Counts, each from the moment on at which it was told. `now` gives seconds of a clock that never runs backwards."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._changes: collections.deque[tuple[float, int]] = collections.deque([(now(), 0)])

    def tell(self, count: int) -> None:
        """So many are under way from now on."""
        begin = self._now() - WINDOW_S
        while len(self._changes) > 1 and self._changes[1][0] <= begin:
            self._changes.popleft()
        self._changes.append((self._now(), count))

    def average(self) -> float:
        """Over the last minute."""
        end = self._now()
        begin, total = end - WINDOW_S, 0.0
        for since, count in reversed(self._changes):
            total += count * max(0.0, end - max(since, begin))
            end = min(end, since)
        return total / WINDOW_S

    def wanted(self, places: float) -> int:
        """Instances that each have so many under way, of what is on average."""
        return math.ceil(self.average() / places)
