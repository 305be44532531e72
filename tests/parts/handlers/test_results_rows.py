"""Rows, large results and messages over moto: each written once, sent at least once, whatever happens in between."""

import json

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from handlers.functions.aws import outbox, results, rows, transactions
from handlers.functions.aws.clients import Clients
from handlers.functions.aws.outbox import Outbox
from handlers.functions.aws.results import TableResults
from handlers.functions.aws.s3_events import created
from handlers.functions.outcomes import Unavailable
from handlers.functions.versions import Result
from tests.parts.handlers.event_world import RESULTS_BUCKET, TABLE, Context, batch, failed, message, world


@pytest.fixture
def aws():
    with world() as made:
        yield made


def store_of(aws, *, sends=False, **clients):
    dynamodb, sqs = clients.get("dynamodb", aws.dynamodb), clients.get("sqs", aws.sqs)
    box = Outbox(sqs, dynamodb, queue_url=aws.queue_url, table=TABLE) if sends else None
    return TableResults(dynamodb, aws.s3, table=TABLE, bucket=RESULTS_BUCKET, task="sentence-embedding", outbox=box)


def row_of(**values):
    plain = {"object": "o", "version": "v", "sequencer": "0", "etag": "", "size": 1, "task": "t", "at": "", "request_id": "r"}
    return rows.Row(**plain | values)


def version_of(aws, key="a.txt", text="some text"):
    (version,) = created(json.dumps({"Records": [aws.put(key, text)]}), "message")
    return version


class Failing:
    """A client whose calls of one operation fail `times` times, before or after they had their effect."""

    def __init__(self, client, operation, error, *, times=1, after=False):
        self._client, self._operation, self._error, self._times, self._after = client, operation, error, times, after

    def __getattr__(self, name):
        call = getattr(self._client, name)
        if name != self._operation or not self._times:
            return call
        self._times -= 1

        def failing(**arguments):
            if self._after:
                call(**arguments)
            raise self._error

        return failing


def cancelled(*codes):
    reasons = [{"Code": code} for code in codes]
    response = {"Error": {"Code": "TransactionCanceledException", "Message": "cancelled"}, "CancellationReasons": reasons}
    return ClientError(response, "TransactWriteItems")


def test_a_batch_of_results_is_one_transaction_and_one_message_of_each(aws, monkeypatch):
    calls = []
    monkeypatch.setattr(transactions, "transact", lambda client, actions: calls.append(len(actions)) or [])
    found = [Result(version_of(aws, f"{index}.txt"), '{"outputs":1}') for index in range(60)]
    assert {outcome.kind for outcome in store_of(aws).record(found).values()} == {"recorded"}
    assert sorted(calls) == [20, 100]


def test_large_results_are_split_over_transactions_by_their_bytes():
    assert [len(part) for part in transactions.chunks([row_of(result="x" * 250_000)] * 30)] == [12, 12, 6]


def test_a_row_that_is_there_is_left_as_it_is(aws):
    version, store = version_of(aws), store_of(aws)
    assert store.record([Result(version, '{"outputs":1}')])[version.id].kind == "recorded"
    assert store.record([Result(version, '{"outputs":2}')])[version.id].kind == "known"
    assert aws.rows()["a.txt", version.version]["result"] == '{"outputs":1}'


def test_among_rows_that_are_there_the_others_are_written_and_only_newest_versions_are_pointed_to(aws):
    store = store_of(aws)
    old, new = version_of(aws), version_of(aws)
    others = [version_of(aws, f"{index}.txt") for index in range(4)]
    store.record([Result(version, "1") for version in (new, others[0], others[2])])
    ended = store.record([Result(version, "2") for version in (*others, old)])
    assert [ended[version.id].kind for version in (*others, old)] == ["known", "recorded", "known", "recorded", "recorded"]
    assert {key for key, name in aws.rows() if name == "#latest"} == {"a.txt", *(f"{index}.txt" for index in range(4))}
    assert aws.rows()["a.txt", "#latest"]["latest"] == new.version


def test_a_result_that_fits_no_row_is_an_object_and_row_and_message_name_it(aws):
    version, body = version_of(aws), '{"outputs":"' + "x" * results.INLINE_BYTES + '"}'
    assert store_of(aws, sends=True).record([Result(version, body)])[version.id].kind == "recorded"
    row, (sent,) = aws.rows()["a.txt", version.version], aws.sent()
    bucket, _, key = row["resultUri"].removeprefix("s3://").partition("/")
    assert aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() == body
    assert (sent["resultUri"], "result" in sent, "result" in row) == (row["resultUri"], False, False)


def test_a_message_holds_what_its_row_holds_and_the_result_as_a_value(aws):
    version = version_of(aws, 'in/"ä".txt')
    store_of(aws, sends=True).record([Result(version, '{"outputs":[0.1000]}')])
    row, (sent,) = aws.rows()['in/"ä".txt', version.version], aws.sent()
    assert sent.pop("result") == {"outputs": [0.1]}
    assert sent == {name: row[name] for name in ("object", "version", "sequencer", "etag", "task", "at", "requestId")} | {"size": 9}
    assert row["published"] is True


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\x01", "\x7f", "\U0001f600"])
def test_a_message_holds_no_character_that_sqs_would_refuse_or_replace(character):
    sent = outbox.message(row_of(object=f"o/{character}", result=f'{{"outputs":"{character}"}}' if character > "\x1f" else "1"))
    # SQS API reference, SendMessage: the characters that a message may hold.
    assert all(each in "\t\n\r" or " " <= each <= "\ud7ff" or "\ue000" <= each <= "\ufffd" or each >= "\U00010000" for each in sent)
    assert json.loads(sent)["object"] == f"o/{character}"


