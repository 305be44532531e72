"""Throttles and quotas of the gateways: token buckets, and counts per calendar period."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

# The account's own throttle in each region, by the API Gateway quotas page.
ACCOUNT_RATE = 10_000.0
ACCOUNT_BURST = 5_000


@dataclass
class _Bucket:
    rate: float
    burst: float
    tokens: float
    at: float


class Throttles:
    """Token buckets by name: `rate` tokens a second flow in, `burst` fit. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def admit(self, wanted: list[tuple[tuple[str, ...], float, float]]) -> bool:
        """Take one token from each of (name, rate, burst), or none at all where one is empty."""
        buckets = [self._filled(name, rate, burst) for name, rate, burst in wanted]
        # A hair of tolerance: sums of small refills must not lose a whole request to rounding.
        if any(bucket.tokens < 1 - 1e-9 for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.tokens -= 1
        return True

    def _filled(self, name: tuple[str, ...], rate: float, burst: float) -> _Bucket:
        now = self._monotonic()
        bucket = self._buckets.get(name)
        if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
            # A changed limit starts afresh, as after an update of the stage.
            bucket = self._buckets[name] = _Bucket(rate, burst, float(burst), now)
        bucket.tokens = min(bucket.burst, bucket.tokens + max(0.0, now - bucket.at) * bucket.rate)
        bucket.at = now
        return bucket


class Quotas:
    """Requests by key in the current day, week or month (UTC). In memory: a restart of the twin forgives what was used."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._used: dict[tuple[str, ...], tuple[str, int]] = {}

    def admit(self, name: tuple[str, ...], limit: int, period: str, offset: int = 0) -> bool:
        """Count one request of `name`; False where `limit` of the `period` (DAY, WEEK, MONTH) is used up.

        `offset` is what the plan takes off in the period it starts in; the twin takes it off every time.
        """
        current = _period(self._now(), period)
        started, used = self._used.get(name, (current, 0))
        if started != current:
            used = 0
        if used >= limit - offset:
            return False
        self._used[name] = (current, used + 1)
        return True


def _period(epoch_s: float, period: str) -> str:
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return moment.strftime({"DAY": "%Y-%m-%d", "WEEK": "%G-W%V", "MONTH": "%Y-%m"}[period])
