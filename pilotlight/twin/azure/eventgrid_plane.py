"""Event Grid: system topics of storage accounts, and subscriptions that bring their events to queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.eventgrid_delivery import Deliveries
from pilotlight.twin.azure.eventgrid_events import SILENT, event_of
from pilotlight.twin.azure.eventgrid_filters import wants
from pilotlight.twin.azure.eventgrid_sender import Sender
from pilotlight.twin.azure.eventgrid_store import EventStore
from pilotlight.twin.azure.storage_plane import StoragePlane
from pilotlight.twin.azure.types import EVENT_SUBSCRIPTION, SYSTEM_TOPIC
from pilotlight.twin.planes import Plane
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotlight.twin.azure.storage_created import Created


class EventGridPlane(Plane):
    """An upload is answered once its events are on disk; they are brought as soon as that is done."""

    needs = ("storage_plane:StoragePlane",)

    async def start(self) -> None:
        storage = self.twin.azure.planes.made("storage_plane:StoragePlane")
        assert isinstance(storage, StoragePlane)
        self._created = storage.created
        self._store = EventStore(self.twin.home / "azure-events.sqlite3")
        self._sender = Sender(self.twin)
        self._deliveries = Deliveries(self.twin, self._store, self._sender)
        self._created.add(self._heard, self._listens)
        self._deliveries.look()

    async def close(self) -> None:
        self._created.remove(self._heard)
        self._deliveries.close()
        self._sender.close()
        self._store.close()

    def delete(self, resource: Resource) -> None:
        if resource.token == EVENT_SUBSCRIPTION:
            self.twin.wait(self._forget(resource.id))

    async def _forget(self, subscription_id: str) -> None:
        self._store.forget(subscription_id)

    def _listens(self, account_id: str) -> bool:
        return next(self._subscriptions(account_id), None) is not None

    def _subscriptions(self, account_id: str) -> Iterator[Resource]:
        topics = [one for one in self.twin.world.find(SYSTEM_TOPIC) if arm.same(one["source"], account_id)]
        held = self.twin.world.find(EVENT_SUBSCRIPTION) if topics else []
        return (one for one in held if any(arm.same(one["topic"], topic.id) for topic in topics))

    async def _heard(self, created: Created) -> None:
        if created.container in SILENT:
            return
        now = self.twin.timers.now()
        event = event_of(created, now)
        for subscription in self._subscriptions(created.account_id):
            if wants(subscription["filter"], event):
                for delay_s in self.twin.faults.event_delays():
                    self._store.add(subscription.id, event, now, now + (delay_s or 0.0))
        self._deliveries.look()
