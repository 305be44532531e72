"""Google's own Pub/Sub clients, unchanged, at the twin's Pub/Sub."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message
from google.cloud.pubsub_v1.types import FlowControl, PubsubMessage, StreamingPullRequest
from google.pubsub_v1 import PublisherClient as Plain

from pilotlight.twin.clock import Clock
from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.pubsub import PubsubService
from pilotlight.twin.gcp.pubsub_store import Delivery
from pilotlight.twin.gcp.pubsub_streams import Stream
from tests.parts.twin.gcp.google_ports import Loop
from tests.support.waiting import until

PROJECT = "tried-project"
TOPIC, DEAD = f"projects/{PROJECT}/topics/work", f"projects/{PROJECT}/topics/dead"
SUBSCRIPTION, BURIED = f"projects/{PROJECT}/subscriptions/worker", f"projects/{PROJECT}/subscriptions/buried"
AGENT = "pubsub@agents"
QUICK: dict[str, Any] = {"timeout": 10, "retry": None}


class Twin:
    """A Pub/Sub at which Pub/Sub's agent may do what `agent_may` holds, and `publisher@x.y` may publish."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.loop, self._environment = folder, Loop(), monkeypatch
        self.agent_may = {"pubsub.topics.publish", "pubsub.subscriptions.consume"}
        self.tokens: list[tuple[str, str]] = []
        self.start()

    def start(self) -> None:
        self.service = PubsubService(
            self.folder / "pubsub.sqlite3", self.loop.timers, self._allowed, token=self._token, agent=lambda project: AGENT
        )
        self.loop.wait(self.service.start())

    def stop(self) -> None:
        self.loop.wait(self.service.close())

    def publisher(self, email: str | None = None) -> PublisherClient:
        self._point(email)
        return PublisherClient()

    def subscriber(self, email: str | None = None) -> SubscriberClient:
        self._point(email)
        return SubscriberClient()

    def subscribe(self, subscriber: SubscriberClient, name: str = SUBSCRIPTION, topic: str = TOPIC, **settings: Any) -> None:
        subscriber.create_subscription(request={"name": name, "topic": topic, **settings}, **QUICK)

    def _point(self, email: str | None) -> None:
        port = self.loop.wait(self.service.front.port(Caller(email)))
        self._environment.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")

    def _token(self, subscription: str, account: str, audience: str) -> str:
        self.tokens.append((account, audience))
        return f"token-{len(self.tokens)}"

    def _allowed(self, email: str | None, permission: str, resource: str) -> str | None:
        may = {"publisher@x.y": {"pubsub.topics.publish"}, AGENT: self.agent_may}
        return None if email is None or permission in may[email] else f"{email} may not {permission} on {resource}."


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    made = Twin(tmp_path, monkeypatch)
    yield made
    made.stop()
    made.loop.close()


@pytest.fixture
def publisher(twin: Twin) -> PublisherClient:
    made = twin.publisher()
    for topic in (TOPIC, DEAD):
        made.create_topic(name=topic, **QUICK)
    return made


@pytest.fixture
def subscriber(twin: Twin, publisher: PublisherClient) -> Iterator[SubscriberClient]:
    with twin.subscriber() as made:
        yield made


def pull(subscriber: SubscriberClient, name: str = SUBSCRIPTION, limit: int = 10) -> list[Any]:
    request = {"subscription": name, "max_messages": limit, "return_immediately": True}
    with pytest.warns(DeprecationWarning, match="return_immediately"):
        return list(subscriber.pull(request=request, **QUICK).received_messages)


def test_a_message_goes_to_every_subscription_and_is_gone_once_acknowledged(
    twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient
) -> None:
    twin.subscribe(subscriber)
    twin.subscribe(subscriber, BURIED)
    id_ = publisher.publish(TOPIC, b"hello", kind="greeting").result(10)
    for name in (SUBSCRIPTION, BURIED):
        (received,) = pull(subscriber, name)
        assert (received.message.data, dict(received.message.attributes), received.message.message_id) == (
            b"hello",
            {"kind": "greeting"},
            id_,
        )
        assert abs(received.message.publish_time.timestamp() - twin.loop.clock.now()) < 10
        assert received.delivery_attempt == 0
        assert pull(subscriber, name) == []
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[received.ack_id], **QUICK)
    assert twin.service.store.held(SUBSCRIPTION) == 1
    subscriber.acknowledge(subscription=BURIED, ack_ids=[received.ack_id], **QUICK)
    assert twin.service.store.held(BURIED) == 0


def test_a_pull_waits_for_what_is_published(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber)
    threading.Timer(0.3, lambda: publisher.publish(TOPIC, b"late")).start()
    found = subscriber.pull(subscription=SUBSCRIPTION, max_messages=5, **QUICK).received_messages
    assert [one.message.data for one in found] == [b"late"]


