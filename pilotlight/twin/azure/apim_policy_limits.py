"""Rates and quotas, by the twin's clock: how many calls each counter has had."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# What is counted: the policy by its document and place, and whose calls.
Counter = tuple[str, int, str]


@dataclass(frozen=True, kw_only=True)
class Count:
    """`left` calls may come before the limit; `retry_s` is how long the next one must wait, 0 where it need not."""

    allowed: bool
    left: int
    retry_s: int


class Limits:
    """In memory: a restart of the twin forgives what was used. `now` gives seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rates: dict[Counter, deque[float]] = {}
        self._quotas: dict[Counter, tuple[float, int]] = {}

    def rate(self, counter: Counter, calls: int, period_s: float) -> Count:
        """Count a call in a sliding window; one that is over the limit is not counted."""
        now, window = self._now(), self._rates.setdefault(counter, deque())
        while window and window[0] <= now - period_s:
            window.popleft()
        if len(window) >= calls:
            ends = window[len(window) - calls] + period_s if calls else now + period_s
            return Count(allowed=False, left=0, retry_s=max(1, math.ceil(ends - now)))
        window.append(now)
        return Count(allowed=True, left=calls - len(window), retry_s=0)

    def quota(self, counter: Counter, calls: int, period_s: float, begins: float) -> Count:
        """Count a call in the windows of that length that follow each other from `begins` on; a length of 0 is one that never ends."""
        now = self._now()
        window = begins + (now - begins) // period_s * period_s if period_s else begins
        held, used = self._quotas.get(counter, (window, 0))
        used = used if held == window else 0
        if used >= calls:
            return Count(allowed=False, left=0, retry_s=max(1, math.ceil(window + period_s - now)) if period_s else 0)
        self._quotas[counter] = window, used + 1
        return Count(allowed=True, left=calls - used - 1, retry_s=0)


def timespan(seconds: int) -> str:
    """As .NET tells a time: `1.02:03:04`, `02:03:04`."""
    days, rest = divmod(seconds, 86400)
    return f"{f'{days}.' if days else ''}{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
