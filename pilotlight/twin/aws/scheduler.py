"""EventBridge Scheduler: schedules on the twin's clock, delivered as their role, retried, and dead letters in the end."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pilotlight.twin.aws import scheduler_api
from pilotlight.twin.aws.role_calls import RoleCalls
from pilotlight.twin.aws.scheduler_delivery import Deliveries
from pilotlight.twin.aws.scheduler_model import SCHEDULE, due_times
from pilotlight.twin.rows import AwsRequest, AwsResponse
from pilotlight.twin.timers import Timer
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# When a schedule was made and changed; no program declares it, so the engine never sees it.
RECORD = "pilotlight:scheduler/record:Record"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Seconds since the epoch. A rate without a start date counts from `created`."""

    created: float
    modified: float


class SchedulerService:
    """`attach` it to its twin before use. `put` and `forget` are thread-safe."""

    name = "scheduler"

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}

    def attach(self, twin: Twin) -> None:
        self.twin = twin
        self.calls = RoleCalls(twin)
        self.deliveries = Deliveries(twin, self.calls)

    async def start(self) -> None:
        """Take up every schedule of the world; what was due while the twin was down is not made up for."""
        for schedule in self.twin.world.find(SCHEDULE):
            self._arm(schedule, self.twin.clock.now())

    async def close(self) -> None:
        self.calls.close()

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return scheduler_api.actions(self, request)

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return await scheduler_api.handle(self, request)

    def put(self, schedule: Resource) -> None:
        """A schedule is new or has changed: from now on it is due as it says."""
        now = self.twin.clock.now()
        known = self.record(schedule.id)
        made = Record(created=known.created if known else now, modified=now)
        self.twin.world.put(Resource(token=RECORD, id=schedule.id, urn="", outputs=asdict(made)))
        # A rate's first time is its anchor itself, so a new one looks from just before.
        self._arm(schedule, now if known else now - 0.001)

    def forget(self, schedule_id: str) -> None:
        if (timer := self._timers.pop(schedule_id, None)) is not None:
            timer.cancel()
        self.twin.world.delete(RECORD, schedule_id)

    def record(self, schedule_id: str) -> Record | None:
        found = self.twin.world.get(RECORD, schedule_id)
        return Record(**found.outputs) if found else None

    def _arm(self, schedule: Resource, after: float) -> None:
        if (timer := self._timers.pop(schedule.id, None)) is not None:
            timer.cancel()
        if schedule.get("state", "ENABLED") == "ENABLED":
            # A clock that was moved ahead is the machine's again where its file was deleted: schedules must not wait for their time.
            record = self.record(schedule.id)
            anchor = min(record.created, self.twin.clock.now()) if record else after
            following = due_times(schedule.outputs, anchor)
            self._timers[schedule.id] = self.twin.timers.every(
                following, lambda due: self._due(schedule.id, due), f"schedule {schedule.id}", after
            )

    async def _due(self, schedule_id: str, due: float) -> str:
        schedule = self.twin.world.get(SCHEDULE, schedule_id)
        if schedule is None:
            return "it is gone"
        window = schedule["flexibleTimeWindow"]
        if window["mode"] == "FLEXIBLE":
            await self.twin.timers.sleep(random.Random(f"{schedule['arn']} {due}").uniform(0, 60 * window["maximumWindowInMinutes"]))  # noqa: S311
        said = await self.deliveries.deliver(schedule, due)
        if schedule.get("actionAfterCompletion") == "DELETE" and due_times(schedule.outputs, due)(due) is None:
            self.forget(schedule_id)
            self.twin.world.delete(SCHEDULE, schedule_id)
        return said
