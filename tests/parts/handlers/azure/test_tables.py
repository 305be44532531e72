"""Tables over the REST API: writers who know nothing of each other, and answers that are lost; Azure's own client beside ours."""

import json
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes

import pytest
from azure.core import MatchConditions
from azure.data.tables import TableClient, UpdateMode

from handlers.functions.azure import entities, transactions
from handlers.functions.azure.entities import Entity, EntityError
from handlers.functions.azure.tables import ANY, Table
from handlers.functions.azure.transactions import Operation, commit
from handlers.functions.rest import ATTEMPTS, ApiError

ROW = Entity(entities.key("objects/in/a'b ü.txt"), "v'1", {"text": "é'\"", "size": 2**40, "at": 5.0, "many": True, "raw": b"\x00"})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)


@pytest.fixture
def table(azure):
    return Table(azure.url("table"), "rows")


@pytest.fixture
def theirs(azure):
    with TableClient(azure.url("table"), "rows", **azure.sdk) as client:
        yield client


def as_theirs(entity, **more):
    sized = {name: (value, "Edm.Int64") if name == "size" else value for name, value in entity.properties.items()}
    return {"PartitionKey": entity.partition, "RowKey": entity.row, **sized, **more}


def test_azures_own_client_reads_what_we_store_and_we_what_it_stores(azure, table, theirs):
    etag = table.insert(ROW)
    found = theirs.get_entity(ROW.partition, ROW.row)
    assert (found["text"], found["size"].value, found["at"], found["many"], found["raw"]) == ("é'\"", 2**40, 5.0, True, b"\x00")
    assert found.metadata["etag"] == etag == table.get(ROW.partition, ROW.row).etag
    assert table.delete(ROW.partition, ROW.row)
    theirs.create_entity(as_theirs(ROW))
    assert table.get(ROW.partition, ROW.row).properties == ROW.properties


def test_requests_are_those_of_azures_own_client(azure, table, theirs):
    conditions, entity = ("if-match",), Entity("p", "r", {"text": "é"})

    def same(ours, other):
        del azure.front.seen[:], azure.front.bodies[:]
        ours()
        other()
        assert azure.asked(0, *conditions) == azure.asked(1, *conditions)
        assert not azure.front.bodies[0] or json.loads(azure.front.bodies[0])["text"] == json.loads(azure.front.bodies[1])["text"]

    with pytest.raises(Exception, match="EntityAlreadyExists"):
        same(lambda: table.insert(entity), lambda: theirs.create_entity(as_theirs(entity)))
    assert azure.asked(0, *conditions) == azure.asked(1, *conditions)
    same(lambda: table.get("p", "r"), lambda: theirs.get_entity("p", "r"))
    same(lambda: table.put(entity), lambda: theirs.upsert_entity(as_theirs(entity), mode=UpdateMode.REPLACE))
    same(lambda: table.replace(entity, etag=ANY), lambda: theirs.update_entity(as_theirs(entity), mode=UpdateMode.REPLACE))
    same(lambda: table.merge(entity, etag=ANY), lambda: theirs.update_entity(as_theirs(entity), mode=UpdateMode.MERGE))
    etag = table.get("p", "r").etag
    how = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    with pytest.raises(Exception, match="UpdateConditionNotSatisfied"):
        same(lambda: table.merge(entity, etag=etag), lambda: theirs.update_entity(as_theirs(entity), mode=UpdateMode.MERGE, **how))
    assert azure.asked(0, *conditions) == azure.asked(1, *conditions)


def test_of_many_who_insert_one_wins(table):
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: table.insert(Entity("p", "r", {"n": number})), range(32)))
    assert sum(each is not None for each in made) == 1
    assert table.get("p", "r").properties == {"n": next(number for number, each in enumerate(made) if each)}


def test_of_many_who_count_nobody_is_lost(table):
    table.insert(Entity("p", "r", {"n": 0}))

    def count(_):
        while True:
            found = table.get("p", "r")
            if table.replace(Entity("p", "r", {"n": found.properties["n"] + 1}), etag=found.etag):
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(64)))
    assert table.get("p", "r").properties == {"n": 64}


def test_a_change_keeps_to_its_condition(table):
    first = table.insert(Entity("p", "r", {"a": 1, "b": 2}))
    second = table.merge(Entity("p", "r", {"b": 3}), etag=first)
    assert table.get("p", "r") == Entity("p", "r", {"a": 1, "b": 3}, second)
    assert table.get("p", "r", only=["b"]).properties == {"b": 3}
    assert table.merge(Entity("p", "r", {"b": 4}), etag=first) is None
    assert table.replace(Entity("p", "r", {"c": 5}), etag=first) is None
    assert not table.delete("p", "r", etag=first)
    third = table.replace(Entity("p", "r", {"c": 5}), etag=second)
    assert table.get("p", "r") == Entity("p", "r", {"c": 5}, third)
    assert table.delete("p", "r", etag=third)
    assert table.delete("p", "r")
    assert table.get("p", "r") is None
    assert table.merge(Entity("p", "r", {"b": 4}), etag=ANY) is None
    assert table.put(Entity("p", "r", {"d": 1})) == table.get("p", "r").etag


