"""How often a job of Cloud Scheduler is tried again, and when (Cloud Scheduler API v1, RetryConfig)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight.twin.gcp.names import seconds

if TYPE_CHECKING:
    from pilotlight.twin.world import Resource


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Times in seconds. With both a count and a duration, retries end when both are reached."""

    count: int = 0
    duration_s: float = 0.0
    least_s: float = 5.0
    most_s: float = 3600.0
    doublings: int = 5

    @classmethod
    def of(cls, job: Resource) -> Retries:
        given = job.get("retryConfig") or {}

        def time(field: str, default: float) -> float:
            found = seconds(given.get(field))
            return default if found is None else found

        return cls(
            count=int(given.get("retryCount") or cls.count),
            duration_s=time("maxRetryDuration", cls.duration_s),
            least_s=time("minBackoffDuration", cls.least_s),
            most_s=time("maxBackoffDuration", cls.most_s),
            doublings=int(cls.doublings if given.get("maxDoublings") is None else given["maxDoublings"]),
        )

    def again(self, done: int, elapsed_s: float) -> bool:
        """Whether one more follows `done` retries; `elapsed_s` is the time from the first attempt to it."""
        return done < self.count or elapsed_s < self.duration_s

    def wait_s(self, done: int) -> float:
        """The pause after `done` retries: it doubles, then grows by the same step."""
        doubled = self.least_s * float(2 ** min(done, self.doublings))
        return min(self.most_s, doubled * max(1, done - self.doublings + 1))
