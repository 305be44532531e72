"""Instances of a revision that is being removed."""

import asyncio
from types import SimpleNamespace
from typing import Any

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp.cloud_run_instances import Instances
from pilotlight.twin.timers import Timers


class Slow:
    """An instance that needs a moment to end; whoever asks waits for it."""

    requests, idle_since, usable, free = 0, 0.0, True, True

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def stop(self) -> None:
        self.usable = False
        await self.end.wait()


def test_who_stops_them_a_second_time_waits_for_their_end_too() -> None:
    async def scenario() -> None:
        revision: Any = SimpleNamespace(max_instances=2, requests=1, target=None)
        made: list[Any] = []

        async def start() -> Any:
            made.append(Slow())
            return made[-1]

        instances = Instances(revision, start, Timers(Clock(0.0, 0)))
        await instances.set_floor(1)
        # A revision that was replaced drains, and its service is removed meanwhile.
        leaving = asyncio.create_task(instances.drain())
        await asyncio.sleep(0.01)
        removed = asyncio.create_task(instances.stop())
        await asyncio.sleep(0.05)
        assert not removed.done()
        made[0].end.set()
        await asyncio.wait_for(asyncio.gather(leaving, removed), 5)

    asyncio.run(scenario())
