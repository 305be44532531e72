"""Google's own Firestore client, unchanged, at the twin's Firestore."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter, Or

from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.firestore import FirestoreService, TimeToLive
from tests.parts.twin.gcp.google_ports import Loop

PROJECT, DATABASE = "tried-project", "results"
FULL = f"projects/{PROJECT}/databases/{DATABASE}"
QUICK: dict[str, Any] = {"timeout": 10, "retry": None}


class Twin:
    """A Firestore with one database, at which the service account `reader@x.y` may read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.loop = folder, Loop()
        self.expiring: list[TimeToLive] = []
        self.out = False
        self.start()

    def start(self) -> None:
        path, allowed = self.folder / "firestore.sqlite3", self._allowed
        self.service = FirestoreService(path, self.loop.timers, allowed, FULL.__eq__, lambda: self.expiring, out=lambda: self.out)
        self.loop.wait(self.service.start())

    def stop(self) -> None:
        self.loop.wait(self.service.close())

    def client(self, email: str | None = None, database: str = DATABASE) -> firestore.Client:
        port = self.loop.wait(self.service.front.port(Caller(email)))
        os.environ["FIRESTORE_EMULATOR_HOST"] = f"127.0.0.1:{port}"
        return firestore.Client(project=PROJECT, database=database)

    @staticmethod
    def _allowed(email: str | None, permission: str, resource: str) -> str | None:
        if email is None or permission in ("datastore.entities.get", "datastore.entities.list"):
            return None
        return f"{email} may not {permission} on {resource}."


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "")
    made = Twin(tmp_path)
    yield made
    made.stop()
    made.loop.close()


@pytest.fixture
def client(twin: Twin) -> firestore.Client:
    return twin.client()


def test_a_document_is_written_read_changed_and_deleted(client: firestore.Client) -> None:
    document = client.document("people/ada")
    assert not document.get(**QUICK).exists
    value = {"name": "Ada", "born": 1815, "alive": False, "tags": ["a", 1.5, None], "at": datetime(2026, 1, 1, tzinfo=UTC), "raw": b"\0"}
    written = document.set(value, **QUICK)
    found = document.get(**QUICK)
    assert found.to_dict() == value
    assert found.update_time == written.update_time == found.create_time
    changed = document.update({"home.city": "London", "born": firestore.DELETE_FIELD}, **QUICK)
    found = document.get(**QUICK)
    assert found.to_dict() == {**{k: v for k, v in value.items() if k != "born"}, "home": {"city": "London"}}
    assert found.update_time == changed.update_time > found.create_time
    document.set({"home": {"street": "x"}}, merge=True, **QUICK)
    assert document.get(["home"], **QUICK).to_dict() == {"home": {"city": "London", "street": "x"}}
    document.delete(**QUICK)
    assert not document.get(**QUICK).exists


def test_preconditions_hold(client: firestore.Client) -> None:
    document = client.document("people/ada")
    with pytest.raises(exceptions.NotFound, match="No document to update"):
        document.update({"a": 1}, **QUICK)
    first = document.create({"a": 1}, **QUICK)
    with pytest.raises(exceptions.AlreadyExists, match="Document already exists"):
        document.create({"a": 2}, **QUICK)
    document.update({"a": 3}, option=client.write_option(last_update_time=first.update_time), **QUICK)
    with pytest.raises(exceptions.FailedPrecondition, match="does not match the required base version"):
        document.update({"a": 4}, option=client.write_option(last_update_time=first.update_time), **QUICK)
    with pytest.raises(exceptions.NotFound):
        client.document("people/none").delete(option=client.write_option(exists=True), **QUICK)
    assert document.get(**QUICK).to_dict() == {"a": 3}


