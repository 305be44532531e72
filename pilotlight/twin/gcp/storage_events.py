"""What happened to objects, told to who listens, at least once: an event is on disk with what it tells of, until every listener had it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pilotlight.twin.gcp.storage_store import ObjectStore
from pilotlight.twin.gcp.types import NOTIFICATION, TRIGGER

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin

# When a listener that failed is told again, in seconds.
RETRY_S = 10.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ObjectEvent:
    """`kind` is the last part of Eventarc's type: finalized, archived, deleted or metadataUpdated.

    `resource` is the object as the JSON API tells it, `at` the twin's time in seconds. `id` is the same whenever this event is told.
    `overwrote` is the generation that a new version replaced, `overwritten_by` the one that replaced this.
    """

    kind: str
    bucket: str
    resource: dict[str, Any]
    at: float
    overwrote: int | None = None
    overwritten_by: int | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


Listener = Callable[[ObjectEvent], None]


class Outbox:
    """To be used in the twin's loop. `own` hears everything too, but nobody waits for it."""

    def __init__(self, twin: Twin, store: ObjectStore, own: Listener) -> None:
        self.listeners: list[Listener] = []
        self._twin = twin
        self._store = store
        self._own = own
        self._telling = False
        self._alarm: Timer | None = None

    def add(self, event: ObjectEvent) -> None:
        """Write it down, in the transaction of what it tells of; nothing where nobody would be told."""
        if self.listeners or self._awaited() or self._twin.world.one(NOTIFICATION, bucket=event.bucket) is not None:
            for delay_s in self._twin.faults.event_delays():
                self._store.add_event(vars(event), event.at + (delay_s or 0.0))

    def tell(self) -> None:
        """Tell what is due; later what is due then, or what a listener failed at."""
        if self._telling or (not self.listeners and self._awaited()):
            return
        self._telling = True
        try:
            while due := self._store.events_due(self._twin.timers.now()):
                for number, event in due:
                    self._tell(number, ObjectEvent(**event))
        finally:
            self._telling = False
        self._wait()

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _tell(self, number: int, event: ObjectEvent) -> None:
        try:
            for listener in (self._own, *self.listeners):
                listener(event)
        except Exception:  # noqa: BLE001 (whatever it is, the event must not be lost, nor the request fail that caused it)
            _LOG.exception("%s of %s was not taken", event.kind, event.resource["id"])
            self._store.move_event(number, self._twin.timers.now() + RETRY_S)
        else:
            self._store.drop_event(number)

    def _wait(self) -> None:
        due = self._store.next_event()
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if due is None else self._twin.timers.at(due, self._again)

    async def _again(self, due: float) -> None:
        self.tell()

    def _awaited(self) -> bool:
        """Whether somebody will listen who does not yet: triggers are there, and what serves them is not."""
        return self._twin.world.one(TRIGGER) is not None
