"""Documents, large results and messages: each written once and sent at least once, whoever else writes at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.cloud.firestore import Client

from handlers.functions.gcp.results import _ROUNDS, FirestoreResults
from handlers.functions.gcp.storage import Storage
from handlers.functions.gcp.topics import Topic
from handlers.functions.outcomes import Unavailable
from handlers.functions.versions import ObjectVersion, Result
from tests.parts.handlers.gcp.conftest import PROJECT, RESULTS_TOPIC

DENIED = grpc.StatusCode.PERMISSION_DENIED
BODY = '{"outputs":[1]}'


@pytest.fixture(autouse=True)
def google(cloud_storage, firestore, topics, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud_storage)
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    monkeypatch.setattr("handlers.functions.gcp.results._PAUSE_S", 0.001)


def store_of(bucket, *, sends=False, topic=RESULTS_TOPIC):
    database = Client(project=PROJECT, database="mine")
    named = {"collection": "results", "bucket": bucket.name, "task": "sentence-embedding"}
    return FirestoreResults(database, Storage(), topic=Topic(topic) if sends else None, **named)


def result_of(generation, key="a.txt", body=BODY):
    sequencer = str(generation).zfill(20)
    uri = f"gs://objects/{key}"
    version = ObjectVersion(
        bucket="objects", key=key, version=str(generation), sequencer=sequencer, etag="", size=1, uri=uri, request_id="r"
    )
    return Result(version, body)


def kinds(found):
    return [outcome.kind for outcome in found.values()]


def latest(store, key="objects/a.txt"):
    return store._document((key, "latest")).get().get("latest")


def interfere(firestore, times, write):
    """Let `write` happen between what a store reads and what it commits, so often."""
    left = [times]

    def before(method):
        if method == "Commit" and left[0]:
            left[0] -= 1
            firestore.before = lambda method: None
            write()
            firestore.before = before

    firestore.before = before


def test_the_pointer_never_goes_back(bucket):
    store = store_of(bucket)
    for generation in (5, 3, 9, 7):
        assert kinds(store.record([result_of(generation)])) == ["recorded"]
    assert latest(store) == "9"


def test_generations_compare_as_numbers(bucket):
    store = store_of(bucket)
    for generation in (10, 9):
        store.record([result_of(generation)])
    assert latest(store) == "10"


def test_a_pointer_that_moved_meanwhile_is_read_again(bucket, firestore):
    store, other = store_of(bucket), store_of(bucket)
    store.record([result_of(1)])
    interfere(firestore, 1, lambda: other.record([result_of(9)]))
    assert kinds(store.record([result_of(5)])) == ["recorded"]
    assert latest(store) == "9"
    assert len(firestore.documents) == 4


def test_a_pointer_that_came_into_being_meanwhile_is_read_again(bucket, firestore):
    store, other = store_of(bucket), store_of(bucket)
    interfere(firestore, 1, lambda: other.record([result_of(2)]))
    assert kinds(store.record([result_of(5)])) == ["recorded"]
    assert latest(store) == "5"


def test_who_comes_second_leaves_the_first_result_as_it_is_and_sends_what_is_unsent(bucket, firestore, topics):
    store, other = store_of(bucket, sends=True), store_of(bucket, sends=True)
    topics.failing = [("Publish", DENIED, False)]
    interfere(firestore, 1, lambda: other.record([result_of(1, body='{"outputs":[2]}')]))
    assert kinds(store.record([result_of(1)])) == ["known"]
    (message,) = topics.messages[RESULTS_TOPIC]
    assert b'"result": {"outputs":[2]}' in message.data


def test_a_store_that_is_always_too_late_gives_up(bucket, firestore):
    store, other, numbers = store_of(bucket), store_of(bucket), iter(range(10, 100))
    interfere(firestore, _ROUNDS, lambda: other.record([result_of(next(numbers))]))
    store_found = store.record([result_of(90)])
    assert kinds(store_found) == ["failed"]
    assert "others write the same documents" in next(iter(store_found.values())).reason
    assert kinds(store.record([result_of(90)])) == ["recorded"]
    assert latest(store) == "90"


def test_generations_that_come_at_once_leave_a_document_each_and_the_newest_pointer(bucket):
    stores = [store_of(bucket) for _ in range(4)]

    def until_recorded(generation):
        while "failed" in kinds(stores[generation % 4].record([result_of(generation)])):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(until_recorded, [*range(1, 25), *range(1, 25)]))
    assert latest(stores[0]) == "24"
    found = stores[0].settled([result_of(generation).version for generation in range(1, 25)])
    assert (len(found), set(kinds(found))) == (24, {"known"})


def test_names_that_no_document_may_have_are_names_of_objects(bucket):
    store = store_of(bucket)
    keys = ["a/b", "..", "__x__", "ä" * 500, "a.txt"]
    assert kinds(store.record([result_of(1, key) for key in keys])) == ["recorded"] * 5
    assert len(store.settled([result_of(1, key).version for key in keys])) == 5


def test_a_message_that_was_sent_and_not_marked_comes_again(bucket, firestore, topics):
    store = store_of(bucket, sends=True)
    calls = []

    def before(method):
        calls.append(method)
        if calls.count("Commit") == 2:
            firestore.failing = [("Commit", DENIED, False)]

    firestore.before = before
    assert kinds(store.record([result_of(1)])) == ["failed"]
    firestore.before = lambda method: None
    assert kinds(store.settled([result_of(1).version])) == ["known"]
    assert len(topics.messages[RESULTS_TOPIC]) == 2
    assert kinds(store.settled([result_of(1).version])) == ["known"]
    assert len(topics.messages[RESULTS_TOPIC]) == 2


def test_a_document_that_was_removed_needs_no_mark(bucket, firestore, topics):
    store = store_of(bucket, sends=True)
    calls = []

    def before(method):
        calls.append(method)
        if calls.count("Commit") == 2:
            firestore.documents.clear()

    firestore.before = before
    assert kinds(store.record([result_of(1)])) == ["recorded"]
    assert (len(topics.messages[RESULTS_TOPIC]), firestore.documents) == (1, {})


def test_a_topic_that_is_not_there_is_a_failure_with_its_reason(bucket):
    store = store_of(bucket, sends=True, topic=f"projects/{PROJECT}/topics/none")
    (outcome,) = store.record([result_of(1)]).values()
    assert (outcome.kind, "NotFound" in outcome.reason) == ("failed", True)


def test_a_large_result_that_can_not_be_stored_leaves_nothing(bucket, firestore, monkeypatch):
    store = store_of(bucket)
    store._bucket = "none-such"
    (outcome,) = store.record([result_of(1, body='{"outputs":"' + "x" * 300_000 + '"}')]).values()
    assert (outcome.kind, outcome.reason.startswith("The result can't be stored: 404")) == ("failed", True)
    assert firestore.documents == {}


def test_a_database_that_refuses_is_told_as_such(bucket, firestore):
    store = store_of(bucket)
    firestore.failing = [("BatchGetDocuments", DENIED, False)]
    with pytest.raises(Unavailable, match="Firestore: PermissionDenied"):
        store.settled([result_of(1).version])
    firestore.failing = [("Commit", DENIED, False)]
    assert kinds(store.record([result_of(1)])) == ["failed"]
    assert store.settled([]) == {}