def test_a_batch_is_written_wholly_or_not_at_all(client: firestore.Client) -> None:
    client.document("people/ada").set({"a": 1}, **QUICK)
    batch = client.batch()
    batch.set(client.document("people/bob"), {"a": 1})
    batch.create(client.document("people/ada"), {"a": 2})
    with pytest.raises(exceptions.AlreadyExists):
        batch.commit(**QUICK)
    assert not client.document("people/bob").get(**QUICK).exists


def test_transforms_are_calculated_by_the_server(twin: Twin, client: firestore.Client) -> None:
    document = client.document("people/ada")
    document.set({"n": 1, "x": 0.5, "tags": ["a", "b"]}, **QUICK)
    written = document.update(
        {
            "n": firestore.Increment(4),
            "x": firestore.Increment(1),
            "new": firestore.Increment(2),
            "tags": firestore.ArrayUnion(["b", "c"]),
            "at": firestore.SERVER_TIMESTAMP,
            "plain": True,
        },
        **QUICK,
    )
    found = document.get(**QUICK).to_dict() or {}
    assert found == {"n": 5, "x": 1.5, "new": 2, "tags": ["a", "b", "c"], "at": written.update_time, "plain": True}
    assert abs(found["at"].timestamp() - twin.loop.clock.now()) < 5
    document.update({"tags": firestore.ArrayRemove(["a", "c"]), "n": firestore.Maximum(9), "x": firestore.Minimum(9)}, **QUICK)
    assert {k: v for k, v in (document.get(**QUICK).to_dict() or {}).items() if k in "nxtags"} == {"n": 9, "x": 1.5, "tags": ["b"]}


def test_the_clock_is_the_twins(twin: Twin, client: firestore.Client) -> None:
    twin.loop.clock.advance(86_400)
    written = client.document("people/ada").set({"at": firestore.SERVER_TIMESTAMP}, **QUICK)
    assert written.update_time - datetime.now(UTC) > timedelta(hours=23)


def test_a_write_that_changes_nothing_keeps_the_time_of_the_last_change(client: firestore.Client) -> None:
    document = client.document("people/ada")
    assert document.set({"a": 1}, **QUICK).update_time == document.set({"a": 1}, **QUICK).update_time


def test_parallel_transactions_lose_no_increment(client: firestore.Client) -> None:
    document = client.document("counters/one")
    document.set({"n": 0}, **QUICK)

    @firestore.transactional
    def increment(transaction: firestore.Transaction) -> None:
        held = document.get(transaction=transaction).to_dict() or {}
        transaction.update(document, {"n": held["n"] + 1})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: increment(client.transaction()), range(16)))
    assert document.get(**QUICK).to_dict() == {"n": 16}


def test_parallel_increments_without_transactions_lose_none(client: firestore.Client) -> None:
    document, start = client.document("counters/one"), Barrier(16)
    document.set({"n": 0}, **QUICK)

    def increment(_: int) -> None:
        start.wait(10)
        document.update({"n": firestore.Increment(1)}, **QUICK)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(increment, range(16)))
    assert document.get(**QUICK).to_dict() == {"n": 16}


def test_a_transaction_whose_reads_have_changed_is_aborted(client: firestore.Client) -> None:
    document, others = client.document("people/ada"), client.collection("others")
    document.set({"a": 1}, **QUICK)
    transaction = client.transaction()
    transaction._begin()
    document.get(transaction=transaction, **QUICK)
    document.set({"a": 2}, **QUICK)
    transaction.set(document, {"a": 3})
    with pytest.raises(exceptions.Aborted, match="contention"):
        transaction._commit()
    transaction = client.transaction()
    transaction._begin()
    assert list(others.where(filter=FieldFilter("a", ">", 1)).stream(transaction=transaction, **QUICK)) == []
    others.document("new").set({"a": 2}, **QUICK)
    transaction.set(document, {"a": 3})
    with pytest.raises(exceptions.Aborted):
        transaction._commit()
    assert document.get(**QUICK).to_dict() == {"a": 2}


