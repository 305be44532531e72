"""Parts of Azure Storage's door that need no Azurite: signatures, rights, limits, transactions, rules, keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.azure import storage_batches, storage_keys, storage_signing
from pilotlight.twin.azure.storage_answers import refused
from pilotlight.twin.azure.storage_created import Listeners
from pilotlight.twin.azure.storage_entities import check_entity, entity_bytes
from pilotlight.twin.azure.storage_operations import OPERATIONS, Right, of_blob
from pilotlight.twin.azure.storage_policies import Stored, due, listed, policy_problems
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

DATA = "Microsoft.Storage/storageAccounts/"


def needs(service: str, method: str, path: str, headers: dict[str, str] | None = None) -> set[tuple[str, ...]]:
    """The alternatives of a request, each as its actions' last parts."""
    place, _, text = path.partition("?")
    query = dict(part.split("=", 1) for part in text.split("&")) if text else {}
    operation = OPERATIONS[service](method, place.split("/") if place else [], query, headers or {})
    return {tuple(sorted(right.action.removeprefix(DATA).partition("Services/")[2] for right in rights)) for rights in operation.needs}


def test_a_signature_is_that_of_the_documentations_example() -> None:
    # "Authorize with Shared Key": the string to sign of a Get Container Metadata request, signed here with a known key.
    headers = {"x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT", "x-ms-version": "2015-02-21"}
    query = [("comp", "metadata"), ("restype", "container"), ("timeout", "20")]
    text = storage_signing._text("myaccount", "GET", "/mycontainer", query, headers)
    assert text == (
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
        "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
    )


def test_a_length_of_zero_is_not_signed_and_a_range_is() -> None:
    given = {"content-length": "0", "range": "bytes=0-1", "date": "now"}
    lines = storage_signing._text("a", "PUT", "/c", [], given).split("\n")
    assert (lines[3], lines[6], lines[11]) == ("", "now", "bytes=0-1")
    assert storage_signing._text("a", "PUT", "/c", [], {**given, "content-length": "5"}).split("\n")[3] == "5"


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "?comp=list", {("containers/read",)}),
        ("PUT", "c?restype=container", {("containers/write",)}),
        ("DELETE", "c?restype=container", {("containers/delete",)}),
        ("GET", "c?restype=container&comp=list", {("containers/blobs/read",)}),
        ("HEAD", "c/a/b", {("containers/blobs/read",)}),
        ("PUT", "c/a", {("containers/blobs/write",)}),
        ("PUT", "c/a?comp=blocklist", {("containers/blobs/write",)}),
        ("PUT", "c/a?comp=tags", {("containers/blobs/tags/write",)}),
        ("DELETE", "c/a", {("containers/blobs/delete",)}),
    ],
)
def test_blob_requests_need_these_rights(method: str, path: str, wanted: set[tuple[str, ...]]) -> None:
    assert needs("blob", method, path) == wanted


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("PUT", "q", {("queues/write",)}),
        ("GET", "q?comp=metadata", {("queues/read",)}),
        ("POST", "q/messages", {("queues/messages/add/action",), ("queues/messages/write",)}),
        ("GET", "q/messages", {("queues/messages/process/action",), ("queues/messages/delete", "queues/messages/read")}),
        ("GET", "q/messages?peekonly=true", {("queues/messages/read",)}),
        ("PUT", "q/messages/1", {("queues/messages/write",)}),
        ("DELETE", "q/messages/1", {("queues/messages/process/action",), ("queues/messages/delete",)}),
        ("DELETE", "q/messages", {("queues/messages/delete",)}),
        ("GET", "q?comp=acl", set()),
    ],
)
def test_queue_requests_need_these_rights(method: str, path: str, wanted: set[tuple[str, ...]]) -> None:
    assert needs("queue", method, path) == wanted


_WRITE, _ADD, _UPDATE = ("tables/entities/write",), ("tables/entities/add/action",), ("tables/entities/update/action",)


@pytest.mark.parametrize(
    ("method", "path", "headers", "wanted"),
    [
        ("POST", "Tables", {}, {("tables/write",)}),
        ("GET", "Tables", {}, {("tables/read",)}),
        ("DELETE", "Tables('t')", {}, {("tables/delete",)}),
        ("POST", "t", {}, {_WRITE, _ADD}),
        ("GET", "t()", {}, {("tables/entities/read",)}),
        ("GET", "t(PartitionKey='p',RowKey='r')", {}, {("tables/entities/read",)}),
        ("PATCH", "t(PartitionKey='p',RowKey='r')", {}, {_WRITE, (*_ADD, *_UPDATE)}),
        ("PATCH", "t(PartitionKey='p',RowKey='r')", {"if-match": "*"}, {_WRITE, _UPDATE}),
        ("POST", "t(PartitionKey='p',RowKey='r')", {"x-http-method": "MERGE", "if-match": "*"}, {_WRITE, _UPDATE}),
        ("DELETE", "t(PartitionKey='p',RowKey='r')", {}, {("tables/entities/delete",)}),
    ],
)
def test_table_requests_need_these_rights(method: str, path: str, headers: dict[str, str], wanted: set[tuple[str, ...]]) -> None:
    assert needs("table", method, path, headers) == wanted


