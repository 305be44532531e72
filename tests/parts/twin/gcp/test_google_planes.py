"""What programs declare of Pub/Sub and Firestore is what Google's clients find."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore import Client
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from handlers.functions.gcp import topics
from handlers.functions.gcp.results import FirestoreResults
from handlers.functions.gcp.storage import Storage
from handlers.functions.versions import ObjectVersion, Result
from pilotlight.twin.gcp import agents
from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.firestore_plane import FirestorePlane, times_to_live
from pilotlight.twin.gcp.planes import google_planes
from pilotlight.twin.gcp.pubsub_plane import PubsubPlane
from pilotlight.twin.gcp.rows_firestore import FIELD
from pilotlight.twin.gcp.types import ACCOUNT, DATABASE, PROJECT_MEMBER, SUBSCRIPTION, TOPIC, TOPIC_MEMBER
from pilotlight.twin.world import Resource
from tests.parts.twin.gcp.account import PROJECT, REGION, Account
from tests.parts.twin.gcp.google_ports import Loop

QUICK: dict[str, Any] = {"timeout": 10, "retry": None}
TABLE = {
    TOPIC: "pubsub_plane:PubsubPlane",
    SUBSCRIPTION: "pubsub_plane:PubsubPlane",
    DATABASE: "firestore_plane:FirestorePlane",
}


class Served:
    """An account whose Pub/Sub and Firestore answer."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._environment = monkeypatch
        self.loop = Loop()
        self.account = Account(folder, google_planes(TABLE))
        twin = self.account.twin
        twin.timers, twin.clock, twin.wait = self.loop.timers, self.loop.clock, self.loop.wait
        self.account.enable("pubsub", "firestore", "iam", "cloudresourcemanager")

    def point(self, email: str | None = None) -> None:
        """Set the variables as for a process of that identity."""
        for variable, front in self.account.twin.gcp.emulators.items():
            self._environment.setenv(variable, f"127.0.0.1:{self.loop.wait(front.port(Caller(email)))}")

    def again(self) -> None:
        """As when the twin ends and comes up again."""
        self.loop.wait(self.account.twin.gcp.planes.close())
        self.loop.wait(self.account.twin.gcp.planes.start(self.account.twin))

    def close(self) -> None:
        self.loop.wait(self.account.twin.gcp.planes.close())
        self.account.world.close()
        self.loop.close()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    made = Served(tmp_path, monkeypatch)
    yield made
    made.close()


def worker(served: Served, role: str) -> str:
    account = served.account.make(ACCOUNT, "worker", {"accountId": "the-worker"})
    served.account.make(PROJECT_MEMBER, "role", {"project": PROJECT, "role": role, "member": account["member"]})
    return str(account["email"])


def subscription(served: Served, **settings: Any) -> Resource:
    served.account.make(TOPIC, "work", {"name": "work"})
    served.account.make(TOPIC, "dead", {"name": "dead"})
    return served.account.make(SUBSCRIPTION, "worker", {"name": "worker", "topic": "work", **settings})


def test_a_programs_subscription_has_its_settings_and_its_rights(served: Served) -> None:
    made = subscription(
        served,
        ackDeadlineSeconds=60.0,
        retryPolicy={"minimumBackoff": "10s", "maximumBackoff": "600s"},
        deadLetterPolicy={"deadLetterTopic": "dead", "maxDeliveryAttempts": 7.0},
        pushConfig={"pushEndpoint": "http://127.0.0.1:1/", "oidcToken": {"serviceAccountEmail": worker(served, "roles/pubsub.viewer")}},
    )
    served.point()
    with SubscriberClient() as client:
        held = client.get_subscription(subscription=made.id, **QUICK)
        assert (held.topic, held.ack_deadline_seconds) == (f"projects/{PROJECT}/topics/work", 60)
        assert (held.retry_policy.minimum_backoff.seconds, held.retry_policy.maximum_backoff.seconds) == (10, 600)
        policy = held.dead_letter_policy
        assert (policy.dead_letter_topic, policy.max_delivery_attempts) == (f"projects/{PROJECT}/topics/dead", 7)
        assert held.push_config.oidc_token.service_account_email.startswith("the-worker@")
        changed = served.account.change(made, {"ackDeadlineSeconds": 90})
        assert client.get_subscription(subscription=made.id, **QUICK).ack_deadline_seconds == 90
    served.point(changed["pushConfig"]["oidcToken"]["serviceAccountEmail"])
    with pytest.raises(exceptions.PermissionDenied, match=r"pubsub\.topics\.publish"):
        PublisherClient().publish(f"projects/{PROJECT}/topics/work", b"x").result(10)


def test_messages_and_resources_come_back_and_what_is_deleted_is_gone(served: Served) -> None:
    made = subscription(served)
    served.point()
    PublisherClient().publish(f"projects/{PROJECT}/topics/work", b"x").result(10)
    served.again()
    served.point()
    with SubscriberClient() as client:
        assert [one.message.data for one in client.pull(subscription=made.id, max_messages=2, **QUICK).received_messages] == [b"x"]
        served.account.delete(made)
        with pytest.raises(exceptions.NotFound):
            client.get_subscription(subscription=made.id, **QUICK)


