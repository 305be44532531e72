"""Pub/Sub's methods: what each needs, what it refuses, what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from google.pubsub_v1.types import pubsub as types

from pilotlight.twin.gcp import pubsub_streams
from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.grpc_front import GrpcError, Method, invalid, not_served
from pilotlight.twin.gcp.pubsub_store import ack_seconds, attempts

if TYPE_CHECKING:
    from pilotlight.twin.gcp.pubsub import PubsubService

# Pub/Sub documentation, "Resource limits" and the API's ranges (read 2026-11).
MAX_MESSAGES = 1000
MAX_BYTES = 10_000_000
MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1024
ACK_S = (10, 600)
# How long a pull waits where nothing is due, in seconds of the machine; Google promises no number.
WAIT_S = 5.0
_ABSENT = ("filter", "enable_message_ordering", "enable_exactly_once_delivery", "retain_acked_messages")
_EXPORTS = ("bigquery_config", "cloud_storage_config")

Needs = Callable[[Any], list[tuple[str, str]]]


def require_served(subscription: Any) -> None:
    """GrpcError for what the twin does not do: it must not look as if it did."""
    asked = [field for field in _ABSENT if getattr(subscription, field)]
    asked += [field for field in _EXPORTS if field in subscription.DESCRIPTOR.fields_by_name and subscription.HasField(field)]
    if asked:
        raise not_served(f"{subscription.name}: the local twin's Pub/Sub has no {', '.join(asked)}: leave it out.")


def services(pubsub: PubsubService) -> Mapping[str, Mapping[str, Method]]:
    """The methods by service, over one Pub/Sub."""
    api = _Api(pubsub)

    def unary(request: Any, answer: Callable[[Any], Any], needs: Needs) -> Method:
        async def served(asked: Any, caller: Caller) -> Any:
            return answer(asked)

        return Method(request=request.pb(), needs=needs, unary=served)

    async def pull(asked: Any, caller: Caller) -> Any:
        return await api.pull(asked)

    def create(request: Any) -> list[tuple[str, str]]:
        return [("pubsub.subscriptions.create", _project(request.name)), ("pubsub.topics.attachSubscription", request.topic)]

    update: Needs = lambda request: [("pubsub.subscriptions.update", request.subscription.name)]  # noqa: E731
    consume = _on("pubsub.subscriptions.consume", "subscription")
    return {
        "google.pubsub.v1.Publisher": {
            "CreateTopic": unary(types.Topic, api.create_topic, lambda request: [("pubsub.topics.create", _project(request.name))]),
            "GetTopic": unary(types.GetTopicRequest, api.get_topic, _on("pubsub.topics.get", "topic")),
            "DeleteTopic": unary(types.DeleteTopicRequest, api.delete_topic, _on("pubsub.topics.delete", "topic")),
            "ListTopics": unary(types.ListTopicsRequest, api.list_topics, _on("pubsub.topics.list", "project")),
            "ListTopicSubscriptions": unary(
                types.ListTopicSubscriptionsRequest, api.list_topic_subscriptions, _on("pubsub.topics.get", "topic")
            ),
            "Publish": unary(types.PublishRequest, api.publish, _on("pubsub.topics.publish", "topic")),
        },
        "google.pubsub.v1.Subscriber": {
            "CreateSubscription": unary(types.Subscription, api.create_subscription, create),
            "GetSubscription": unary(types.GetSubscriptionRequest, api.get, _on("pubsub.subscriptions.get", "subscription")),
            "UpdateSubscription": unary(types.UpdateSubscriptionRequest, api.update, update),
            "ModifyPushConfig": unary(types.ModifyPushConfigRequest, api.modify_push, _on("pubsub.subscriptions.update", "subscription")),
            "DeleteSubscription": unary(types.DeleteSubscriptionRequest, api.delete, _on("pubsub.subscriptions.delete", "subscription")),
            "ListSubscriptions": unary(types.ListSubscriptionsRequest, api.list_subscriptions, _on("pubsub.subscriptions.list", "project")),
            "Acknowledge": unary(types.AcknowledgeRequest, api.acknowledge, consume),
            "ModifyAckDeadline": unary(types.ModifyAckDeadlineRequest, api.modify_deadline, consume),
            "Pull": Method(request=types.PullRequest.pb(), needs=consume, unary=pull),
            "StreamingPull": Method(request=types.StreamingPullRequest.pb(), needs=consume, both=api.streaming_pull),
        },
    }


def _on(permission: str, field: str) -> Needs:
    return lambda request: [(permission, getattr(request, field))]


def _project(name: str) -> str:
    return "/".join(name.split("/")[:2])


def _require_form(name: str, kind: str) -> None:
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "projects" or parts[2] != kind or not all(parts):
        raise invalid(f"{name!r} has the wrong form: use projects/PROJECT/{kind}/NAME.")


def _require_new(name: str, held: Mapping[str, Any]) -> None:
    if name in held:
        text = f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]})."
        raise GrpcError(grpc.StatusCode.ALREADY_EXISTS, text)


def _require_message(message: Any) -> None:
    if not message.data and not message.attributes:
        raise invalid("A message has neither data nor attributes: give one of them.")
    if len(message.attributes) > MAX_ATTRIBUTES:
        raise invalid(f"A message has {len(message.attributes)} attributes: use up to {MAX_ATTRIBUTES}.")
    for key, value in message.attributes.items():
        if not 1 <= len(key.encode()) <= MAX_KEY_BYTES or len(value.encode()) > MAX_VALUE_BYTES:
            raise invalid(f"The attribute {key[:40]!r} is too long: use up to {MAX_KEY_BYTES} bytes, and {MAX_VALUE_BYTES} for its value.")


class _Api:
    """Requests and answers are the API's messages; GrpcError is what the client gets."""

    def __init__(self, pubsub: PubsubService) -> None:
        self._pubsub = pubsub

    def create_topic(self, topic: Any) -> Any:
        _require_form(topic.name, "topics")
        _require_new(topic.name, self._pubsub.store.topics)
        self._pubsub.put_topic(topic)
        return topic

    def get_topic(self, request: Any) -> Any:
        return self._pubsub.topic(request.topic)

    def delete_topic(self, request: Any) -> Any:
        self._pubsub.topic(request.topic)
        self._pubsub.delete_topic(request.topic)
        return empty_pb2.Empty()

    def list_topics(self, request: Any) -> Any:
        return types.ListTopicsResponse.pb()(topics=_of_project(request.project, self._pubsub.store.topics))

    def list_topic_subscriptions(self, request: Any) -> Any:
        self._pubsub.topic(request.topic)
        names = sorted(one.name for one in self._pubsub.store.subscriptions_of(request.topic))
        return types.ListTopicSubscriptionsResponse.pb()(subscriptions=names)

    def publish(self, request: Any) -> Any:
        self._pubsub.topic(request.topic)
        if not 1 <= len(request.messages) <= MAX_MESSAGES:
            raise invalid(f"{len(request.messages)} messages: use 1 to {MAX_MESSAGES} in a request.")
        if request.ByteSize() > MAX_BYTES:
            raise invalid(f"The request has {request.ByteSize():,} bytes: use up to {MAX_BYTES:,}.")
        for message in request.messages:
            _require_message(message)
        return types.PublishResponse.pb()(message_ids=self._pubsub.publish(request.topic, request.messages))

    def create_subscription(self, subscription: Any) -> Any:
        _require_form(subscription.name, "subscriptions")
        _require_new(subscription.name, self._pubsub.store.subscriptions)
        self._pubsub.topic(subscription.topic)
        return self._put(subscription)

    def get(self, request: Any) -> Any:
        return self._pubsub.subscription(request.subscription)

    def update(self, request: Any) -> Any:
        held, changed = self._pubsub.subscription(request.subscription.name), types.Subscription.pb()()
        changed.CopyFrom(held)
        for path in request.update_mask.paths:
            if path in ("name", "topic") or path not in changed.DESCRIPTOR.fields_by_name:
                raise invalid(f"updateMask: {path!r} can't be changed: name fields of a Subscription other than name and topic.")
            changed.ClearField(path)
        given = types.Subscription.pb()()
        request.update_mask.MergeMessage(request.subscription, given)
        changed.MergeFrom(given)
        return self._put(changed)

    def modify_push(self, request: Any) -> Any:
        changed = types.Subscription.pb()()
        changed.CopyFrom(self._pubsub.subscription(request.subscription))
        changed.push_config.CopyFrom(request.push_config)
        self._put(changed)
        return empty_pb2.Empty()

    def _put(self, subscription: Any) -> Any:
        seconds = ack_seconds(subscription)
        if not ACK_S[0] <= seconds <= ACK_S[1]:
            raise invalid(f"ackDeadlineSeconds: {seconds} is out of range: use {ACK_S[0]} to {ACK_S[1]}.")
        subscription.ack_deadline_seconds = seconds
        self._pubsub.put_subscription(subscription)
        return subscription

    def delete(self, request: Any) -> Any:
        self._pubsub.subscription(request.subscription)
        self._pubsub.delete_subscription(request.subscription)
        return empty_pb2.Empty()

    def list_subscriptions(self, request: Any) -> Any:
        found = _of_project(request.project, self._pubsub.store.subscriptions)
        return types.ListSubscriptionsResponse.pb()(subscriptions=found)

    def acknowledge(self, request: Any) -> Any:
        self._pubsub.acknowledge(request.subscription, list(request.ack_ids))
        return empty_pb2.Empty()

    def modify_deadline(self, request: Any) -> Any:
        seconds = request.ack_deadline_seconds
        if not 0 <= seconds <= ACK_S[1]:
            raise invalid(f"ackDeadlineSeconds: {seconds} is out of range: use 0 to {ACK_S[1]}.")
        self._pubsub.lease(request.subscription, list(request.ack_ids), seconds)
        return empty_pb2.Empty()

    async def pull(self, request: Any) -> Any:
        name, loop, told = request.subscription, asyncio.get_running_loop(), asyncio.Event()
        self._require_pulled(name)
        if request.max_messages < 1:
            raise invalid(f"maxMessages: {request.max_messages} is out of range: use 1 or more.")
        deadline = loop.time() + (0 if request.return_immediately else WAIT_S)
        unwatch = self._pubsub.watch(name, told.set)
        try:
            while True:
                told.clear()
                found = self._pubsub.take(name, min(request.max_messages, MAX_MESSAGES))
                left = deadline - loop.time()
                if found or left <= 0:
                    counted = attempts(self._pubsub.subscription(name)) is not None
                    return types.PullResponse.pb()(received_messages=[pubsub_streams.received(one, counted) for one in found])
                try:
                    async with asyncio.timeout(left):
                        await told.wait()
                except TimeoutError:
                    continue
        finally:
            unwatch()

    async def streaming_pull(self, first: Any, requests: AsyncIterator[Any], caller: Caller) -> AsyncGenerator[Any, None]:
        name, stream = first.subscription, pubsub_streams.Stream(first, self._pubsub.store.now)
        self._require_pulled(name)
        pubsub_streams.settle(name, self._pubsub, first)
        reading = asyncio.create_task(pubsub_streams.read(name, stream, self._pubsub, requests))
        unwatch = self._pubsub.watch(name, stream.changed.set)
        try:
            async for answer in pubsub_streams.answers(name, stream, self._pubsub):
                yield answer
            await reading
        finally:
            unwatch()
            reading.cancel()
            self._pubsub.forget(stream)

    def _require_pulled(self, name: str) -> None:
        if self._pubsub.subscription(name).push_config.push_endpoint:
            text = f"{name} is pushed: it can't be pulled. Make another subscription of the topic, or take pushConfig out."
            raise GrpcError(grpc.StatusCode.FAILED_PRECONDITION, text)


def _of_project(project: str, held: Mapping[str, Any]) -> list[Any]:
    return [held[name] for name in sorted(held) if name.startswith(f"{project}/")]
