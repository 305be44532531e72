"""The clients of the functions and of the model server, as an app with an identity has them, on the twin's storage."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.functions import connections
from handlers.functions.azure import entities
from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.entities import Entity
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.tables import Table
from handlers.functions.azure.transactions import Operation, commit
from handlers.functions.objects import Content
from handlers.functions.rest import ApiError
from pilotlight.twin.azure.types import APP
from pilotlight.twin.world import Resource
from tests.twin.azure.accounts import container, queue, table
from tests.twin.azure.harness import GROUP_ID, AzureHarness

NAME = "kept/in/a b?#%2F+ü服.txt"
ROW = Entity(entities.key("kept/in/a'b ü.txt"), "v'1", {"text": "é'\"", "size": 2**40, "at": 5.0, "many": True, "raw": b"\x00", "n": 1})

_NUMBERS = itertools.count(1)


@pytest.fixture
def who(harness: AzureHarness, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Resource:
    """An identity without roles, which this process has from now on."""
    # A second try of a test finds what the first one made.
    found = harness.identity(f"{request.node.name[:55].replace('_', '-')}-{next(_NUMBERS)}")
    assigned = {found.id: {"principalId": found["principalId"], "clientId": found["clientId"]}}
    id_ = f"{GROUP_ID}/providers/Microsoft.App/containerApps/{found['name']}"
    app = Resource(token=APP, id=id_, urn="", outputs={"identity": {"userAssignedIdentities": assigned}})
    for name, value in {**harness.twin.azure.variables(harness.twin, app), "AZURE_CLIENT_ID": found["clientId"]}.items():
        monkeypatch.setenv(name, value)
    connections._tls.cache_clear()
    return found


def test_blobs(harness: AzureHarness, stored: Resource, who: Resource) -> None:
    container(harness, stored, "kept")
    blobs, body = Blobs(stored["primaryEndpoints"]["blob"]), bytes(range(256)) * 1000
    with pytest.raises(ApiError, match="403 AuthorizationPermissionMismatch") as refusal:
        blobs.open(NAME)
    assert refusal.value.code == "AuthorizationPermissionMismatch"
    harness.grant(who, "Storage Blob Data Contributor", f"{stored.id}/blobServices/default/containers/kept")
    assert blobs.write(NAME, body, content_type="text/plain", only_new=True)
    assert not blobs.write(NAME, b"other", content_type="text/plain", only_new=True)
    with blobs.open(NAME) as found:
        assert (found.size, found.content(max_bytes=1 << 20)) == (len(body), Content(body, "text/plain"))
        etag = found.version
    with blobs.open(NAME, if_match=etag) as found:
        assert found.read(1000) == body[:1000]
        found._open.close()
        found._answer = found._again()
        assert found.whole() == body[1000:]
    assert blobs.write(NAME, b"", content_type="text/plain")
    for name, which, code in [(NAME, etag, "ConditionNotMet"), ("kept/none", None, "BlobNotFound")]:
        with pytest.raises(ApiError, match=code):
            blobs.open(name, if_match=which)


def test_queues(harness: AzureHarness, stored: Resource, who: Resource) -> None:
    queue(harness, stored, "tasks")
    tasks = Queue(stored["primaryEndpoints"]["queue"], "tasks")
    harness.grant(who, "Storage Queue Data Contributor", f"{stored.id}/queueServices/default/queues/tasks")
    tasks.put(b"\x00<a&b>", keep_s=3600)
    tasks.put(b"later", unseen_s=60)
    assert [each.body for each in tasks.peek(9)] == [b"\x00<a&b>"]
    (taken,) = tasks.get(unseen_s=60)
    assert (taken.body, taken.attempt, tasks.get(unseen_s=60)) == (b"\x00<a&b>", 1, [])
    put_off = tasks.put_off(taken, unseen_s=0)
    assert put_off
    assert not tasks.delete(taken)
    assert tasks.put_off(taken, unseen_s=60) is None
    (again,) = tasks.get(unseen_s=60)
    assert (again.id, again.attempt, tasks.delete(again), tasks.delete(again)) == (taken.id, 2, True, False)


def test_tables(harness: AzureHarness, stored: Resource, who: Resource) -> None:
    table(harness, stored, "rows")
    rows = Table(stored["primaryEndpoints"]["table"], "rows")
    harness.grant(who, "Storage Table Data Contributor", stored.id)
    etag = rows.insert(ROW)
    assert rows.insert(ROW) is None
    assert rows.get(ROW.partition, ROW.row) == Entity(ROW.partition, ROW.row, ROW.properties, etag or "")
    changed = rows.merge(Entity(ROW.partition, ROW.row, {"n": 2}), etag=etag or "")
    assert changed
    assert rows.replace(Entity(ROW.partition, ROW.row, {"n": 3}), etag=etag or "") is None
    assert (found := rows.get(ROW.partition, ROW.row, only=["n"]))
    assert (found.properties, found.etag) == ({"n": 2}, changed)
    assert not rows.delete(ROW.partition, ROW.row, etag=etag or "")
    assert rows.delete(ROW.partition, ROW.row)
    assert rows.get(ROW.partition, ROW.row) is None
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: rows.insert(Entity("p", "race", {"n": number})), range(16)))
    assert sum(each is not None for each in made) == 1
    result = entities.in_parts("result", "v" * 250_000)
    assert rows.insert(Entity("p", "large", result))
    assert (large := rows.get("p", "large"))
    assert entities.of_parts("result", large.properties) == "v" * 250_000
    with pytest.raises(ApiError, match="404 TableNotFound"):
        Table(rows.url, "none").insert(ROW)


def test_transactions(harness: AzureHarness, stored: Resource, who: Resource) -> None:
    table(harness, stored, "together")
    rows = Table(stored["primaryEndpoints"]["table"], "together")
    harness.grant(who, "Storage Table Data Contributor", f"{stored.id}/tableServices/default/tables/together")
    made = commit(rows, [Operation(Entity("p", "v1", {"n": "é"})), Operation(Entity("p", "latest", {"of": "v1"}))])
    assert made
    assert made == [found.etag for row in ("v1", "latest") if (found := rows.get("p", row))]
    stale = Operation(Entity("p", "latest", {"of": "v2"}), etag=made[0])
    assert commit(rows, [Operation(Entity("p", "v2", {})), stale]) is None
    assert rows.get("p", "v2") is None
    assert commit(rows, [Operation(Entity("p", "v2", {})), Operation(Entity("p", "latest", {"of": "v2"}), etag=made[1])])
    assert (latest := rows.get("p", "latest"))
    assert latest.properties == {"of": "v2"}
