"""The real clients of Azure Storage with tokens over TLS."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.storage.blob import ContentSettings

from pilotlight.twin.world import Resource
from tests.twin.azure.accounts import client, code_of, container, queue, table
from tests.twin.azure.harness import AzureHarness

MIB = 1024 * 1024
READER, CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def test_azures_client_stores_reads_in_ranges_lists_copies_and_deletes_blobs(harness: AzureHarness, stored: Resource) -> None:
    blobs = container(harness, stored, "blobs")
    blob = blobs.get_blob_client("a/ü b.txt")
    blob.upload_blob(b"hello", metadata={"made_by": "tests"}, content_settings=ContentSettings(content_type="text/plain"))
    found = blob.get_blob_properties()
    assert (found.size, found.content_settings.content_type, found.metadata) == (5, "text/plain", {"made_by": "tests"})
    assert blob.download_blob(offset=1, length=2).readall() == b"el"
    copy = blobs.get_blob_client("a/copy")
    copy.start_copy_from_url(blob.url)
    assert copy.download_blob().readall() == b"hello"
    assert [one.name for one in blobs.list_blobs(name_starts_with="a/")] == ["a/copy", "a/ü b.txt"]
    copy.delete_blob()
    assert code_of(copy.get_blob_properties)[0] == 404
    assert code_of(lambda: blob.upload_blob(b"other")) == (409, "BlobAlreadyExists")


def test_a_blob_is_changed_only_as_it_was_read(harness: AzureHarness, stored: Resource) -> None:
    blob = container(harness, stored, "conditions").get_blob_client("one")
    first = blob.upload_blob(b"1")["etag"]
    blob.upload_blob(b"2", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"3", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    assert blob.download_blob().readall() == b"2"


@pytest.mark.parametrize(("size", "more"), [(70 * MIB, {}), (20 * MIB, {"max_single_put_size": 32 * MIB})])
def test_a_large_blob_goes_through_in_blocks_and_in_one_piece(
    harness: AzureHarness, stored: Resource, size: int, more: dict[str, Any]
) -> None:
    name, content = f"large{size // MIB}", os.urandom(size)
    blobs = container(harness, stored, name)
    sender = client(harness, stored, "blob", **more).get_container_client(name)
    sender.upload_blob("large", content, max_concurrency=4)
    assert blobs.download_blob("large", max_concurrency=4).readall() == content
    committed, _ = blobs.get_blob_client("large").get_block_list()
    assert bool(committed) == (not more)


def test_of_sixty_four_that_create_one_blob_and_one_row_one_wins(harness: AzureHarness, stored: Resource) -> None:
    blobs, rows = container(harness, stored, "race"), table(harness, stored, "race")

    def won(call: Callable[[], Any]) -> bool:
        try:
            call()
        except ResourceExistsError:
            return False
        return True

    calls: list[Callable[[], Any]] = [
        *[lambda: blobs.upload_blob("one", b"x") for _ in range(64)],
        *[lambda: rows.create_entity({"PartitionKey": "p", "RowKey": "r"}) for _ in range(64)],
    ]
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(won, calls))
    assert (sum(results[:64]), sum(results[64:])) == (1, 1)


def test_three_hundred_optimistic_increments_give_three_hundred(harness: AzureHarness, stored: Resource) -> None:
    rows = table(harness, stored, "counters")
    rows.create_entity({"PartitionKey": "p", "RowKey": "r", "count": 0})

    def increment(_: int) -> None:
        while True:
            read = rows.get_entity("p", "r")
            read["count"] += 1
            try:
                rows.update_entity(read, mode=UpdateMode.REPLACE, etag=read.metadata["etag"], match_condition=MatchConditions.IfNotModified)
            except ResourceModifiedError:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(300)))
    assert rows.get_entity("p", "r")["count"] == 300


def test_transactions_are_whole_and_have_azures_limits(harness: AzureHarness, stored: Resource) -> None:
    rows = table(harness, stored, "together")
    rows.submit_transaction([("create", {"PartitionKey": "p", "RowKey": str(n), "text": "ü" * 100}) for n in range(100)])
    assert len(list(rows.list_entities())) == 100
    with pytest.raises(TableTransactionError):
        rows.submit_transaction([("upsert", {"PartitionKey": "p", "RowKey": "new"}), ("create", {"PartitionKey": "p", "RowKey": "1"})])
    assert code_of(lambda: rows.get_entity("p", "new"))[0] == 404
    many = [("upsert", {"PartitionKey": "q", "RowKey": str(n)}) for n in range(101)]
    with pytest.raises(HttpResponseError, match="exceeds the maximum 100 changes"):
        rows.submit_transaction(many)
    assert list(rows.query_entities("PartitionKey eq 'q'")) == []


def test_entities_have_azures_limits(harness: AzureHarness, stored: Resource) -> None:
    rows, key = table(harness, stored, "limits"), {"PartitionKey": "p", "RowKey": "r"}
    rows.create_entity({**key, **{f"p{n}": n for n in range(252)}})
    for bad, code in (
        ({f"p{n}": n for n in range(253)}, "TooManyProperties"),
        ({f"p{n}": "x" * 30_000 for n in range(18)}, "EntityTooLarge"),
    ):
        assert code_of(lambda bad=bad: rows.upsert_entity({**key, **bad})) == (400, code)
    with pytest.raises(HttpResponseError) as caught:
        rows.submit_transaction([("upsert", {**key, **{f"p{n}": n for n in range(253)}})])
    assert caught.value.status_code == 400


def test_a_message_is_hidden_counted_and_seen_again_at_the_twins_time(harness: AzureHarness, stored: Resource) -> None:
    work = queue(harness, stored, "work")
    work.send_message("one")
    first = work.receive_message(visibility_timeout=600)
    assert (first.content, first.dequeue_count, work.receive_message()) == ("one", 1, None)
    harness.clock.advance(601)
    again = work.receive_message(visibility_timeout=600)
    assert (again.id, again.dequeue_count) == (first.id, 2)
    assert code_of(lambda: work.delete_message(first)) == (400, "PopReceiptMismatch")
    work.delete_message(again)
    harness.clock.advance(601)
    assert work.receive_message() is None


def test_a_message_is_there_for_who_asks_next_though_the_twins_time_stands_still(harness: AzureHarness, stored: Resource) -> None:
    stands_still = queue(harness, stored, "still")
    harness.clock.run_at(0)
    try:
        for number in range(100):
            stands_still.send_message(str(number))
            found = stands_still.receive_message()
            assert found is not None
            assert found.content == str(number)
    finally:
        harness.clock.run_at(1)


def test_messages_come_in_the_order_in_which_they_could_be_seen(harness: AzureHarness, stored: Resource) -> None:
    ordered, other = queue(harness, stored, "ordered"), queue(harness, stored, "other")
    for name, delay_s in (("c", 300), ("a", 100), ("later", 6000), ("d", 300), ("b", 200), ("e", 300)):
        ordered.send_message(name, visibility_timeout=delay_s)
        other.send_message("x", visibility_timeout=delay_s)
    harness.clock.advance(500)
    assert [one.content for one in ordered.peek_messages(3)] == ["a", "b", "c"]
    taken = list(ordered.receive_messages(messages_per_page=3, max_messages=3, visibility_timeout=1000))
    assert [(one.content, one.dequeue_count) for one in taken] == [("a", 1), ("b", 1), ("c", 1)]
    assert [one.content for one in ordered.peek_messages(32)] == ["d", "e"]
    harness.clock.advance(1100)
    # Those that were taken together can be seen again at one moment, and come as they were put.
    again = list(ordered.receive_messages(messages_per_page=5, max_messages=5))
    assert [(one.content, one.dequeue_count) for one in again] == [("d", 1), ("e", 1), ("c", 2), ("a", 2), ("b", 2)]


def test_a_message_whose_time_is_over_is_gone_at_that_moment_and_no_other(harness: AzureHarness, stored: Resource) -> None:
    """Azurite looks for them no sooner than the first one can be over (`azurite_host/host.js`)."""
    work = queue(harness, stored, "expiring")
    work.send_message("stays", time_to_live=-1)
    work.send_message("long", time_to_live=3600)
    assert {one.content for one in work.peek_messages(10)} == {"stays", "long"}
    # Put after a look that found none to be over soon.
    work.send_message("short", time_to_live=60)
    harness.clock.advance(59)
    assert {one.content for one in work.peek_messages(10)} == {"stays", "long", "short"}
    harness.clock.advance(2)
    assert {one.content for one in work.receive_messages(max_messages=10, visibility_timeout=1)} == {"stays", "long"}
    harness.clock.advance(3600)
    assert [one.content for one in work.receive_messages(max_messages=10)] == ["stays"]
    assert work.get_queue_properties().approximate_message_count == 1


def test_how_long_a_queue_is_counts_what_is_being_worked_on(harness: AzureHarness, stored: Resource, plane: Any) -> None:
    work = queue(harness, stored, "counted")
    for _ in range(3):
        work.send_message("x")
    work.receive_message()
    assert harness.wait(plane.queue_length(stored["name"], "counted")) == 3
    assert harness.wait(plane.queue_length(stored["name"], "missing")) is None
