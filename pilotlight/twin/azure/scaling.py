"""How many replicas an app is to have: KEDA's decision between zero and one, the autoscaler's above it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from components import limits_azure as limits
from pilotlight.twin.rows import Properties

# Container Apps documentation, "Set scaling rules", limits and behavior (2026-05): what holds where a scale says nothing.
MIN_REPLICAS, MAX_REPLICAS = 0, 10
# How often requests are counted; how long a smaller number must hold before replicas go. Not read there, of which only a part was to be
# had: as the documentation is remembered, like the steps below.
HTTP_S, STABLE_S = 15.0, 300.0
# The steps up are 1, 4, 8, 16 and so on.
_FIRST_STEP = 4


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Bounds and times of a template, in replicas and seconds."""

    low: int = MIN_REPLICAS
    high: int = MAX_REPLICAS
    polling_s: float = limits.CONTAINER_APPS_POLLING_DEFAULT_S
    cooldown_s: float = limits.CONTAINER_APPS_COOLDOWN_DEFAULT_S

    @classmethod
    def of(cls, template: Properties) -> Scale:
        given = template.get("scale") or {}
        low, high, polling, cooldown = (given.get(name) for name in ("minReplicas", "maxReplicas", "pollingInterval", "cooldownPeriod"))
        return cls(
            low=MIN_REPLICAS if low is None else int(low),
            high=MAX_REPLICAS if high is None else int(high),
            polling_s=limits.CONTAINER_APPS_POLLING_DEFAULT_S if polling is None else float(polling),
            cooldown_s=limits.CONTAINER_APPS_COOLDOWN_DEFAULT_S if cooldown is None else float(cooldown),
        )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a rule's source said: `value` in units of which a replica takes `target`."""

    value: float
    target: float = 1

    @property
    def active(self) -> bool:
        return self.value > 0

    @property
    def replicas(self) -> int:
        return math.ceil(self.value / self.target)


class Scaler:
    """Decides for one revision; `now` is in seconds of the twin's clock, which only goes forward."""

    def __init__(self, scale: Scale, now: float) -> None:
        self.scale = scale
        # A new revision's first replicas are there for as long as a rule had just been active.
        self._active = now
        # (when, replicas that the rules asked for) of the last minutes.
        self._asked: deque[tuple[float, int]] = deque()

    def active(self, now: float) -> None:
        """Something happened that keeps an app from zero."""
        self._active = max(self._active, now)

    def decide(self, now: float, current: int, readings: Sequence[Reading]) -> int:
        """How many there are to be from now on; `current` run or start."""
        low, high = self.scale.low, self.scale.high
        live = [one for one in readings if one.active]
        if live:
            self.active(now)
        wanted = min(max(low, 1, *(one.replicas for one in live)), high) if live else max(low, 1)
        self._asked.append((now, wanted))
        while self._asked[0][0] <= now - STABLE_S:
            self._asked.popleft()
        if current == 0:
            return min(wanted, max(low, 1)) if live else low
        if low == 0 and not live and now >= self.zero_at():
            return 0
        if wanted >= current:
            return min(wanted, _step(current))
        return min(current, max(count for _, count in self._asked))

    def zero_at(self) -> float:
        """From when on nothing keeps the last replica, unless a rule says so by then."""
        return self._active + self.scale.cooldown_s

    def lower_at(self) -> float | None:
        """When the number that was asked for highest is forgotten; None where nothing was asked for."""
        highest = max((count for _, count in self._asked), default=0)
        return next((when + STABLE_S for when, count in reversed(self._asked) if count == highest), None)


def _step(current: int) -> int:
    return _FIRST_STEP if current < _FIRST_STEP else 2 * current