def test_a_pull_of_large_messages_brings_what_a_client_takes(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """Less than was asked for, but something each time, also of messages that are large themselves."""
    twin.subscribe(subscriber)
    sizes = [3 * 2**20, 2**20, 2**20, 2**20, 2**19]
    for size in sizes:
        publisher.publish(TOPIC, b"x" * size).result(10)
    seen = []
    while taken := pull(subscriber, limit=1000):
        seen.append([len(one.message.data) for one in taken])
        subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[one.ack_id for one in taken], **QUICK)
        if sum(map(len, seen)) == len(sizes):
            break
    assert seen == [[3 * 2**20], [2**20, 2**20, 2**20], [2**19]]


def test_a_message_comes_again_when_its_deadline_is_over(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, ack_deadline_seconds=20)
    publisher.publish(TOPIC, b"x").result(10)
    (first,) = pull(subscriber)
    twin.loop.forward(15)
    subscriber.modify_ack_deadline(subscription=SUBSCRIPTION, ack_ids=[first.ack_id], ack_deadline_seconds=30, **QUICK)
    twin.loop.forward(29)
    assert pull(subscriber) == []
    twin.loop.forward(2)
    (second,) = pull(subscriber)
    # The first lease is worth nothing any more.
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[first.ack_id], **QUICK)
    assert twin.service.store.held(SUBSCRIPTION) == 1
    subscriber.modify_ack_deadline(subscription=SUBSCRIPTION, ack_ids=[second.ack_id], ack_deadline_seconds=0, **QUICK)
    assert [one.message.data for one in pull(subscriber)] == [b"x"]