def test_a_table_that_is_not_there_is_no_row_that_is_not_there(azure):
    table = Table(azure.url("table"), "none")
    for call in (
        lambda: table.get("p", "r"),
        lambda: table.insert(ROW),
        lambda: table.delete("p", "r"),
        lambda: table.merge(ROW, etag=ANY),
    ):
        with pytest.raises(ApiError, match="404 TableNotFound: Told so"):
            call()


def test_an_answer_that_was_expected_leaves_its_connection_open(azure, table):
    etag = table.insert(ROW)
    (kept,) = table.api._server._idle
    assert table.get("p", "none") is None
    assert table.insert(ROW) is None
    assert table.replace(ROW, etag='W/"another"') is None
    assert table.delete(ROW.partition, ROW.row, etag='W/"another"') is False
    assert table.api._server._idle == [kept]
    # What was not read to its end carries the rest of an answer.
    azure.front.statuses, azure.front.said = [403], {403: ({}, b"x" * 100_000)}
    with pytest.raises(ApiError, match="403"):
        table.get("p", "none")
    assert table.api._server._idle == []
    assert table.get(ROW.partition, ROW.row).etag == etag


LOSSES = ["answer lost", "500 after it was done"]


@pytest.fixture(params=LOSSES)
def loses(azure, request):
    """Lets the answer to the next write be lost, or be another one."""

    def lose():
        if request.param == LOSSES[0]:
            azure.front.lost[:] = [True]
        else:
            kept = azure.front.change

            def broken(body):
                azure.front.change = kept
                raise ConnectionError("told to fail")

            azure.front.change = broken

    return lose


def test_a_write_whose_answer_was_lost_is_known_as_ours(table, loses):
    loses()
    etag = table.insert(ROW)
    assert etag == table.get(ROW.partition, ROW.row).etag
    loses()
    etag = table.merge(Entity(ROW.partition, ROW.row, {"more": 1}), etag=etag)
    assert etag == table.get(ROW.partition, ROW.row).etag
    loses()
    assert table.replace(Entity(ROW.partition, ROW.row, {"only": 1}), etag=etag) == table.get(ROW.partition, ROW.row).etag
    loses()
    assert table.delete(ROW.partition, ROW.row)
    loses()
    assert commit(table, [Operation(Entity("q", "a", {"n": 1})), Operation(Entity("q", "b", {"n": 2}))]) == [
        table.get("q", row).etag for row in "ab"
    ]


def test_a_write_of_somebody_else_is_not_taken_for_ours(azure, table):
    etag = table.insert(Entity("p", "r", {"n": 1}))
    # Busy tells that nothing was done, anything else that something may have been.
    for status in (503, 500):
        azure.front.statuses[:] = [status]
        assert table.insert(Entity("p", "r", {"n": 2})) is None
        azure.front.statuses[:] = [status]
        assert table.replace(Entity("p", "r", {"n": 2}), etag='W/"another"') is None
        azure.front.statuses[:] = [status]
        assert commit(table, [Operation(Entity("p", "s", {})), Operation(Entity("p", "r", {"n": 2}))]) is None
    azure.front.statuses[:] = [503]
    assert table.insert(Entity("p", "r", {"n": 1})) is None
    assert table.get("p", "r") == Entity("p", "r", {"n": 1}, etag)


def test_a_service_that_stays_busy_is_told(azure, table):
    azure.front.statuses[:] = [503] * ATTEMPTS
    with pytest.raises(ApiError, match="503"):
        table.insert(ROW)
    assert table.get(ROW.partition, ROW.row) is None


def test_a_transaction_stores_all_or_nothing(table):
    made = commit(table, [Operation(Entity("p", "v1", {"n": "é"})), Operation(Entity("p", "latest", {"of": "v1"}))])
    assert made == [table.get("p", row).etag for row in ("v1", "latest")]
    for latest in (Operation(Entity("p", "latest", {"of": "v2"})), Operation(Entity("p", "latest", {"of": "v2"}), etag='W/"x"')):
        assert commit(table, [Operation(Entity("p", "v2", {"n": 2})), latest]) is None
        assert table.get("p", "v2") is None
    done = commit(table, [Operation(Entity("p", "v2", {"n": 2})), Operation(Entity("p", "latest", {"of": "v2"}), etag=made[1])])
    assert (len(done), table.get("p", "latest").properties) == (2, {"of": "v2"})
    assert commit(table, [Operation(Entity("p", "latest", {"of": "v3"}), whatever=True)])
    assert table.get("p", "latest").properties == {"of": "v3"}


