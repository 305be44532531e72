"""Push: messages sent to a subscription's address, again and slower while it fails."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from typing import Any, Protocol

from pilotlight.twin.gcp.pubsub_post import Poster
from pilotlight.twin.gcp.pubsub_store import Delivery, ack_seconds, attempts
from pilotlight.twin.timers import Timers

# (subscription's full name, service account's address, audience) -> ID token.
Token = Callable[[str, str, str], str]
# (subscription's full name, address) -> headers by which the receiver knows that Google sends it.
Marks = Callable[[str, str], dict[str, str]]
# Pub/Sub documentation, "Receive messages using push": statuses that acknowledge a message (read 2026-11).
ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
# It begins with one request at a time and doubles while they succeed, up to what one machine can take.
MAX_FLYING = 100
_LOG = logging.getLogger(__name__)


class Source(Protocol):
    """Where a pusher has its messages from."""

    def subscription(self, name: str) -> Any: ...

    def take(self, name: str, limit: int, lease_s: float | None = None) -> list[Delivery]: ...

    def acknowledge(self, name: str, ack_ids: list[str]) -> None: ...

    def lease(self, name: str, ack_ids: list[str], seconds: float) -> None: ...

    def out(self, subscription: str | None) -> bool: ...


class Pusher:
    """One subscription's; `look` whenever messages may be due. To be used in the loop of the timers."""

    def __init__(self, name: str, source: Source, timers: Timers, token: Token, marks: Marks, poster: Poster) -> None:
        self._name = name
        self._source = source
        self._timers = timers
        self._token = token
        self._marks = marks
        self._poster = poster
        self._window = 1.0
        self._flying: set[asyncio.Task[None]] = set()
        self._closed = False

    def look(self) -> None:
        """Send what is due, as much as may be on its way at once."""
        room = int(self._window) - len(self._flying)
        if self._closed or room <= 0:
            return
        # Longer than the request may take: the lease must not end before the answer is known.
        lease_s = ack_seconds(self._source.subscription(self._name)) + 10.0
        for delivery in self._source.take(self._name, room, lease_s):
            task = self._timers.spawn(self._deliver(delivery))
            self._flying.add(task)
            task.add_done_callback(self._landed)

    def close(self) -> None:
        """Send nothing more; what is on its way is broken off and comes again when its lease is over."""
        self._closed = True
        for task in self._flying:
            task.cancel()

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if not self._closed:
            self.look()

    async def _deliver(self, delivery: Delivery) -> None:
        good = await self._sent(delivery)
        if self._closed:
            return
        self._window = min(MAX_FLYING, self._window + 1) if good else max(1.0, self._window / 2)
        if good:
            self._source.acknowledge(self._name, [delivery.ack_id])
        else:
            self._source.lease(self._name, [delivery.ack_id], 0)

    async def _sent(self, delivery: Delivery) -> bool:
        subscription = self._source.subscription(self._name)
        config = subscription.push_config
        if self._source.out(self._name):
            _LOG.warning("push of %s to %s: a test asked for an outage", self._name, config.push_endpoint)
            return False
        try:
            headers, content = self._request(subscription, delivery)
            status = await self._poster.post(config.push_endpoint, headers, content, ack_seconds(subscription))
        except Exception as error:  # noqa: BLE001 (whatever it is, the message comes again)
            _LOG.warning("push of %s to %s: %s: %s", self._name, config.push_endpoint, type(error).__name__, error)
            return False
        return status in ACKNOWLEDGED

    def _request(self, subscription: Any, delivery: Delivery) -> tuple[dict[str, str], bytes]:
        config, message = subscription.push_config, delivery.message
        headers = {"user-agent": "CloudPubSub-Google", "from": "noreply@google.com", **self._marks(self._name, config.push_endpoint)}
        if account := config.oidc_token.service_account_email:
            audience = config.oidc_token.audience or config.push_endpoint
            headers["authorization"] = f"Bearer {self._token(self._name, account, audience)}"
        if not config.HasField("no_wrapper"):
            return {**headers, "content-type": "application/json"}, json.dumps(_wrapped(subscription, delivery)).encode()
        if config.no_wrapper.write_metadata:
            headers |= {
                "x-goog-pubsub-subscription-name": subscription.name,
                "x-goog-pubsub-message-id": message.message_id,
                "x-goog-pubsub-publish-time": message.publish_time.ToJsonString(),
                **message.attributes,
            }
        return headers, message.data


def _wrapped(subscription: Any, delivery: Delivery) -> dict[str, Any]:
    message = delivery.message
    id_, time = message.message_id, message.publish_time.ToJsonString()
    wrapped: dict[str, Any] = {"messageId": id_, "message_id": id_, "publishTime": time, "publish_time": time}
    if message.data:
        wrapped["data"] = base64.b64encode(message.data).decode()
    if message.attributes:
        wrapped["attributes"] = dict(message.attributes)
    counted = {"deliveryAttempt": delivery.attempt} if attempts(subscription) is not None else {}
    return {"message": wrapped, "subscription": subscription.name, **counted}
