"""Where a cold start goes: the stages between the start of the process and its first answer, in milliseconds."""

import os
import threading
import time
from typing import NamedTuple

from handlers.web.process import AHEAD_S, seconds_since_start

# Lambda developer guide, defined runtime environment variables.
_AHEAD_BY_LAMBDA = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") != "on-demand"


class ColdStart(NamedTuple):
    """Where a start went, in milliseconds; `ahead` when it was over before anybody asked, so that no caller waited for it."""

    stages: dict[str, float]
    ahead: bool


class Stages:
    """Consecutive stages of one process: each mark closes the stage that runs since the mark before.

    They follow the thread that brings the model up, so they add up to the whole start; what ran beside it is not in them.
    """

    def __init__(self, boot_s: float, *, ahead: bool = False) -> None:
        self._ahead = ahead
        self._lock = threading.Lock()
        self._last = time.perf_counter()
        self._milliseconds = {"boot": boot_s * 1000}
        # Whether the first caller has been told.
        self.taken = False

    @classmethod
    def since_process_start(cls) -> "Stages":
        """Stages whose `boot` runs from the kernel's start of this process; 0 where the kernel does not tell."""
        return cls(seconds_since_start(), ahead=_AHEAD_BY_LAMBDA)

    def mark(self, stage: str) -> None:
        """Close `stage`."""
        now = time.perf_counter()
        self._milliseconds[stage] = (now - self._last) * 1000
        self._last = now

    def again(self) -> None:
        """Add what has passed since to the stage that was closed last, unless the start is told already."""
        if self.taken:
            return
        now = time.perf_counter()
        stage = next(reversed(self._milliseconds))
        self._milliseconds[stage] += (now - self._last) * 1000
        self._last = now

    def take(self, first_s: float) -> "ColdStart | None":
        """All stages with `first`, the first prediction, for the first caller; None for every later one."""
        with self._lock:
            if self.taken:
                return None
            self.taken = True
        self._milliseconds["first"] = first_s * 1000
        unasked_s = time.perf_counter() - self._last - first_s
        return ColdStart(self.known(), ahead=self._ahead or unasked_s > AHEAD_S)

    def known(self) -> dict[str, float]:
        """The stages that are over, rounded to a tenth of a millisecond."""
        return {name: round(value, 1) for name, value in self._milliseconds.items()}


def server_timing(stages: dict[str, float]) -> str:
    """The value of a `Server-Timing` header."""
    return ", ".join(f"{name};dur={value:g}" for name, value in stages.items())


def custom_attributes(stages: dict[str, float]) -> str:
    """The same in the header that SageMaker hands on to the caller of InvokeEndpoint (1,024 characters at most)."""
    return "cold-start=" + ",".join(f"{name}:{value:g}" for name, value in stages.items())