def test_the_largest_result_in_a_row_fits_a_message_whatever_its_key(aws):
    body = '{"outputs":"' + "x" * (results.INLINE_BYTES - 14) + '"}'
    longest = {"version": "v" * 1024, "sequencer": "0" * 64, "size": 1 << 40, "task": "t" * 40, "at": "a" * 20, "request_id": "r" * 128}
    row = row_of(object="o/" + "\x01" * 1024, etag="e" * 40, result=body, **longest)
    assert len(body) == results.INLINE_BYTES
    assert len(outbox.message(row).encode()) <= outbox.MAX_BYTES


def test_messages_go_by_tens_and_by_their_bytes():
    assert [len(part) for part in outbox._batches([row_of(result="1")] * 23)] == [10, 10, 3]
    assert [len(part) for part in outbox._batches([row_of(result="x" * 100_000)] * 5)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("service", "operation"), [("sqs", "send_message_batch"), ("dynamodb", "transact_write_items"), ("dynamodb", "batch_get_item")]
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whatever_call_fails_a_second_delivery_ends_with_one_row_and_its_message(aws, service, operation, after):
    error = ReadTimeoutError(endpoint_url="there")
    clients = {service: Failing(getattr(aws, service), operation, error, after=after)}
    event = batch(message(body=json.dumps({"Records": [aws.put("b.txt")]})))
    made = {name: clients.get(name, getattr(aws, name)) for name in ("s3", "dynamodb", "sqs")}
    function = aws.function(results="table,queue", clients=Clients(**made, pauses=aws.sqs))
    assert len(failed(function.handle(event, Context()))) == 1
    assert failed(function.handle(event, Context())) == []
    row = next(row for (key, name), row in aws.rows().items() if key == "b.txt" and name != "#latest")
    assert row["published"] is True
    assert {sent["version"] for sent in aws.sent()} == {row["version"]}


def test_a_message_that_could_not_be_marked_is_sent_again(aws):
    version = version_of(aws)
    # The first transaction writes the row, the second one marks it.
    calls = iter([False, True])

    class Marking(Failing):
        def __getattr__(self, name):
            return super().__getattr__(name) if name == self._operation and next(calls, False) else getattr(self._client, name)

    broken = Marking(aws.dynamodb, "transact_write_items", ReadTimeoutError(endpoint_url="there"))
    store = store_of(aws, sends=True, dynamodb=broken)
    assert store.record([Result(version, "1")])[version.id].kind == "failed"
    assert store.settled([version])[version.id].kind == "known"
    assert [sent["version"] for sent in aws.sent()] == [version.version] * 2


def test_a_conflict_with_another_worker_is_tried_again(aws, monkeypatch):
    monkeypatch.setattr(transactions, "_PAUSE_S", 0.001)
    version = version_of(aws)
    busy = Failing(aws.dynamodb, "transact_write_items", cancelled("TransactionConflict", "None"), times=3)
    assert store_of(aws, dynamodb=busy).record([Result(version, "1")])[version.id].kind == "recorded"
    for_ever = Failing(aws.dynamodb, "transact_write_items", cancelled("None", "TransactionConflict"), times=100)
    other = version_of(aws, "b.txt")
    ended = store_of(aws, dynamodb=for_ever).record([Result(other, "1")])[other.id]
    assert (ended.kind, ended.reason) == ("failed", "The result can't be written: others write the same rows.")


def test_one_item_that_dynamodb_refuses_fails_alone(aws):
    first, second = version_of(aws, "a.txt"), version_of(aws, "b.txt")
    refused = Failing(aws.dynamodb, "transact_write_items", cancelled("ValidationError", "None", "None", "None"))
    ended = store_of(aws, dynamodb=refused).record([Result(version, "1") for version in (first, second)])
    assert [ended[version.id].kind for version in (first, second)] == ["failed", "recorded"]


def test_keys_that_the_table_left_out_are_asked_for_again_but_not_for_ever(aws, monkeypatch):
    monkeypatch.setattr(rows, "_PAUSE_S", 0.001)
    versions = [version_of(aws, f"{index}.txt") for index in range(101)]
    store_of(aws).record([Result(version, "1") for version in versions])
    ids, whole, at_once = [version.id for version in versions], aws.dynamodb.batch_get_item, 30

    def some(RequestItems):
        asked = RequestItems[TABLE]
        given, left = ({TABLE: asked | {"Keys": keys}} for keys in (asked["Keys"][:at_once], asked["Keys"][at_once:]))
        answer = whole(RequestItems=given) if at_once else {"Responses": {}}
        return answer | {"UnprocessedKeys": left if left[TABLE]["Keys"] else {}}

    monkeypatch.setattr(aws.dynamodb, "batch_get_item", some)
    assert rows.read_states(aws.dynamodb, TABLE, ids, consistent=True) == dict.fromkeys(ids)
    at_once = 0
    with pytest.raises(Unavailable, match="answers only in part"):
        rows.read_states(aws.dynamodb, TABLE, ids, consistent=True)


def test_a_row_without_a_word_on_publishing_was_written_without_a_queue_and_is_not_sent(aws):
    version = version_of(aws)
    store_of(aws).record([Result(version, "1")])
    assert store_of(aws, sends=True).settled([version])[version.id].kind == "known"
    assert aws.sent() == []