def test_rights_on_data_are_of_the_data_plane_and_say_where() -> None:
    read = of_blob("GET", ["models", "a%20b"], {}, {})
    assert (read.needs, read.below) == (
        ((Right(f"{DATA}blobServices/containers/blobs/read", data=True),),),
        "/blobServices/default/containers/models/blobs/a b",
    )
    made = of_blob("PUT", ["models"], {"restype": "container"}, {})
    assert [right.data for rights in made.needs for right in rights] == [False]


@pytest.mark.parametrize(
    ("method", "query", "headers", "wanted"),
    [
        ("PUT", {}, {}, "PutBlob"),
        ("PUT", {"comp": "blocklist"}, {}, "PutBlockList"),
        ("PUT", {}, {"x-ms-copy-source": "https://x"}, "CopyBlob"),
        ("PUT", {"comp": "block"}, {}, None),
        ("PUT", {"comp": "metadata"}, {}, None),
        ("DELETE", {}, {}, None),
    ],
)
def test_what_stores_a_blobs_content(method: str, query: dict[str, str], headers: dict[str, str], wanted: str | None) -> None:
    assert of_blob(method, ["c", "b"], query, headers).stores == wanted


@pytest.mark.parametrize(
    ("service", "method", "path", "status"),
    [("blob", "POST", "?comp=batch", 501), ("blob", "POST", "c/b", 405), ("blob", "GET", "c", 400), ("table", "GET", "no-table", 400)],
)
def test_what_nobody_may_ask_is_refused(service: str, method: str, path: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        needs(service, method, path)
    assert caught.value.status == status


def test_an_entity_is_as_large_as_the_documentation_counts_it() -> None:
    entity = {"PartitionKey": "pp", "RowKey": "r", "text": "ü€", "n": 1, "big": "1", "big@odata.type": "Edm.Int64", "yes": True}
    # 4, twice the keys' characters; for each property 8, twice its name's characters, and its value.
    assert entity_bytes(entity, ["text", "n", "big", "yes"]) == 4 + 6 + (8 + 8 + 4 + 4) + (8 + 2 + 4) + (8 + 6 + 8) + (8 + 6 + 1)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", json.dumps({"TableName": "t"}).encode(), json.dumps({"a": "x" * 1000}).encode()])
def test_what_is_no_large_entity_passes(body: bytes) -> None:
    check_entity(body)


def _part(method: str, url: str, body: str = "", headers: str = "") -> str:
    return f"Content-Type: application/http\r\n\r\n{method} {url} HTTP/1.1\r\nContent-Type: application/json\r\n{headers}\r\n{body}"


def _transaction(*parts: str) -> bytes:
    return ("--changeset\r\n" + "\r\n--changeset\r\n".join(parts) + "\r\n--changeset--\r\n").encode()


def test_a_transactions_parts_are_read_and_its_addresses_are_azurites() -> None:
    address = "https://127.0.0.1:1/table/mine/t(PartitionKey='p',RowKey='r')"
    # An address in an entity is no address of the transaction's.
    inside = json.dumps({"PartitionKey": "p", "url": "https://127.0.0.1:1/table/mine/t"})
    parts, body = storage_batches.read(_transaction(_part("PATCH", address, inside, "If-Match: *\r\n")), "mine")
    assert [(one.method, one.path, one.headers["if-match"]) for one in parts] == [("PATCH", "t(PartitionKey='p',RowKey='r')", "*")]
    assert b"PATCH https://127.0.0.1:1/mine/t(PartitionKey='p',RowKey='r') HTTP/1.1\r\n" in body
    assert inside.encode() in body


@pytest.mark.parametrize(
    "parts",
    [
        [_part("POST", "https://127.0.0.1:1/table/mine/t", "{}")] * 101,
        [_part("POST", "https://127.0.0.1:1/table/other/t", "{}")],
        [_part("POST", "https://127.0.0.1:1/table/mine/t", json.dumps({f"p{n}": 1 for n in range(253)}))],
    ],
)
def test_transactions_that_azure_would_not_take(parts: list[str]) -> None:
    with pytest.raises(Refusal):
        storage_batches.read(_transaction(*parts), "mine")


def test_errors_have_the_form_of_their_service() -> None:
    refusal = Refusal("Code", "text <b>", 403)
    blob = refused("blob", refusal, tenant="T", time="now", head=False)
    assert (blob.status, blob.headers["x-ms-error-code"]) == (403, "Code")
    assert b"<Code>Code</Code><Message>text &lt;b&gt;" in blob.body
    table = refused("table", refusal, tenant="T", time="now", head=False)
    assert json.loads(table.body)["odata.error"]["code"] == "Code"
    assert refused("blob", Refusal("Code", "text", 401), tenant="T", time="now", head=True).body == b""


def _rule(actions: dict[str, Any], **filters: Any) -> dict[str, Any]:
    definition = {"actions": {"baseBlob": actions}, "filters": {"blobTypes": ["blockBlob"], **filters}}
    return {"name": "one", "type": "Lifecycle", "definition": definition}


def _blob(age: float, tier: str = "Hot") -> Stored:
    return Stored(
        name="a/b", kind="blockBlob", tier=tier, ages={"daysAfterModificationGreaterThan": age, "daysAfterCreationGreaterThan": age}
    )


@pytest.mark.parametrize(
    ("age", "tier", "wanted"), [(1, "Hot", None), (3.1, "Hot", "Cool"), (3.1, "Cool", None), (7, "Cool", None), (7.1, "Cool", "delete")]
)
def test_rules_act_once_a_blob_is_older(age: float, tier: str, wanted: str | None) -> None:
    rules = [_rule({"delete": {"daysAfterModificationGreaterThan": 7}, "tierToCool": {"daysAfterCreationGreaterThan": 3}})]
    assert due(rules, "results", _blob(age, tier)) == wanted


def test_rules_mean_what_their_filters_name_and_only_while_they_are_on() -> None:
    delete = {"delete": {"daysAfterModificationGreaterThan": 0}}
    assert due([_rule(delete, prefixMatch=["results/a"])], "results", _blob(1)) == "delete"
    assert due([_rule(delete, prefixMatch=["results/c", "other"])], "results", _blob(1)) is None
    assert due([{**_rule(delete), "enabled": False}], "results", _blob(1)) is None


def test_ages_are_read_from_a_list_of_blobs() -> None:
    blob = (
        "<Blob><Name>n</Name><Properties><Creation-Time>Thu, 01 Jan 1970 00:00:00 GMT</Creation-Time>"
        "<Last-Modified>Fri, 02 Jan 1970 00:00:00 GMT</Last-Modified><BlobType>BlockBlob</BlobType>"
        "<AccessTier>Hot</AccessTier></Properties></Blob>"
    )
    found, marker = listed(f"<R><Blobs>{blob}</Blobs><NextMarker>m</NextMarker></R>".encode(), 3 * 86_400)
    assert marker == "m"
    assert found == [
        Stored(name="n", kind="blockBlob", tier="Hot", ages={"daysAfterModificationGreaterThan": 2.0, "daysAfterCreationGreaterThan": 3.0})
    ]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], "policy.rules: there are 0"),
        ([_rule({"delete": {"daysAfterModificationGreaterThan": -1}})], "-1 is not allowed"),
        ([_rule({"delete": {"daysAfterModificationGreaterThan": 1}})] * 2, "is there twice"),
        ([_rule({"delete": {"daysAfterLastAccessTimeGreaterThan": 1}})], "knows ages alone"),
        ([{**_rule({}), "name": "not allowed"}], "name: 'not allowed'"),
        ([_rule({}, blobTypes=["pageBlob"])], "blobTypes[0]: 'pageBlob'"),
    ],
)
def test_rules_that_azure_or_the_twin_would_not_take(rules: list[dict[str, Any]], said: str) -> None:
    assert any(said in text for text in policy_problems({"rules": rules}))


def test_keys_stay_and_an_account_that_is_made_again_has_others(tmp_path: Path) -> None:
    twin: Any = type("Twin", (), {"home": tmp_path})()
    first = Resource(token="t", id="/a", urn="u", outputs={"creationTime": "1"})
    again = Resource(token="t", id="/a", urn="u", outputs={"creationTime": "2"})
    keys = storage_keys.keys(twin, first)
    assert keys == storage_keys.keys(twin, first)
    assert [len(key) for key in keys] == [64, 64]
    assert len({*keys, *storage_keys.keys(twin, again)}) == 4


def test_sequencers_grow_though_time_stands_still() -> None:
    listeners = Listeners(lambda: 5.0)
    found = [listeners.sequencer() for _ in range(3)]
    assert found == sorted(set(found))
    assert {len(one) for one in found} == {64}