def test_a_transaction_that_is_rolled_back_or_too_old_is_gone(twin: Twin, client: firestore.Client) -> None:
    document = client.document("people/ada")
    for end in ("rollback", "time"):
        transaction = client.transaction()
        transaction._begin()
        transaction.set(document, {"a": 3})
        if end == "rollback":
            id_ = transaction._id
            client._firestore_api.rollback(request={"database": FULL, "transaction": id_})
        else:
            twin.loop.clock.advance(61)
        with pytest.raises(exceptions.InvalidArgument, match="no longer valid"):
            transaction._commit()


def test_queries(client: firestore.Client) -> None:
    people = client.collection("people")
    for number in range(6):
        people.document(f"p{number}").set({"n": number, "even": number % 2 == 0, "tags": [f"t{number}", "all"]}, **QUICK)
    people.document("text").set({"n": "3"}, **QUICK)
    client.document("people/p1/people/inner").set({"n": 3}, **QUICK)

    def ids(query: Any) -> list[str]:
        return [found.id for found in query.stream(**QUICK)]

    def where(*condition: Any) -> Any:
        return people.where(filter=FieldFilter(*condition))

    assert ids(where("even", "==", True)) == ["p0", "p2", "p4"]
    assert ids(where("n", ">", 3)) == ["p4", "p5"]
    assert ids(where("n", ">=", 3).where(filter=FieldFilter("n", "<", 5))) == ["p3", "p4"]
    assert ids(where("n", "in", [1, 5, "3"])) == ["p1", "p5", "text"]
    assert ids(where("n", "!=", 3)) == ["p0", "p1", "p2", "p4", "p5", "text"]
    assert ids(where("tags", "array_contains", "t2")) == ["p2"]
    assert ids(where("even", "==", True).order_by("n", direction="DESCENDING").limit(2)) == ["p4", "p2"]
    assert ids(people.order_by("n").start_after({"n": 3}).limit(3)) == ["p4", "p5", "text"]
    assert ids(people.order_by("n").start_at({"n": 1}).end_before({"n": 3})) == ["p1", "p2"]
    assert ids(people.order_by("even").offset(3)) == ["p0", "p2", "p4"]
    assert ids(people.where(filter=Or([FieldFilter("n", "==", 0), FieldFilter("n", "==", "3")]))) == ["p0", "text"]
    assert ids(client.collection_group("people").where(filter=FieldFilter("n", "==", 3))) == ["inner", "p3"]
    assert [found.to_dict() for found in where("n", "==", 2).select(["even"]).stream(**QUICK)] == [{"even": True}]
    results = where("n", "<", 3).count("c").sum("n", "s").avg("n", "a").get(**QUICK)[0]
    assert {one.alias: one.value for one in results} == {"c": 3, "s": 3, "a": 1.0}
    with pytest.raises(exceptions.InvalidArgument, match="1 to 30 values"):
        ids(where("n", "in", list(range(31))))


def test_documents_and_collections_are_listed(client: firestore.Client) -> None:
    for path in ("people/a", "people/b", "people/missing/pets/dog", "places/x"):
        client.document(path).set({}, **QUICK)
    assert [one.id for one in client.collection("people").list_documents(page_size=2, **QUICK)] == ["a", "b", "missing"]
    assert [one.id for one in client.collections(**QUICK)] == ["people", "places"]
    assert [one.id for one in client.document("people/missing").collections(**QUICK)] == ["pets"]


def test_many_writes_that_do_not_hang_together(client: firestore.Client) -> None:
    client.document("people/b").set({}, **QUICK)
    writer = client.bulk_writer()
    failed: list[int] = []
    writer.on_write_error(lambda failure, _: failed.append(failure.code) or False)  # type: ignore[func-returns-value]
    writer.create(client.document("people/a"), {"n": 1})
    writer.create(client.document("people/b"), {"n": 2})
    writer.close()
    assert client.document("people/a").get(**QUICK).to_dict() == {"n": 1}
    assert client.document("people/b").get(**QUICK).to_dict() == {}
    assert failed == [6]