def test_the_wait_after_a_refusal_doubles_up_to_its_most(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, retry_policy={"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 30}})
    publisher.publish(TOPIC, b"x").result(10)
    for wait in (10, 20, 30, 30):
        (one,) = pull(subscriber)
        subscriber.modify_ack_deadline(subscription=SUBSCRIPTION, ack_ids=[one.ack_id], ack_deadline_seconds=0, **QUICK)
        twin.loop.forward(wait - 1)
        assert pull(subscriber) == []
        twin.loop.forward(2)
    assert len(pull(subscriber)) == 1


def fail(twin: Twin, subscriber: SubscriberClient, times: int) -> list[int]:
    """Refuse the only message; the attempts that were counted."""
    counted = []
    for _ in range(times):
        for one in pull(subscriber):
            counted.append(one.delivery_attempt)
            subscriber.modify_ack_deadline(subscription=SUBSCRIPTION, ack_ids=[one.ack_id], ack_deadline_seconds=0, **QUICK)
    return counted


DEAD_LETTERS = {"dead_letter_topic": DEAD, "max_delivery_attempts": 5}


def test_what_fails_too_often_becomes_a_dead_letter(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, dead_letter_policy=DEAD_LETTERS)
    twin.subscribe(subscriber, BURIED, DEAD)
    publisher.publish(TOPIC, b"bad", kind="k").result(10)
    assert fail(twin, subscriber, 7) == [1, 2, 3, 4, 5]
    (dead,) = pull(subscriber, BURIED)
    attributes = dict(dead.message.attributes)
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime").startswith("20")
    assert (dead.message.data, attributes) == (
        b"bad",
        {
            "kind": "k",
            "CloudPubSubDeadLetterSourceDeliveryCount": "5",
            "CloudPubSubDeadLetterSourceSubscription": "worker",
            "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT,
        },
    )
    assert twin.service.store.held(SUBSCRIPTION) == 0


def test_the_last_deadline_makes_a_dead_letter_too(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, dead_letter_policy=DEAD_LETTERS)
    twin.subscribe(subscriber, BURIED, DEAD)
    publisher.publish(TOPIC, b"bad").result(10)
    assert fail(twin, subscriber, 4) == [1, 2, 3, 4]
    assert len(pull(subscriber)) == 1
    assert pull(subscriber, BURIED) == []
    twin.loop.forward(11)
    assert len(pull(subscriber, BURIED)) == 1


def test_without_the_agents_rights_there_are_no_dead_letters(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, dead_letter_policy=DEAD_LETTERS)
    twin.subscribe(subscriber, BURIED, DEAD)
    twin.agent_may = {"pubsub.topics.publish"}
    publisher.publish(TOPIC, b"bad").result(10)
    assert fail(twin, subscriber, 7) == [1, 2, 3, 4, 5, 6, 7]
    assert pull(subscriber, BURIED) == []


def test_a_stream_gets_everything_and_takes_no_more_than_it_asked_for(
    twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient
) -> None:
    twin.subscribe(subscriber)
    held: list[Message] = []
    future = subscriber.subscribe(SUBSCRIPTION, held.append, flow_control=FlowControl(max_messages=3))
    results = [publisher.publish(TOPIC, str(number).encode()) for number in range(50)]
    assert len({result.result(10) for result in results}) == 50
    until(lambda: len(held) == 3)
    others = pull(subscriber, limit=100)
    assert len(others) == 47
    request = {"subscription": SUBSCRIPTION, "ack_ids": [one.ack_id for one in others], "ack_deadline_seconds": 0}
    subscriber.modify_ack_deadline(request=request, **QUICK)
    seen = set()
    while len(seen) < 50:
        until(lambda: len(held) > 0)
        message = held.pop()
        seen.add(message.data)
        message.ack()
    until(lambda: twin.service.store.held(SUBSCRIPTION) == 0)
    future.cancel()
    future.result(10)


def test_a_stream_that_refuses_gets_the_message_again(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, dead_letter_policy=DEAD_LETTERS)
    attempts: list[int | None] = []

    def refuse_twice(message: Message) -> None:
        attempts.append(message.delivery_attempt)
        message.nack() if len(attempts) < 3 else message.ack()

    future = subscriber.subscribe(SUBSCRIPTION, refuse_twice)
    publisher.publish(TOPIC, b"x").result(10)
    until(lambda: twin.service.store.held(SUBSCRIPTION) == 0)
    assert attempts == [1, 2, 3]
    future.cancel()
    future.result(10)


class Door:
    """An HTTP server that answers pushes with the statuses of a list, the last one again and again."""

    def __init__(self, statuses: list[int]) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                door.requests.append(({key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(statuses[min(len(door.requests), len(statuses)) - 1])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/push"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_push_brings_the_message_with_a_token(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    door = Door([204])
    push = {"push_endpoint": door.url, "oidc_token": {"service_account_email": "pusher@x.y", "audience": "the-service"}}
    twin.subscribe(subscriber, push_config=push, dead_letter_policy=DEAD_LETTERS)
    id_ = publisher.publish(TOPIC, b"hello", kind="k").result(10)
    until(lambda: twin.service.store.held(SUBSCRIPTION) == 0)
    ((headers, body),) = door.requests
    sent = json.loads(body)
    assert (headers["authorization"], twin.tokens) == ("Bearer token-1", [("pusher@x.y", "the-service")])
    assert headers["content-type"] == "application/json"
    assert (sent["subscription"], sent["deliveryAttempt"]) == (SUBSCRIPTION, 1)
    assert (base64.b64decode(sent["message"]["data"]), sent["message"]["attributes"]) == (b"hello", {"kind": "k"})
    assert sent["message"]["messageId"] == sent["message"]["message_id"] == id_
    with pytest.raises(exceptions.FailedPrecondition, match="is pushed"):
        subscriber.pull(subscription=SUBSCRIPTION, max_messages=1, **QUICK)
    door.close()


def test_a_push_is_tried_again_after_its_wait(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    door = Door([503, 302, 200])
    policy = {"minimum_backoff": {"seconds": 60}, "maximum_backoff": {"seconds": 600}}
    twin.subscribe(subscriber, push_config={"push_endpoint": door.url}, retry_policy=policy)
    publisher.publish(TOPIC, b"x").result(10)
    until(lambda: len(door.requests) == 1)
    twin.loop.forward(61)
    assert len(door.requests) == 2
    twin.loop.forward(118)
    assert len(door.requests) == 2
    twin.loop.forward(3)
    assert len(door.requests) == 3
    assert twin.service.store.held(SUBSCRIPTION) == 0
    door.close()


def test_pushes_that_fail_become_dead_letters_also_where_nobody_listens(
    twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient
) -> None:
    door = Door([200])
    door.close()
    twin.subscribe(subscriber, BURIED, DEAD)
    twin.subscribe(subscriber, push_config={"push_endpoint": door.url}, dead_letter_policy=DEAD_LETTERS)
    publisher.publish(TOPIC, b"x").result(10)
    until(lambda: twin.service.store.held(BURIED) == 1)
    assert twin.service.store.held(SUBSCRIPTION) == 0


def test_everything_is_there_after_a_restart(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, ack_deadline_seconds=60)
    for data in (b"one", b"two"):
        publisher.publish(TOPIC, data).result(10)
    (leased,) = pull(subscriber, limit=1)
    twin.stop()
    twin.start()
    with twin.subscriber() as again:
        assert [one.message.data for one in pull(again)] == [b"two"]
        again.acknowledge(subscription=SUBSCRIPTION, ack_ids=[leased.ack_id], **QUICK)
    assert twin.service.store.held(SUBSCRIPTION) == 1


def test_messages_are_kept_as_long_as_the_subscription_says(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber, message_retention_duration={"seconds": 600})
    publisher.publish(TOPIC, b"x").result(10)
    twin.loop.forward(601)
    assert pull(subscriber) == []
    assert twin.service.store.held(SUBSCRIPTION) == 0


def test_each_port_is_of_one_identity(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    twin.subscribe(subscriber)
    twin.publisher("publisher@x.y").publish(TOPIC, b"x").result(10)
    with (
        twin.subscriber("publisher@x.y") as other,
        pytest.raises(exceptions.PermissionDenied, match=f"may not pubsub.subscriptions.consume on {SUBSCRIPTION}"),
    ):
        other.pull(subscription=SUBSCRIPTION, max_messages=1, **QUICK)
    with twin.subscriber("publisher@x.y") as other:
        future = other.subscribe(SUBSCRIPTION, lambda message: None)
        with pytest.raises(exceptions.PermissionDenied):
            future.result(10)
    assert len(pull(subscriber)) == 1


def test_resources_are_listed_changed_and_deleted(twin: Twin, publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    project = f"projects/{PROJECT}"
    twin.subscribe(subscriber)
    assert [one.name for one in publisher.list_topics(project=project, **QUICK)] == [DEAD, TOPIC]
    assert list(publisher.list_topic_subscriptions(topic=TOPIC, **QUICK)) == [SUBSCRIPTION]
    changed = {"name": SUBSCRIPTION, "ack_deadline_seconds": 33, "dead_letter_policy": DEAD_LETTERS}
    request = {"subscription": changed, "update_mask": {"paths": ["ack_deadline_seconds"]}}
    subscriber.update_subscription(request=request, **QUICK)
    (held,) = subscriber.list_subscriptions(project=project, **QUICK)
    assert (held.topic, held.ack_deadline_seconds, held.dead_letter_policy.dead_letter_topic) == (TOPIC, 33, "")
    publisher.delete_topic(topic=TOPIC, **QUICK)
    assert subscriber.get_subscription(subscription=SUBSCRIPTION, **QUICK).topic == "_deleted-topic_"
    subscriber.delete_subscription(subscription=SUBSCRIPTION, **QUICK)
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=worker\)"):
        pull_once(subscriber)
    with pytest.raises(exceptions.NotFound, match=r"resource=work\)"):
        publisher.publish(TOPIC, b"x").result(10)


def pull_once(subscriber: SubscriberClient) -> None:
    subscriber.pull(subscription=SUBSCRIPTION, max_messages=1, **QUICK)


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"ack_deadline_seconds": 5}, exceptions.InvalidArgument, "use 10 to 600"),
        ({"filter": 'attributes.x = "y"'}, exceptions.MethodNotImplemented, "has no filter"),
        ({"enable_message_ordering": True}, exceptions.MethodNotImplemented, "has no enable_message_ordering"),
        ({"topic": f"projects/{PROJECT}/topics/none"}, exceptions.NotFound, "resource=none"),
        ({"name": "worker"}, exceptions.InvalidArgument, "use projects/PROJECT/subscriptions/NAME"),
    ],
)
def test_what_is_not_possible_is_refused(
    twin: Twin, subscriber: SubscriberClient, settings: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        subscriber.create_subscription(request={"name": SUBSCRIPTION, "topic": TOPIC, **settings}, **QUICK)


def test_messages_that_are_not_possible_are_refused(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    with pytest.raises(exceptions.AlreadyExists, match=r"resource=work\)"):
        publisher.create_topic(name=TOPIC, **QUICK)
    for message, text in (
        ({}, "neither data nor attributes"),
        ({"attributes": {"k": "v" * 1025}}, "is too long"),
        ({"data": b"x" * 10_000_001}, "use up to 10,000,000"),
    ):
        with pytest.raises(exceptions.InvalidArgument, match=text):
            Plain.publish(publisher, topic=TOPIC, messages=[message], **QUICK)


def test_a_full_stream_has_room_again_when_a_lease_is_over() -> None:
    clock = Clock()
    stream = Stream(StreamingPullRequest.pb()(stream_ack_deadline_seconds=10, max_outstanding_messages=2), clock.now)
    stream.give([Delivery(ack_id=one, message=PubsubMessage.pb()(data=b"x"), attempt=1) for one in ("1.a", "2.b")])
    assert stream.room() == 0
    clock.advance(6)
    stream.extend("2.b", 10)
    clock.advance(5)
    assert stream.room() == 1
    stream.release("2.b")
    assert stream.room() == 2
    assert stream.changed.is_set()
