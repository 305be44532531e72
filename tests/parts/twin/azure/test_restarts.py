"""How often replicas were started again, which is what tells of an app without ingress that it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pilotlight.twin.azure.replica import Replica, ReplicaFailed
from pilotlight.twin.azure.replicas import MOST_BACK_OFF_S, Replicas
from pilotlight.twin.azure.scaling import Scale
from pilotlight.twin.clock import Clock
from pilotlight.twin.timers import Timers


async def told(starts: list[bool]) -> list[list[int]]:
    """What is told of one replica after each of its starts, which come about or fail."""
    timers = Timers(Clock(0.0, 0))
    await timers.start()
    left = list(starts)

    async def start(ended: Callable[[Replica], None]) -> Any:
        if not left.pop(0):
            raise ReplicaFailed("it did not start")

        async def stop() -> None:
            return None

        return SimpleNamespace(ready=True, requests=0, restarts=0, since=0.0, stop=stop)

    async def none(rule: Any) -> int:
        return 0

    revision: Any = SimpleNamespace(name="tried", rules=(), scale=Scale(low=1, high=1, polling_s=30, cooldown_s=300))
    replicas, found = Replicas(revision, start, none, timers), []
    with pytest.raises(ReplicaFailed):
        await replicas.ensure(1)
    found.append(replicas.restarts())
    while left:
        await timers.forward(timers.now() + MOST_BACK_OFF_S)
        found.append(replicas.restarts())
    await replicas.stop()
    await timers.close()
    return found


def test_starts_that_fail_are_counted_until_one_comes_about() -> None:
    assert asyncio.run(told([False, True])) == [[1], [1]]
    assert asyncio.run(told([False, False, False, True]))[-1] == [3]
