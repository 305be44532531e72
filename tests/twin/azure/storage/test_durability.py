"""What Azurite has answered is there after it was killed."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceRequestError

from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.azure.accounts import client, code_of, container, queue, table
from tests.twin.azure.harness import AzureHarness

MIB = 1024 * 1024
READER, CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_what_azurite_has_answered_outlives_its_kill(harness: AzureHarness, stored: Resource, plane: Any) -> None:
    blobs, work, rows = container(harness, stored, "kept"), queue(harness, stored, "kept"), table(harness, stored, "kept")
    gone = queue(harness, stored, "gone")
    # In one container things are also changed and removed, after what was saved.
    blobs.upload_blob("changed", b"old")
    blobs.upload_blob("removed", b"x")
    for n in range(50):
        blobs.upload_blob(f"b{n}", str(n))
        work.send_message(str(n))
        rows.create_entity({"PartitionKey": "p", "RowKey": str(n), "n": n})
    blobs.upload_blob("changed", b"new", overwrite=True)
    blobs.delete_blob("removed")
    rows.delete_entity("p", "0")
    taken = work.receive_message(visibility_timeout=600)
    gone.delete_queue()
    dropped = client(harness, stored, "table").create_table("dropped")
    dropped.create_entity({"PartitionKey": "p", "RowKey": "before"})
    dropped.delete_table()
    dropped.create_table()
    dropped.create_entity({"PartitionKey": "p", "RowKey": "after"})
    # At the politer end it saves all, as it does every half minute; what comes then is in a journal of its own.
    for end in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        starts, pid = plane._azurite.starts, plane._azurite.pid
        os.kill(pid, end)
        wait_for_end(pid)
        assert {one.name for one in blobs.list_blobs()} == {"changed", *(f"b{n}" for n in range(50))}
        assert plane._azurite.starts == starts + 1
        assert (blobs.download_blob("changed").readall(), blobs.download_blob("b7").readall()) == (b"new", b"7")
        assert {one["n"] for one in rows.list_entities()} == set(range(1, 50))
        assert work.get_queue_properties().approximate_message_count == 50
        assert code_of(gone.get_queue_properties)[0] == 404
        assert [one["RowKey"] for one in dropped.list_entities()] == ["after"]
        # Written since the kill, and so in the journal of the process that the next kill ends.
        rows.upsert_entity({"PartitionKey": "p", "RowKey": "1", "n": 1})
    work.delete_message(taken)
    with pytest.raises(ResourceExistsError):
        blobs.upload_blob("b7", b"again")


def test_a_client_in_the_middle_of_a_kill_is_told_to_come_again(harness: AzureHarness, stored: Resource, plane: Any) -> None:
    # A second try finds what the first one made.
    rows = table(harness, stored, f"killed{uuid.uuid4().hex}")
    over, answered, refused = threading.Event(), [], set()

    def write(worker: int) -> None:
        n = 0
        while not over.is_set():
            try:
                rows.create_entity({"PartitionKey": str(worker), "RowKey": str(n)})
                answered.append((str(worker), str(n)))
            except (HttpResponseError, ServiceRequestError) as error:
                refused.add(getattr(error, "status_code", None))
            n += 1

    with ThreadPoolExecutor(5) as pool:
        working = [pool.submit(write, worker) for worker in range(4)]
        try:
            until(lambda: len(answered) > 20)
            os.kill(plane._azurite.pid, signal.SIGKILL)
            before = len(answered)
            # More than those that were answered already when it was killed, one a worker: they have come again.
            until(lambda: len(answered) > before + 20)
        finally:
            over.set()
        for one in working:
            one.result()
    there = {(one["PartitionKey"], one["RowKey"]) for one in rows.list_entities()}
    # 409: it had been done before the kill, and was not answered.
    assert refused <= {503, 409}
    assert set(answered) <= there
