"""Events brought to their subscriptions, at least once: again and later while that fails, then stored as dead letters."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure import eventgrid_retries as retries
from pilotlight.twin.azure.eventgrid_events import dead_letter, dead_letter_name
from pilotlight.twin.azure.eventgrid_sender import Sender
from pilotlight.twin.azure.eventgrid_store import Delivery, EventStore
from pilotlight.twin.azure.eventgrid_targets import DEAD_LETTER, DELIVERY, target
from pilotlight.twin.azure.monitor_counts import DEAD_LETTERED, DROPPED, event_given_up
from pilotlight.twin.azure.types import EVENT_SUBSCRIPTION

if TYPE_CHECKING:
    from pilotlight.twin.timers import Timer
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

# Requests under way at a time.
_FLYING = 32
# When it looks again in an outage of its own that a test asked for, or after it failed itself, in seconds.
_AGAIN_S = 5.0
_LOG = logging.getLogger(__name__)


class Deliveries:
    """`look` whenever something may be due. To be used in the loop of the timers."""

    def __init__(self, twin: Twin, store: EventStore, sender: Sender) -> None:
        self._twin = twin
        self._store = store
        self._sender = sender
        self._flying: set[asyncio.Task[None]] = set()
        self._alarm: Timer | None = None
        self._closed = False

    def look(self) -> None:
        """Begin with what is due, as much as may be on its way at once."""
        room, now = _FLYING - len(self._flying), self._twin.timers.now()
        if self._closed or room <= 0:
            return
        if self._twin.faults.is_out("eventgrid"):
            self._look_at(now + _AGAIN_S)
            return
        for delivery in self._store.take(now, room):
            self._begin(self._guarded(self._deliver(delivery), delivery))
        for _, letters in itertools.groupby(sorted(self._store.take_dead(now), key=_subscription), key=_subscription):
            held = list(letters)
            self._begin(self._guarded(self._bury(held), *held))
        self._look_at(self._store.next_due() if len(self._flying) < _FLYING else None)

    def close(self) -> None:
        """Bring nothing more; what is under way comes again when the twin does."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for task in self._flying:
            task.cancel()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._twin.timers.spawn(work)
        self._flying.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        self.look()

    def _look_at(self, due: float | None) -> None:
        if self._alarm is not None and due is not None and self._alarm.due <= due:
            # A look too many does no harm.
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if due is None else self._twin.timers.at(due, self._again)

    async def _again(self, due: float) -> None:
        self._alarm = None
        self.look()

    async def _guarded(self, work: Coroutine[Any, Any, None], *deliveries: Delivery) -> None:
        """An event must not be lost by a mistake of the twin's own."""
        try:
            await work
        except Exception:  # noqa: BLE001 (whatever it is: it is tried again)
            _LOG.exception("%d events of %s were not brought", len(deliveries), deliveries[0].subscription)
            for delivery in deliveries:
                self._store.later(delivery, self._twin.timers.now() + _AGAIN_S)

    async def _deliver(self, delivery: Delivery) -> None:
        subscription, now = self._subscription(delivery), self._twin.timers.now()
        to = target(subscription.outputs, DELIVERY) if subscription is not None else None
        if subscription is None or to is None:
            self._store.end(delivery)
            return
        policy = subscription["retryPolicy"]
        # Time to live is looked at when an attempt is due, not before.
        if now - delivery.published >= 60 * policy["eventTimeToLiveInMinutes"]:
            self._give_up(subscription, delivery, retries.TOO_LATE)
            return
        status = await self._sender.message(subscription.id, to, delivery.event)
        if self._closed:
            return
        if retries.arrived(status):
            self._store.end(delivery)
            return
        now = self._twin.timers.now()
        tried = replace(delivery, attempts=delivery.attempts + 1, tried=now, outcome=retries.outcome(status))
        if status in retries.NEVER_AGAIN:
            self._give_up(subscription, tried, retries.NEVER_AGAIN[status])
        elif tried.attempts >= policy["maxDeliveryAttempts"]:
            self._give_up(subscription, tried, retries.TOO_OFTEN)
        else:
            self._store.later(tried, now + retries.wait_s(tried.attempts, status))

    def _give_up(self, subscription: Resource, delivery: Delivery, reason: str) -> None:
        text = f"{delivery.event['subject']} was not brought to {subscription['name']} ({reason}, {delivery.outcome or 'not tried'})"
        if target(subscription.outputs, DEAD_LETTER) is None:
            _LOG.warning("%s, and is dropped: there is no place for dead letters", text)
            self._store.end(delivery)
            event_given_up(self._twin, subscription.id, DROPPED)
            return
        _LOG.warning("%s, and becomes a dead letter", text)
        now = self._twin.timers.now()
        last = now if delivery.tried is None else delivery.tried
        self._store.later(replace(delivery, reason=reason), max(now, last + retries.DEAD_LETTER_S))

    async def _bury(self, letters: Sequence[Delivery]) -> None:
        """Store dead letters of one subscription in one blob."""
        subscription, now = self._subscription(letters[0]), self._twin.timers.now()
        to = target(subscription.outputs, DEAD_LETTER) if subscription is not None else None
        if subscription is None or to is None:
            self._store.end(*letters)
            return
        name = dead_letter_name(subscription.outputs, now)
        status = await self._sender.blob(subscription.id, to, name, [dead_letter(one) for one in letters])
        if self._closed:
            return
        if retries.arrived(status):
            self._store.end(*letters)
            for _ in letters:
                event_given_up(self._twin, subscription.id, DEAD_LETTERED)
            return
        now = self._twin.timers.now()
        for letter in letters:
            if status == 404 or now - (letter.tried or letter.published) >= retries.DEAD_LETTER_S + retries.DROPPED_S:
                _LOG.warning("%s is lost: %s answers %d to its dead letter", letter.event["subject"], to.id, status)
                self._store.end(letter)
                event_given_up(self._twin, subscription.id, DROPPED)
            else:
                self._store.later(letter, now + retries.DEAD_LETTER_S)

    def _subscription(self, delivery: Delivery) -> Resource | None:
        return self._twin.world.get(EVENT_SUBSCRIPTION, delivery.subscription)


def _subscription(delivery: Delivery) -> str:
    return delivery.subscription
