"""Rows, large results and messages: each written once and sent at least once, whoever else writes at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.places import Place
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.results import _ROUNDS, TableResults
from handlers.functions.azure.tables import Table
from handlers.functions.outcomes import NotAllowed, Unavailable
from handlers.functions.versions import ObjectVersion, Result
from tests.parts.handlers.azure.event_world import World

BODY = '{"outputs":[1]}'


@pytest.fixture
def world(azure, monkeypatch):
    monkeypatch.setattr("handlers.functions.azure.results._PAUSE_S", 0.001)
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)
    return World(azure)


def store_of(world, *, sends=False, container="results"):
    url = world.azure.url
    queue = Queue(url("queue"), "results") if sends else None
    large = Place(url("blob"), container)
    return TableResults(Table(url("table"), "results"), Blobs(url("blob")), large=large, task="sentence-embedding", queue=queue)


def result_of(number, key="a.txt", body=BODY):
    version = ObjectVersion(
        bucket="objects", key=key, version=f"0x{number:X}", sequencer=f"{number:064x}", etag="", size=1, uri="u", request_id="r"
    )
    return Result(version, body)


def kinds(found):
    return [outcome.kind for outcome in found.values()]


def latest(world, key="a.txt"):
    return world.rows()[key, "#latest"]["latest"]


def interfere(world, times, write):
    """Let `write` happen between what a store reads and the transaction that it sends, so often."""
    left = [times]

    def guard(headers):
        if world.front.seen[-1][1].endswith("$batch") and left[0]:
            left[0] -= 1
            world.front.guard = lambda headers: None
            write()
            world.front.guard = guard
        return None

    world.front.guard = guard


def test_the_pointer_never_goes_back(world):
    store = store_of(world)
    for number in (5, 3, 9, 7):
        assert kinds(store.record([result_of(number)])) == ["recorded"]
    assert latest(world) == "0x9"


def test_a_pointer_that_moved_meanwhile_is_read_again(world):
    store, other = store_of(world), store_of(world)
    store.record([result_of(1)])
    interfere(world, 1, lambda: other.record([result_of(9)]))
    assert kinds(store.record([result_of(5)])) == ["recorded"]
    assert (latest(world), len(world.rows())) == ("0x9", 4)


def test_who_comes_second_leaves_the_first_result_as_it_is_and_sends_what_is_unsent(world):
    store, other = store_of(world, sends=True), store_of(world, sends=True)
    held = world.account.queues.queues.pop("results")

    def first():
        assert kinds(other.record([result_of(1, body='{"outputs":[2]}')])) == ["failed"]
        world.account.queues.queues["results"] = held

    interfere(world, 1, first)
    assert kinds(store.record([result_of(1)])) == ["known"]
    assert [message["result"] for message in world.sent()] == [{"outputs": [2]}]


def test_a_store_that_is_always_too_late_gives_up(world):
    store, other, numbers = store_of(world), store_of(world), iter(range(10, 100))
    interfere(world, _ROUNDS, lambda: other.record([result_of(next(numbers))]))
    (outcome,) = store.record([result_of(90)]).values()
    assert (outcome.kind, "others write the same rows" in outcome.reason) == ("failed", True)
    world.front.guard = lambda headers: None
    assert kinds(store.record([result_of(90)])) == ["recorded"]
    assert latest(world) == f"0x{90:X}"


def test_versions_that_come_at_once_leave_a_row_each_and_the_newest_pointer(world):
    stores = [store_of(world) for _ in range(4)]

    def until_recorded(number):
        while "failed" in kinds(stores[number % 4].record([result_of(number)])):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(until_recorded, [*range(1, 25), *range(1, 25)]))
    assert latest(world) == f"0x{24:X}"
    found = stores[0].settled([result_of(number).version for number in range(1, 25)])
    assert (len(found), set(kinds(found)), len(world.rows())) == (24, {"known"}, 25)


def test_a_transaction_whose_answer_is_lost_is_our_own(world):
    store = store_of(world, sends=True)
    sent = []

    def guard(headers):
        if world.front.seen[-1][1].endswith("$batch") and not sent:
            sent.append(world.front.lost.append(True))

    world.front.guard = guard
    assert kinds(store.record([result_of(1)])) == ["recorded"]
    assert (len(world.sent()), len(world.rows())) == (1, 2)


def test_names_that_no_key_may_have_are_names_of_objects(world):
    store = store_of(world)
    keys = ["a/b", "..", "a?b#c%2F\\d", "ä" * 500, "x" * 1024, "x" * 1023 + "y", "a.txt"]
    assert kinds(store.record([result_of(1, key) for key in keys])) == ["recorded"] * 7
    assert len(store.settled([result_of(1, key).version for key in keys])) == 7
    assert {key for key, version in world.results()} == set(keys)


def test_a_message_that_was_sent_and_not_marked_comes_again(world):
    store = store_of(world, sends=True)
    world.front.guard = lambda headers: 403 if world.front.seen[-1][0] == "PATCH" else None
    (outcome,) = store.record([result_of(1)]).values()
    assert (outcome.kind, "can't be marked so" in outcome.reason) == ("failed", True)
    world.front.guard = lambda headers: None
    for count in (2, 2):
        assert kinds(store.settled([result_of(1).version])) == ["known"]
        assert len(world.sent()) == count


def test_a_row_that_was_removed_needs_no_mark(world):
    store = store_of(world, sends=True)
    world.front.guard = lambda headers: world.account.tables.tables["results"].clear() if world.front.seen[-1][0] == "PATCH" else None
    assert kinds(store.record([result_of(1)])) == ["recorded"]
    assert (len(world.sent()), world.rows()) == (1, {})


def test_a_large_result_that_can_not_be_stored_leaves_nothing(world):
    (outcome,) = store_of(world, container="none").record([result_of(1, body='{"outputs":"' + "x" * 300_000 + '"}')]).values()
    assert (outcome.kind, outcome.reason.startswith("The result can't be stored: 404 ContainerNotFound")) == ("failed", True)
    assert world.rows() == {}


def test_a_result_in_parts_is_the_same_again(world):
    store, body = store_of(world), '{"outputs":"' + "é\U0001f600x" * 25_000 + '"}'
    assert kinds(store.record([result_of(1, body=body)])) == ["recorded"]
    (row,) = store._rows([result_of(1).version.id])
    assert row.result == body


def test_a_table_that_refuses_is_told_as_such(world):
    store = store_of(world)
    world.front.statuses = [403]
    with pytest.raises(NotAllowed, match="The results can't be read: 403"):
        store.settled([result_of(1).version])
    world.front.statuses = [503] * 4
    with pytest.raises(Unavailable, match="503"):
        store.settled([result_of(1).version])
    world.front.statuses = [403]
    (outcome,) = store.record([result_of(1)]).values()
    assert (outcome.kind, outcome.spent) == ("failed", False)
    assert store.settled([]) == {}