def test_a_document_may_have_a_mebibyte(client: firestore.Client) -> None:
    document = client.document("c/d")
    # Name: (1 + 1) + (1 + 1) + 16; field: 1 + 1, and the text's own 1; 32 for the document (Google's formula).
    most = 1_048_576 - 20 - 3 - 32
    document.set({"t": "x" * most}, **QUICK)
    with pytest.raises(exceptions.InvalidArgument, match=r"1,048,577 bytes\) exceeds the maximum allowed size of 1,048,576"):
        document.set({"t": "x" * (most + 1)}, **QUICK)


def test_what_has_expired_is_deleted(twin: Twin, client: firestore.Client) -> None:
    twin.expiring.append(TimeToLive(database=FULL, collection="people", field="expires", offset_s=60))
    soon = datetime.fromtimestamp(twin.loop.clock.now() + 3600, UTC)
    client.document("people/soon").set({"expires": soon}, **QUICK)
    client.document("people/late").set({"expires": soon + timedelta(days=2)}, **QUICK)
    client.document("people/text").set({"expires": "2020-01-01"}, **QUICK)
    client.document("others/soon").set({"expires": soon}, **QUICK)
    twin.loop.forward(3605)
    assert client.document("people/soon").get(**QUICK).exists
    twin.loop.forward(3600)
    assert [one.id for one in client.collection("people").stream(**QUICK)] == ["late", "text"]
    assert client.document("others/soon").get(**QUICK).exists


def test_everything_is_there_after_a_restart(twin: Twin, client: firestore.Client) -> None:
    twin.loop.clock.advance(3600)
    written = client.document("people/ada").set({"a": 1}, **QUICK)
    twin.stop()
    twin.loop.clock = type(twin.loop.clock)()
    twin.start()
    again = twin.client().document("people/ada")
    assert again.get(**QUICK).update_time == written.update_time
    assert again.update({"a": 2}, option=twin.client().write_option(last_update_time=written.update_time), **QUICK)


def test_each_port_is_of_one_identity(twin: Twin, client: firestore.Client) -> None:
    reader = twin.client("reader@x.y")
    assert not reader.document("people/ada").get(**QUICK).exists
    with pytest.raises(exceptions.PermissionDenied, match=f"reader@x.y may not datastore.entities.create on {FULL}"):
        reader.document("people/ada").set({"a": 1}, **QUICK)
    with pytest.raises(exceptions.PermissionDenied, match=r"datastore\.entities\.delete"):
        reader.document("people/ada").delete(**QUICK)
    client.document("people/ada").set({"a": 1}, **QUICK)


def test_a_database_that_is_not_there_and_a_method_that_is_not_served(twin: Twin, client: firestore.Client) -> None:
    with pytest.raises(exceptions.NotFound, match="The database other does not exist for project tried-project"):
        twin.client(database="other").document("a/b").get(**QUICK)
    with pytest.raises(exceptions.MethodNotImplemented, match=r"does not serve google\.firestore.v1\.Firestore/PartitionQuery"):
        list(client.collection_group("people").get_partitions(2, **QUICK))
    with pytest.raises(exceptions.InvalidArgument, match="holds '__x__'"):
        client.document("people/__x__").set({}, **QUICK)


def test_an_outage_that_a_test_asked_for_is_told_as_googles_clients_know_it(twin: Twin, client: firestore.Client) -> None:
    client.document("people/ada").set({"a": 1}, **QUICK)
    twin.out = True
    with pytest.raises(exceptions.ServiceUnavailable):
        client.document("people/ada").get(**QUICK)
    with pytest.raises(exceptions.ServiceUnavailable):
        client.document("people/ada").set({"a": 2}, **QUICK)
    twin.out = False
    assert client.document("people/ada").get(**QUICK).to_dict() == {"a": 1}
