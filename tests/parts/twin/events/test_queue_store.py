"""What SQS keeps: visibility, delays, receives, dead letters, retention, all on a clock that the tests move."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.twin.aws.sqs_attributes import DEFAULTS
from pilotlight.twin.aws.sqs_model import Message, handle_of
from pilotlight.twin.aws.sqs_store import QueueStore

WORK, DEAD = "arn:aws:sqs:us-east-1:1:work", "arn:aws:sqs:us-east-1:1:dead"


class Time:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(tmp_path: Path, time: Time) -> Iterator[QueueStore]:
    made = QueueStore(tmp_path / "queues.sqlite3", time)
    made.put(DEAD, DEFAULTS, {})
    redrive = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 2})
    made.put(WORK, {**DEFAULTS, "RedrivePolicy": redrive}, {"team": "a"})
    yield made
    made.close()


def send(store: QueueStore, *bodies: str, delay_s: float | None = None) -> list[str]:
    return store.send(WORK, [(body, {}, delay_s) for body in bodies], "sender")


def bodies(messages: list[Message]) -> list[str]:
    return [message.body for message in messages]


def delete(store: QueueStore, message: Message) -> None:
    receipt = store.receipt(WORK, handle_of(message))
    assert receipt is not None
    store.remove([receipt])


def test_a_message_is_hidden_while_it_is_in_flight_and_comes_back(store: QueueStore, time: Time) -> None:
    send(store, "a", "b", "c")
    assert bodies(store.receive(WORK, 2)) == ["a", "b"]
    assert bodies(store.receive(WORK, 10)) == ["c"]
    assert store.receive(WORK, 10) == []
    assert store.next_visible(WORK) == time.now + 30
    time.now += 30
    again = store.receive(WORK, 10)
    assert sorted(bodies(again)) == ["a", "b", "c"]
    assert [message.received for message in again] == [2, 2, 2]
    assert again[0].first_received == time.now - 30


def test_a_deleted_message_is_gone_and_an_old_receipt_deletes_nothing(store: QueueStore, time: Time) -> None:
    send(store, "a")
    (first,) = store.receive(WORK, 1)
    time.now += 31
    (second,) = store.receive(WORK, 1)
    delete(store, first)
    assert store.figures(WORK).in_flight == 1
    delete(store, second)
    assert store.figures(WORK).in_flight == 0


def test_a_delayed_message_is_not_visible_yet(store: QueueStore, time: Time) -> None:
    send(store, "late", delay_s=5)
    assert store.receive(WORK, 1) == []
    assert (store.figures(WORK).delayed, store.figures(WORK).visible) == (1, 0)
    time.now += 5
    assert bodies(store.receive(WORK, 1)) == ["late"]


def test_a_message_that_was_received_too_often_goes_to_the_dead_letters(store: QueueStore, time: Time) -> None:
    send(store, "poison", "good")
    for _ in range(2):
        for message in store.receive(WORK, 10):
            if message.body == "good":
                delete(store, message)
        time.now += 31
    assert store.receive(WORK, 10) == []
    (dead,) = store.receive(DEAD, 10)
    assert (dead.body, dead.source, dead.received) == ("poison", WORK, 3)
    assert dead.sent == 1_000_000.0


def test_dead_letters_go_back_where_they_came_from_as_new_messages(store: QueueStore, time: Time) -> None:
    (sent,) = send(store, "poison")
    for _ in range(3):
        store.receive(WORK, 1)
        time.now += 31
    store.send(DEAD, [("stranger", {}, None)], "sender")
    assert store.move(DEAD, 1, None) == (1, None)
    (back,) = store.receive(WORK, 10)
    assert (back.body, back.received, back.source) == ("poison", 1, None)
    assert back.id != sent
    moved, stuck = store.move(DEAD, 10, None)
    assert (moved, stuck.body if stuck else None) == (0, "stranger")
    assert store.move(DEAD, 10, WORK) == (1, None)


def test_a_message_expires_when_its_queue_no_longer_keeps_it(store: QueueStore, time: Time) -> None:
    send(store, "old")
    time.now += 345_600
    assert store.receive(WORK, 1) == []
    assert store.figures(WORK).visible == 0


def test_visibility_can_be_changed_while_in_flight_alone(store: QueueStore, time: Time) -> None:
    send(store, "a")
    (message,) = store.receive(WORK, 1)
    receipt = store.receipt(WORK, handle_of(message))
    assert receipt is not None
    assert store.in_flight_for(receipt) == 0
    store.hide(receipt, 0)
    assert store.in_flight_for(receipt) is None
    assert bodies(store.receive(WORK, 1)) == ["a"]


@pytest.mark.parametrize("handle", ["", "x", "1", "12345678901234567890.x", "1."])
def test_a_malformed_handle_is_no_receipt(store: QueueStore, handle: str) -> None:
    send(store, "a")
    assert store.receipt(WORK, handle) is None


def test_a_handle_belongs_to_its_queue(store: QueueStore) -> None:
    send(store, "a")
    (message,) = store.receive(WORK, 1)
    assert store.receipt(DEAD, handle_of(message)) is None


def test_queues_and_messages_survive_a_restart(tmp_path: Path, time: Time, store: QueueStore) -> None:
    send(store, "kept")
    store.receive(WORK, 1)
    store.close()
    time.now += 10
    again = QueueStore(tmp_path / "queues.sqlite3", time)
    found = again.queue(WORK)
    assert found is not None
    assert (found.tags, found.redrive) == ({"team": "a"}, (DEAD, 2))
    assert again.receive(WORK, 1) == []
    time.now += 20
    assert bodies(again.receive(WORK, 1)) == ["kept"]
    again.close()


def test_messages_keep_their_distance_to_a_clock_that_was_set_back(tmp_path: Path, time: Time, store: QueueStore) -> None:
    time.now += 86_400
    send(store, "kept")
    store.receive(WORK, 1)
    store.close()
    time.now -= 86_400
    again = QueueStore(tmp_path / "queues.sqlite3", time)
    assert again.next_visible(WORK) == time.now + 30
    again.close()


def test_a_purged_queue_is_empty_and_a_deleted_one_is_gone(store: QueueStore) -> None:
    send(store, "a", "b")
    store.purge(WORK)
    assert store.figures(WORK).visible == 0
    store.delete(WORK)
    assert [queue.arn for queue in store.queues()] == [DEAD]
    with pytest.raises(KeyError):
        send(store, "c")


def test_figures_tell_the_age_of_the_oldest(store: QueueStore, time: Time) -> None:
    assert store.figures(WORK).oldest_s == 0
    send(store, "a")
    time.now += 12
    send(store, "b")
    assert (store.figures(WORK).visible, store.figures(WORK).oldest_s) == (2, 12)


def test_a_message_that_was_handed_out_three_times_is_not_the_oldest_any_more(store: QueueStore, time: Time) -> None:
    store.send(DEAD, [("a", {}, None)], "sender")
    for count in range(3):
        assert store.figures(DEAD).oldest_s == 31 * count
        store.receive(DEAD, 1)
        time.now += 31
    assert store.figures(DEAD).oldest_s == 0
