"""Application auto scaling: scalable targets held within their range, and scheduled actions on the twin's clock that move it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pilotlight.twin.aws import scaling_api
from pilotlight.twin.aws.scaling_kinds import kind_of
from pilotlight.twin.aws.scaling_model import ACTION, TARGET, due_times
from pilotlight.twin.rows import AwsRequest, AwsResponse, Properties, Refusal
from pilotlight.twin.timers import Timer
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
# A capacity that can't be set now (an endpoint that is being updated) is tried again. AWS gives no numbers.
RETRY_S, RETRIES = 30.0, 20
_ACTIVITIES = 100


@dataclass(frozen=True, kw_only=True)
class Activity:
    """One change of a capacity, as DescribeScalingActivities tells it; times in seconds since the epoch."""

    id: str
    namespace: str
    resource: str
    dimension: str
    started: float
    ended: float
    cause: str
    status: str
    message: str


class ScalingService:
    """`attach` it to its twin before use. `put`, `forget` and `changed` are thread-safe."""

    name = "application-autoscaling"

    def __init__(self) -> None:
        self.activities: deque[Activity] = deque(maxlen=_ACTIVITIES)
        self._timers: dict[str, Timer] = {}

    def attach(self, twin: Twin) -> None:
        self.twin = twin

    async def start(self) -> None:
        """Take up every scheduled action of the world; what was due while the twin was down is not made up for."""
        for action in self.twin.world.find(ACTION):
            self.put(action)

    async def close(self) -> None:
        """Nothing of its own runs."""

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return scaling_api.actions(self, request)

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return await scaling_api.handle(self, request)

    def put(self, action: Resource) -> None:
        """A scheduled action is new or has changed."""
        self.forget(action.id)
        following = due_times(action.outputs, self.twin.clock.now())
        name = f"scheduled action {action['name']}"
        self._timers[action.id] = self.twin.timers.every(following, lambda due: self._due(action.id), name)

    def forget(self, action_id: str) -> None:
        if (timer := self._timers.pop(action_id, None)) is not None:
            timer.cancel()

    def find(self, wanted: Properties) -> Resource | None:
        """The scalable target of a resource and dimension, in Pulumi's names."""
        return self.twin.world.one(TARGET, **{key: wanted[key] for key in ("resourceId", "scalableDimension")})

    def deregister(self, target: Resource) -> None:
        """Its scheduled actions go with it; the capacity stays (API reference, DeregisterScalableTarget)."""
        for action in self.twin.world.find(ACTION, resourceId=target["resourceId"], scalableDimension=target["scalableDimension"]):
            self.forget(action.id)
            self.twin.world.delete(ACTION, action.id)

    async def settle(self, target: Resource, cause: str) -> str:
        """Bring the capacity into the target's range; what was done. A capacity that can't be set is told, not raised, as on AWS."""
        kind, low, high = kind_of(target["scalableDimension"]), int(target["minCapacity"]), int(target["maxCapacity"])
        for attempt in range(RETRIES + 1):
            started = self.twin.clock.now()
            try:
                current = kind.current(self.twin, target["resourceId"])
                wanted = max(low, min(current, high))
                if wanted == current:
                    return f"the capacity is {current} already"
                await kind.set(self.twin, target["resourceId"], wanted)
            except Refusal as refusal:
                self._note(target, started, cause, "Failed", f"Failed to set the capacity: {refusal.message}")
                if attempt == RETRIES or not kind.passes(refusal):
                    LOG.warning("The capacity of %s could not be set: %s", target["resourceId"], refusal)
                    return f"failed: {refusal}"
            else:
                self._note(target, started, cause, "Successful", f"Successfully set the capacity to {wanted}.")
                return f"the capacity went from {current} to {wanted}"
            await self.twin.timers.sleep(RETRY_S)
        raise AssertionError("the last attempt returns")

    def changed(self, target: Resource, outputs: Properties) -> Resource:
        """Record the target with another range or suspension, so that the engine sees it when it refreshes."""
        after = replace(target, outputs={**target.outputs, **outputs})
        self.twin.world.put(after)
        return after

    def background(self, target: Resource, cause: str) -> asyncio.Task[str]:
        return self.twin.timers.spawn(self.settle(target, cause))

    async def _due(self, action_id: str) -> str:
        action = self.twin.world.get(ACTION, action_id)
        target = self.find(action.outputs) if action else None
        if action is None or target is None:
            return "there is no scalable target"
        if (target.get("suspendedState") or {}).get("scheduledScalingSuspended"):
            return "scheduled scaling is suspended"
        wanted = action["scalableTargetAction"]
        low, high = (wanted.get(name) if wanted.get(name) is not None else target[name] for name in ("minCapacity", "maxCapacity"))
        if int(low) > int(high):
            return f"failed: the minimum {low} is more than the maximum {high}"
        target = self.changed(target, {"minCapacity": int(low), "maxCapacity": int(high)})
        return await self.settle(target, f"scheduled action name {action['name']} was triggered")

    def _note(self, target: Resource, started: float, cause: str, status: str, message: str) -> None:
        self.activities.append(
            Activity(
                id=str(uuid.uuid4()),
                namespace=target["serviceNamespace"],
                resource=target["resourceId"],
                dimension=target["scalableDimension"],
                started=started,
                ended=self.twin.clock.now(),
                cause=cause,
                status=status,
                message=message,
            )
        )