def shortened(body, answers):
    """The answer to a transaction with so many of those to its operations."""
    head, *parts = body.split(b"--changesetresponse_1\r\n")
    ends = b"--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    return b"--changesetresponse_1\r\n".join([head, *parts[:answers]]) + ends


@pytest.mark.parametrize("answers", [0, 1])
def test_a_transaction_that_is_not_answered_whole_is_looked_for(azure, table, answers):
    kept = azure.front.change

    def shorten(body):
        azure.front.change = kept
        return shortened(body, answers)

    azure.front.change = shorten
    made = commit(table, [Operation(Entity("p", "a", {"n": 1})), Operation(Entity("p", "b", {"n": 2}))])
    assert made == [table.get("p", row).etag for row in "ab"]
    # And one of somebody else's is not taken for ours.
    azure.front.change = shorten
    azure.front.guard = lambda headers: table_is_taken(azure)
    assert commit(table, [Operation(Entity("q", "a", {"n": 1})), Operation(Entity("q", "b", {"n": 2}))]) is None


def table_is_taken(azure):
    """Between the two times that the transaction is sent others store one of its entities."""
    if [path for _, path, _ in azure.front.seen].count("/table/mine/$batch") == 4:
        azure.account.tables.tables["rows"]["q", "a"] = {"PartitionKey": "q", "RowKey": "a", "n": 7}


def test_a_good_answer_that_tells_nothing_is_no_transaction(azure, table):
    operations = [Operation(Entity("p", "a")), Operation(Entity("p", "b"))]
    azure.front.statuses, azure.front.said = [202], {202: ({"Content-Type": "multipart/mixed; boundary=b"}, b"--b--\r\n")}
    assert commit(table, operations) == [table.get("p", row).etag for row in "ab"]
    azure.front.statuses[:] = [202] * ATTEMPTS
    with pytest.raises(ApiError, match=r"The answer is for 0 of 2 operations\.") as refusal:
        commit(table, operations)
    assert refusal.value.passes


def operations_of(content_type, body):
    whole = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    for part in whole.walk():
        if part.get_content_type() == "application/http":
            line, _, rest = part.get_payload(decode=True).partition(b"\r\n")
            asked = message_from_bytes(rest)
            entity = json.loads(asked.get_payload(decode=True))
            # A type that the value tells by itself.
            yield line, asked["If-Match"], {name: value for name, value in entity.items() if value != "Edm.String"}


def test_a_transaction_is_that_of_azures_own_client(azure, table, theirs):
    etag = table.insert(Entity("p", "old", {"n": 1}))
    new, changed = Entity("p", "new", {"n": 1}), Entity("p", "old", {"n": 2})
    how = {"etag": etag, "match_condition": MatchConditions.IfNotModified, "mode": UpdateMode.REPLACE}
    theirs.submit_transaction([("create", as_theirs(new)), ("update", as_theirs(changed), how)])
    azure.front.statuses[:] = [400]
    with pytest.raises(ApiError, match="refused with 400"):
        commit(table, [Operation(new), Operation(changed, etag=etag)])
    other, ours = (list(operations_of(azure.front.seen[number][2]["content-type"], azure.front.bodies[number])) for number in (-2, -1))
    assert ours == other != []
    assert azure.asked(-1) == azure.asked(-2)


def test_what_a_transaction_can_not_be_is_told(azure, table):
    several = "entities of several partitions, or one of them twice"
    for operations, told in (
        ([], "has 0 operations: 1 to 100"),
        ([Operation(Entity("p", str(number))) for number in range(101)], "has 101 operations"),
        ([Operation(Entity("p", "a")), Operation(Entity("q", "a"))], several),
        ([Operation(Entity("p", "a")), Operation(Entity("p", "a"))], several),
        ([Operation(Entity("p", f"r{number}", entities.in_parts("t", "a" * 300_000))) for number in range(15)], "bytes: 4194304 are"),
    ):
        with pytest.raises(EntityError, match=told):
            commit(table, operations)
    assert azure.front.seen == []


def test_a_transaction_that_fails_otherwise_is_told_in_the_services_words(azure, table):
    with pytest.raises(ApiError, match="404 TableNotFound: 0:Told so") as refusal:
        commit(Table(azure.url("table"), "none"), [Operation(ROW)])
    assert (refusal.value.status, refusal.value.code) == (404, "TableNotFound")
    with pytest.raises(ApiError, match="None: no answer of any kind"):
        transactions._etag(b"\r\nno answer of any kind")
