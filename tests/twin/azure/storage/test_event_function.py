"""From an upload to one result per version of a blob, on the twin's own Event Grid, queues, tables and roles, whatever goes wrong."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.functions import connections
from tests.parts.handlers.processes import running
from tests.support.waiting import until
from tests.twin.azure.harness import AzureHarness
from tests.twin.azure.storage.event_function import Deployed

ROLE = ("handlers.functions.azure", "events")


@pytest.fixture
def deployed(harness: AzureHarness, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    made = Deployed(harness, request.node.name[5:35].replace("_", "-").strip("-"))
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("handlers.functions.attempts.FIRST_PAUSE_S", 1)
    connections._tls.cache_clear()
    yield made
    harness.twin.faults.clear()
    harness.remove(made.topic)
    connections._tls.cache_clear()


def test_uploads_have_one_result_each_however_many_work_on_them(deployed: Deployed) -> None:
    with deployed.at_work(3, CONCURRENCY="4"):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: deployed.objects.upload_blob(f"in/ü {n}.txt", "x" * n), range(1, 31)))
        until(lambda: deployed.events() == 0 and len(deployed.results()) == 30)
    rows = deployed.rows()
    assert sorted(row["result"] for (_, version), row in rows.items() if version != "#latest") == sorted(
        f'{{"outputs":[{n}]}}' for n in range(1, 31)
    )
    assert len(rows) == 60
    assert all(row["published"] for (_, version), row in rows.items() if version != "#latest")
    assert sorted(message["object"] for message in deployed.take("results")) == sorted(f"objects/in/ü {n}.txt" for n in range(1, 31))
    assert (len(deployed.model.asked), deployed.told("dead")) == (30, [])


def test_duplicates_and_events_out_of_order_change_nothing(deployed: Deployed) -> None:
    told = []
    with deployed.at_work():
        for text in ("old", "newer", "the newest"):
            deployed.objects.upload_blob("a.txt", text, overwrite=True)
            until(lambda text=text: text in deployed.model.asked and deployed.events() == 0)  # type: ignore[misc]
        told = [{**message, "result": None} for message in deployed.take("results")]
    newest = max(told, key=lambda message: message["sequencer"])
    assert len(deployed.results()) == 3
    events = [_event(message) for message in told]
    # The same events again and again, the oldest last, to several replicas at once.
    for event in [*reversed(events), *reversed(events), events[0]]:
        deployed.send(event)
    with deployed.at_work(4):
        until(lambda: deployed.events() == 0)
    rows = deployed.rows()
    assert (rows["a.txt", "#latest"]["latest"], len(rows)) == (newest["version"], 4)
    assert (len(deployed.model.asked), deployed.told("results"), deployed.told("dead")) == (3, [], [])


def test_of_a_first_event_that_many_get_at_once_there_is_one_result(deployed: Deployed) -> None:
    deployed.model.delay_s = 0.3
    deployed.objects.upload_blob("a.txt", "some")
    until(lambda: deployed.told("events"))
    (event,) = deployed.take("events")
    for _ in range(12):
        deployed.send(event)
    with deployed.at_work(3, CONCURRENCY="4"):
        until(lambda: deployed.events() == 0)
    assert deployed.results() == ["a.txt"]
    assert {json.dumps(message) for message in deployed.take("results")} == {json.dumps(_told(deployed))}


def test_a_table_that_is_out_for_a_while_loses_nothing(deployed: Deployed) -> None:
    deployed.harness.twin.faults.set({"outages": ["table"]})
    for n in range(5):
        deployed.objects.upload_blob(f"{n}.txt", "some")
    with deployed.at_work(2, CONCURRENCY="4"):
        until(lambda: any("pilotlight" in event for event in deployed.told("events")))
        assert deployed.model.asked == []
        deployed.harness.twin.faults.clear()
        until(lambda: deployed.events() == 0)
    assert deployed.results() == [f"{n}.txt" for n in range(5)]
    assert (len(deployed.model.asked), len(deployed.take("results")), deployed.told("dead")) == (5, 5, [])


def test_a_queue_that_is_out_while_it_is_renewed_and_deleted_leaves_one_result(deployed: Deployed) -> None:
    deployed.model.delay_s = 2
    with deployed.at_work(VISIBILITY_S="3"):
        deployed.objects.upload_blob("a.txt", "some")
        until(lambda: deployed.model.asked)
        deployed.harness.twin.faults.set({"outages": ["queue"]})
        time.sleep(4)
        deployed.harness.twin.faults.clear()
        until(lambda: deployed.events() == 0)
    assert (deployed.results(), deployed.told("dead")) == (["a.txt"], [])
    assert len({json.dumps(message) for message in deployed.take("results")}) == 1


def test_what_a_killed_replica_had_is_recorded_once_by_another_one(deployed: Deployed, tmp_path: Path) -> None:
    deployed.model.delay_s = 3
    with deployed.model.served() as address:
        told = deployed.variables(ENDPOINT_URL=address, VISIBILITY_S="4", CONCURRENCY="8")
        with running(tmp_path, ready=False, module=ROLE, **told) as killed:
            for n in range(6):
                deployed.objects.upload_blob(f"{n}.txt", "x" * (n + 1))
            until(lambda: len(deployed.model.asked) == 6)
            killed.process.kill()
            killed.process.wait()
        assert deployed.results() == []
        deployed.model.delay_s = 0
        with running(tmp_path, ready=False, module=ROLE, **told) as second:
            until(lambda: deployed.events() == 0)
            second.process.send_signal(signal.SIGTERM)
            assert second.process.wait(timeout=30) == 0
    assert deployed.results() == [f"{n}.txt" for n in range(6)]
    assert (len(deployed.take("results")), deployed.told("dead")) == (6, [])


def test_what_gets_no_result_is_a_dead_letter_that_can_be_put_back(deployed: Deployed) -> None:
    with deployed.at_work():
        deployed.objects.upload_blob("bad.txt", b"\xff")
        until(lambda: deployed.told("dead"))
        deployed.objects.upload_blob("gone.txt", "x" * 20)
        until(lambda: deployed.events() == 0)
        (letter,) = deployed.take("dead")
        assert (letter["reason"], letter["attempts"], letter["permanent"]) == ("The object is not UTF-8: byte 0 is 0xff.", 1, True)
        assert letter["event"]["subject"].endswith("/blobs/bad.txt")
        deployed.send(letter["event"])
        until(lambda: deployed.told("dead"))
    (again,) = deployed.told("dead")
    assert again["messageId"] != letter["messageId"]
    assert {**again, "at": "", "messageId": ""} == {**letter, "at": "", "messageId": ""}


def _told(deployed: Deployed) -> dict[str, object]:
    """The message of the one result that there is."""
    ((_, row),) = [(id_, row) for id_, row in deployed.rows().items() if id_[1] != "#latest"]
    kept = ("object", "version", "sequencer", "objectEtag", "size", "task", "at", "requestId")
    return {"etag" if name == "objectEtag" else name: row[name] for name in kept} | {"result": json.loads(row["result"])}


def _event(message: dict[str, object]) -> dict[str, object]:
    """The event of a result, as Event Grid sent it."""
    data = {"api": "PutBlob", "eTag": message["etag"], "contentLength": message["size"], "sequencer": message["sequencer"]}
    subject = f"/blobServices/default/containers/objects/blobs/{str(message['object']).removeprefix('objects/')}"
    return {"id": "again", "eventType": "Microsoft.Storage.BlobCreated", "subject": subject, "data": data}