def test_dead_letters_need_the_grants_that_google_needs(served: Served) -> None:
    made = subscription(served, deadLetterPolicy={"deadLetterTopic": "dead", "maxDeliveryAttempts": 5})
    served.account.make(SUBSCRIPTION, "buried", {"name": "buried", "topic": "dead"})
    plane = served.account.twin.gcp.planes.of(served.account.twin, SUBSCRIPTION)
    assert isinstance(plane, PubsubPlane)
    member = f"serviceAccount:{agents.agent(PROJECT, 'pubsub.googleapis.com')}"
    served.account.make(TOPIC_MEMBER, "publishes", {"topic": "dead", "role": "roles/pubsub.publisher", "member": member})
    served.point()
    PublisherClient().publish(f"projects/{PROJECT}/topics/work", b"x").result(10)
    with SubscriberClient() as client:
        for _ in range(6):
            (one,) = client.pull(subscription=made.id, max_messages=1, **QUICK).received_messages
            client.modify_ack_deadline(subscription=made.id, ack_ids=[one.ack_id], ack_deadline_seconds=0, **QUICK)
        served.account.make(PROJECT_MEMBER, "reads", {"project": PROJECT, "role": "roles/pubsub.subscriber", "member": member})
        name = f"projects/{PROJECT}/subscriptions/buried"
        assert client.pull(subscription=made.id, max_messages=1, return_immediately=True, **QUICK).received_messages == []
        assert len(client.pull(subscription=name, max_messages=1, **QUICK).received_messages) == 1


def test_what_the_twin_does_not_do_is_refused_in_the_program(served: Served) -> None:
    served.account.make(TOPIC, "work", {"name": "work"})
    asked = {"name": "worker", "topic": "work", "filter": 'attributes.x = "y"'}
    assert "has no filter: leave it out" in served.account.refused(SUBSCRIPTION, asked)


def database(served: Served, **settings: Any) -> Resource:
    inputs = {"name": "results", "locationId": REGION, "type": "FIRESTORE_NATIVE", **settings}
    return served.account.make(DATABASE, "results", inputs)


def test_a_programs_database_holds_documents_for_those_who_may(served: Served) -> None:
    made = database(served, deletionPolicy="DELETE")
    served.point(worker(served, "roles/datastore.user"))
    document = Client(project=PROJECT, database="results").document("a/b")
    document.set({"x": 1}, **QUICK)
    served.point("nobody@x.y")
    with pytest.raises(exceptions.PermissionDenied, match=r"There is no service account nobody@x\.y"):
        Client(project=PROJECT, database="results").document("a/b").get(**QUICK)
    served.again()
    served.point()
    again = Client(project=PROJECT, database="results").document("a/b")
    assert again.get(**QUICK).to_dict() == {"x": 1}
    served.account.delete(made)
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        again.get(**QUICK)
    database(served)
    assert not again.get(**QUICK).exists


def test_a_declared_time_to_live_deletes(served: Served) -> None:
    database(served)
    inputs = {"database": "results", "collection": "rows", "field": "expires", "ttlConfig": {"expirationOffset": "60s"}}
    served.account.make(FIELD, "ttl", inputs)
    assert [(one.collection, one.field, one.offset_s) for one in times_to_live(served.account.world)] == [("rows", "expires", 60.0)]
    served.point()
    document = Client(project=PROJECT, database="results").document("rows/one")
    document.set({"expires": datetime.fromtimestamp(served.loop.clock.now() + 60, UTC)}, **QUICK)
    served.loop.forward(3700)
    assert not document.get(**QUICK).exists
    assert isinstance(served.account.twin.gcp.planes.of(served.account.twin, DATABASE), FirestorePlane)


def test_a_database_takes_what_was_declared_of_its_fields_along(served: Served) -> None:
    made = database(served, deletionPolicy="DELETE")
    inputs = {"database": "results", "collection": "rows", "field": "expires", "ttlConfig": {"expirationOffset": "60s"}}
    served.account.make(FIELD, "ttl", inputs)
    served.account.delete(made)
    assert list(times_to_live(served.account.world)) == []


def test_the_functions_of_the_patterns_work_with_both(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results with a topic, each recorded by eight workers at once: one document, one pointer to the newest, one message each."""
    made = subscription(served)
    database(served)
    served.point()
    topics._client.cache_clear()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    client = Client(project=PROJECT, database="results")
    topic = topics.Topic(f"projects/{PROJECT}/topics/work")
    store = FirestoreResults(client, Storage(), collection="results", bucket="none", task="text-classification", topic=topic)
    results = [Result(_version(number), '{"outputs": [1]}') for number in range(1, 5)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = [one for found in pool.map(lambda _: store.record(results).values(), range(8)) for one in found]
    topics._client.cache_clear()
    assert sum(one.kind == "recorded" for one in outcomes) == 4
    assert {one.kind for one in outcomes} <= {"recorded", "known", "failed"}
    assert len(list(client.collection("results").stream(**QUICK))) == 5
    newest = client.collection("results").where(filter=FieldFilter("sequencer", "==", _version(4).sequencer)).stream(**QUICK)
    assert any(one.id.endswith("-latest") for one in newest)
    plane = served.account.twin.gcp.planes.of(served.account.twin, SUBSCRIPTION)
    assert isinstance(plane, PubsubPlane)
    assert plane.service.store.held(made.id) >= 4


def _version(number: int) -> ObjectVersion:
    named = {"bucket": "objects", "key": "a.txt", "etag": "", "uri": "gs://objects/a.txt", "request_id": "r"}
    return ObjectVersion(version=str(number), sequencer=str(number).zfill(20), size=1, **named)
