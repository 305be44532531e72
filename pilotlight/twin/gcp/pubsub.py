"""Pub/Sub: the twin's own, for Google's clients unchanged (PUBSUB_EMULATOR_HOST), one port for each identity.

Own, because pushes, retries, dead letters with their attributes and the twin's clock are in one process with what uses them, and Google's
test server gives 93 messages a second to streaming clients. Not served: schemas, snapshots and seeking, filters, ordering, exactly-once
delivery, and export to other services; what asks for them is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from pilotlight.twin.gcp import pubsub_api
from pilotlight.twin.gcp.callers import Allowed
from pilotlight.twin.gcp.grpc_front import GrpcError, GrpcFront
from pilotlight.twin.gcp.pubsub_post import Poster
from pilotlight.twin.gcp.pubsub_push import Marks, Pusher, Token
from pilotlight.twin.gcp.pubsub_store import Delivery, MessageStore, attempts
from pilotlight.twin.gcp.pubsub_streams import Stream, received
from pilotlight.twin.timers import Timer, Timers


def not_found(name: str) -> GrpcError:
    return GrpcError(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


class PubsubService:
    """`start` it in the loop; everything is to be called in that loop.

    token   makes the ID token of a push: (subscription, service account's address, audience)
    agent   Pub/Sub's agent of a project: without its rights nothing becomes a dead letter
    marks   by which who is pushed to knows Google: (subscription, address) -> headers
    out     whether a test asked for an outage: of the API (None), or of what a subscription of that name is pushed
    """

    def __init__(
        self,
        path: Path,
        timers: Timers,
        allowed: Allowed,
        token: Token,
        agent: Callable[[str], str],
        marks: Marks = lambda subscription, address: {},
        out: Callable[[str | None], bool] = lambda subscription: False,
    ) -> None:
        self.store = MessageStore(path, timers.now)
        self._timers = timers
        self._allowed = allowed
        self._token = token
        self._agent = agent
        self._marks = marks
        self.out = out
        self._watchers: dict[str, set[Callable[[], None]]] = {}
        self._alarms: dict[str, Timer] = {}
        self._pushers: dict[str, Pusher] = {}
        self._streams: dict[str, Stream] = {}

    async def start(self) -> None:
        """Go on where the last twin left. Opens no port yet: `front.port(caller)` does."""
        self._poster = Poster()
        self.front = GrpcFront(pubsub_api.services(self), self._allowed, partial(self.out, None))
        for name in list(self.store.subscriptions):
            self._follow(name)

    async def close(self) -> None:
        for pusher in self._pushers.values():
            pusher.close()
        for alarm in self._alarms.values():
            alarm.cancel()
        await self.front.close()
        await self._poster.close()
        self.store.close()

    # Topics and subscriptions.

    def topic(self, name: str) -> Any:
        """GrpcError where it is not there."""
        if name not in self.store.topics:
            raise not_found(name)
        return self.store.topics[name]

    def subscription(self, name: str) -> Any:
        """GrpcError where it is not there."""
        if name not in self.store.subscriptions:
            raise not_found(name)
        return self.store.subscriptions[name]

    def put_topic(self, topic: Any) -> None:
        """Create a topic (google.pubsub.v1.Topic), or give one other settings."""
        self.store.put_topic(topic)

    def put_subscription(self, subscription: Any) -> None:
        """Create a subscription (google.pubsub.v1.Subscription), or give one other settings."""
        pubsub_api.require_served(subscription)
        self.store.put_subscription(subscription)
        self._follow(subscription.name)

    def delete_topic(self, name: str) -> None:
        """One that is not there is no error."""
        if name in self.store.topics:
            self.store.delete_topic(name)

    def delete_subscription(self, name: str) -> None:
        """One that is not there is no error."""
        if name not in self.store.subscriptions:
            return
        self.store.delete_subscription(name)
        if pusher := self._pushers.pop(name, None):
            pusher.close()
        if alarm := self._alarms.pop(name, None):
            alarm.cancel()
        self._tell(name)

    # Messages.

    def publish(self, topic: str, messages: Iterable[Any]) -> list[str]:
        """Store messages (google.pubsub.v1.PubsubMessage); their ids. GrpcError where the topic is not there."""
        self.topic(topic)
        ids = self.store.publish(topic, messages)
        for subscription in self.store.subscriptions_of(topic):
            self._tell(subscription.name)
        return ids

    def take(self, name: str, limit: int, lease_s: float | None = None) -> list[Delivery]:
        """Messages that are due. GrpcError where the subscription is not there."""
        self.subscription(name)
        self._bury(name)
        found = self.store.take(name, limit, lease_s)
        if found:
            self._arm(name)
        return found

    def take_for(self, name: str, stream: Stream) -> list[Any]:
        """Received messages for a stream, as many as it has room for."""
        room = stream.room()
        found = self.take(name, room, stream.lease_s) if room else []
        stream.give(found)
        self._streams |= {one.ack_id: stream for one in found}
        counted = attempts(self.subscription(name)) is not None
        return [received(one, counted) for one in found]

    def forget(self, stream: Stream) -> None:
        """A stream that has ended; what it has out comes again when its lease is over."""
        self._streams = {ack_id: held for ack_id, held in self._streams.items() if held is not stream}

    def acknowledge(self, name: str, ack_ids: list[str]) -> None:
        self.subscription(name)
        self.store.acknowledge(name, ack_ids)
        self._release(ack_ids)

    def lease(self, name: str, ack_ids: list[str], seconds: float) -> None:
        """Lease messages for that long from now; 0 gives them back."""
        self.subscription(name)
        self.store.lease(name, ack_ids, seconds)
        if seconds:
            for ack_id in ack_ids:
                if stream := self._streams.get(ack_id):
                    stream.extend(ack_id, seconds)
            self._arm(name)
            return
        self._release(ack_ids)
        self._bury(name)
        self._arm(name)
        self._tell(name)

    def watch(self, name: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever a message of the subscription may be due; what is returned ends it."""
        self._watchers.setdefault(name, set()).add(callback)
        return lambda: self._watchers.get(name, set()).discard(callback)

    def _release(self, ack_ids: list[str]) -> None:
        for ack_id in ack_ids:
            if stream := self._streams.pop(ack_id, None):
                stream.release(ack_id)

    def _follow(self, name: str) -> None:
        """Begin to push or end it, as the subscription says now, and look at what is due."""
        wanted = bool(self.store.subscriptions[name].push_config.push_endpoint)
        if wanted and name not in self._pushers:
            self._pushers[name] = Pusher(name, self, self._timers, self._token, self._marks, self._poster)
        elif not wanted and (pusher := self._pushers.pop(name, None)):
            pusher.close()
        self._arm(name)
        self._tell(name)

    def _bury(self, name: str) -> None:
        """Move what has failed too often, where Pub/Sub's agent may: else it is given out again and again, as on Google Cloud."""
        target = self.store.subscriptions[name].dead_letter_policy.dead_letter_topic
        if not target:
            return
        agent = self._agent(name.split("/")[1])
        if self._allowed(agent, "pubsub.topics.publish", target) or self._allowed(agent, "pubsub.subscriptions.consume", name):
            return
        for other in self.store.bury(name):
            self._tell(other)

    def _tell(self, name: str) -> None:
        for callback in list(self._watchers.get(name, ())):
            callback()
        if pusher := self._pushers.get(name):
            pusher.look()

    def _arm(self, name: str) -> None:
        """One timer a subscription, at the moment when the first of its messages is due again."""
        due, held = self.store.next_due(name), self._alarms.get(name)
        if due is None or (held is not None and held.due <= due):
            return
        if held is not None:
            held.cancel()
        self._alarms[name] = self._timers.at(due, lambda now: self._ring(name))

    async def _ring(self, name: str) -> None:
        self._alarms.pop(name, None)
        if name in self.store.subscriptions:
            self._bury(name)
            self._arm(name)
            self._tell(name)
