"""Tables of Cosmos DB: what is another than with Azure Storage. Azure's own client beside ours takes `localhost` for it."""

import time

import pytest
from azure.data.tables import TableClient, UpdateMode

from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.entities import Entity
from handlers.functions.azure.event_settings import EventSettings
from handlers.functions.azure.places import Place
from handlers.functions.azure.results import TableResults
from handlers.functions.azure.tables import ANY, Table
from handlers.functions.azure.transactions import Operation, commit
from handlers.functions.environment import SettingsError
from handlers.functions.rest import ATTEMPTS, ApiError
from handlers.functions.versions import ObjectVersion, Result
from tests.parts.handlers.azure.event_world import World
from tests.parts.handlers.azure.test_tables import operations_of

# "Frequently asked questions about Azure Cosmos DB for Table": names that it keeps for itself.
RESERVED = {"id", "rid", "etag", "resourceid"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)


def url_of(azure):
    return azure.url("table").replace("127.0.0.1", "localhost")


@pytest.fixture
def table(azure):
    return Table(url_of(azure), "rows", cosmos=True)


@pytest.fixture
def theirs(azure):
    with TableClient(url_of(azure), "rows", **azure.sdk) as client:
        yield client


def test_tokens_are_for_cosmos_db_and_a_merge_is_a_post(azure, table, theirs):
    entity, told = Entity("p", "r", {"text": "é"}), {"PartitionKey": "p", "RowKey": "r", "text": "é"}
    table.insert(entity)
    assert {query["resource"] for query in azure.identities.asked} == {"https://cosmos.azure.com"}
    del azure.front.seen[:]
    table.merge(entity, etag=ANY)
    theirs.update_entity(told, mode=UpdateMode.MERGE)
    headers = ("x-http-method", "if-match", "x-ms-version")
    assert azure.asked(0, *headers) == azure.asked(1, *headers)
    assert (azure.asked(0, *headers)[0], azure.asked(0, *headers)[3]["x-http-method"]) == ("POST", "MERGE")
    assert theirs.get_entity("p", "r")["text"] == "é"


def test_a_transaction_is_that_of_azures_own_client(azure, table, theirs):
    assert commit(table, [Operation(Entity("p", "new", {"n": 1})), Operation(Entity("p", "other", {"n": 2}))])
    theirs.submit_transaction([("create", {"PartitionKey": "q", "RowKey": row, "n": n}) for n, row in ((1, "new"), (2, "other"))])
    ours, other = (list(operations_of(azure.front.seen[number][2]["content-type"], azure.front.bodies[number])) for number in (-2, -1))
    assert [(line, {**entity, "PartitionKey": "q"}) for line, _, entity in ours] == [(line, entity) for line, _, entity in other] != []


def test_a_refusal_for_too_many_requests_is_waited_out_as_it_asks(azure, table):
    azure.front.said[429] = ({"x-ms-retry-after-ms": "300"}, b'{"odata.error":{"code":"TooManyRequests","message":{"value":"large"}}}')
    azure.front.statuses[:] = [429, 429]
    began = time.monotonic()
    assert commit(table, [Operation(Entity("p", "r", {"n": 1}))])
    assert 0.6 <= time.monotonic() - began < 5
    azure.front.said[429] = ({"Retry-After": "0"}, azure.front.said[429][1])
    azure.front.statuses[:] = [429] * ATTEMPTS
    with pytest.raises(ApiError, match="429 TooManyRequests: large"):
        table.insert(Entity("p", "s", {}))


def test_no_service_is_waited_for_longer_than_whoever_waits_has(monkeypatch):
    from handlers.functions import rest

    waited = []
    monkeypatch.setattr(rest.time, "sleep", waited.append)
    rest.pause(1, asked_s=3600)
    assert 2 <= waited[0] < 3


def test_no_property_of_a_result_has_a_name_that_cosmos_db_keeps(azure):
    world = World(azure)
    large = Place(azure.url("blob"), "results")
    store = TableResults(Table(url_of(azure), "results", cosmos=True), Blobs(azure.url("blob")), large=large, task="t")
    version = ObjectVersion(bucket="b", key="k" * 400, version="0x1", sequencer="1", etag="e", size=1, uri="u", request_id="r")
    store.record([Result(version, "{}")])
    rows = azure.account.tables.tables["results"]
    assert len(rows) == 2
    assert not {name.lower() for row in rows.values() for name in row} & RESERVED
    assert all(len(part.encode()) <= 100 for key in rows for part in key)
    assert world.rows()["b/" + "k" * 400, "0x1"]["etag"] == "e"
    assert store.settled([version])[version.id].kind == "known"


def test_the_role_is_told_who_keeps_the_table(azure):
    world = World(azure)
    assert EventSettings.from_environment(world.variables(RESULTS_TABLE_SERVICE="cosmos")).cosmos
    with pytest.raises(SettingsError, match="RESULTS_TABLE_SERVICE is 'sql': use one of cosmos, storage"):
        EventSettings.from_environment(world.variables(RESULTS_TABLE_SERVICE="sql"))
