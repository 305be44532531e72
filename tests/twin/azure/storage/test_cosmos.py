"""Cosmos DB for Table on the twin: Azure's own client and the function against it, with the roles of an account's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables import UpdateMode

from components.azure.cosmos import WRITES_ROWS
from handlers.functions import connections
from handlers.functions.azure.entities import Entity
from handlers.functions.azure.tables import ANY, Table
from handlers.functions.azure.transactions import Operation, commit
from handlers.functions.rest import ApiError
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.results import TableRows
from pilotlight.cli.azure.storage import Login
from pilotlight.cli.exits import CommandError
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.azure.accounts import Credential, code_of, cosmos_account, cosmos_client, cosmos_grant, cosmos_table
from tests.twin.azure.harness import AzureHarness
from tests.twin.azure.storage.event_function import Deployed

ONE = {"PartitionKey": "p", "RowKey": "r", "n": 1}


@pytest.fixture(scope="module")
def there(harness: AzureHarness) -> Resource:
    return cosmos_account(harness)


@pytest.fixture
def deployed(harness: AzureHarness, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    made = Deployed(harness, f"cosmos-{request.node.name[5:12].replace('_', '-')}x", cosmos_account(harness))
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("handlers.functions.attempts.FIRST_PAUSE_S", 1)
    connections._tls.cache_clear()
    yield made
    harness.twin.faults.clear()
    harness.remove(made.topic)
    connections._tls.cache_clear()


def refused(call: Callable[[], Any]) -> str:
    """The code that a call is refused with as one that the service does not take, which Azure's client tells in its text alone."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    assert caught.value.status_code == 400
    return str(json.loads(caught.value.response.text())["odata.error"]["code"])  # type: ignore[union-attr]


def test_azures_own_client_keeps_to_its_conditions(harness: AzureHarness, there: Resource) -> None:
    rows = cosmos_table(harness, there, "conditions")
    etag = rows.create_entity(ONE)["etag"]
    with pytest.raises(ResourceExistsError, match="EntityAlreadyExists"):
        rows.create_entity(ONE)
    rows.update_entity({**ONE, "m": 2}, mode=UpdateMode.MERGE, etag=etag, match_condition=MatchConditions.IfNotModified)
    how = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    for mode in (UpdateMode.MERGE, UpdateMode.REPLACE):
        assert code_of(lambda mode=mode: rows.update_entity(ONE, mode=mode, **how)) == (412, "UpdateConditionNotSatisfied")  # type: ignore[misc]
    assert (rows.get_entity("p", "r")["n"], rows.get_entity("p", "r")["m"]) == (1, 2)
    merged = ("update", {**ONE, "n": 3}, {"mode": UpdateMode.MERGE})
    with pytest.raises(HttpResponseError):
        rows.submit_transaction([("create", {**ONE, "RowKey": "other"}), ("create", ONE)])
    rows.submit_transaction([("create", {**ONE, "RowKey": "other"}), merged])
    assert sorted((one["RowKey"], one["n"]) for one in rows.query_entities("n ge 1")) == [("other", 1), ("r", 3)]
    assert [one.name for one in cosmos_client(harness, there).list_tables()] == ["conditions"]
    # No account of Azure Storage sees them, whatever its name.
    assert harness.read(there) is not None


def test_what_cosmos_db_does_not_take_is_refused(harness: AzureHarness, there: Resource) -> None:
    rows = cosmos_table(harness, there, "limits")
    for entity in ({**ONE, "RowKey": "r" * 256}, {**ONE, "PartitionKey": "p" * 102}):
        assert refused(lambda entity=entity: rows.create_entity(entity)) == "KeyValueTooLarge"  # type: ignore[misc]
        assert refused(lambda entity=entity: rows.submit_transaction([("create", entity)])) == "KeyValueTooLarge"  # type: ignore[misc]
    for name in ("etag", "Id", "rid", "ResourceId"):
        assert refused(lambda name=name: rows.create_entity({**ONE, name: "x"})) == "PropertyNameInvalid"  # type: ignore[misc]
    large = [("create", {**ONE, "RowKey": str(n), **{f"t{part}": "x" * 32_000 for part in range(8)}}) for n in range(9)]
    assert code_of(lambda: rows.submit_transaction(large))[0] == 413
    rows.create_entity({**ONE, "RowKey": "r" * 255, "PartitionKey": "p" * 101})


def test_an_identity_may_do_what_its_role_says_and_no_more(harness: AzureHarness, there: Resource) -> None:
    cosmos_table(harness, there, "roles").create_entity(ONE)
    who = harness.identity("cosmos-writer")
    # A role of Azure's own on the account opens nothing in it.
    harness.grant(who, "Contributor", there.id)
    rows = cosmos_client(harness, there, who).get_table_client("roles")
    assert code_of(lambda: rows.get_entity("p", "r")) == (403, "Forbidden")
    role, assigned = cosmos_grant(harness, there, who, WRITES_ROWS)
    assert rows.get_entity("p", "r")["n"] == 1
    rows.submit_transaction([("create", {**ONE, "RowKey": "s"}), ("update", {**ONE, "n": 2}, {"mode": UpdateMode.REPLACE})])
    others = (
        lambda: rows.delete_entity("p", "r"),
        lambda: list(rows.list_entities()),
        lambda: rows.submit_transaction([("delete", ONE)]),
        rows.delete_table,
        lambda: cosmos_client(harness, there, who).create_table("mine"),
        lambda: cosmos_client(harness, cosmos_account(harness), who).get_table_client("roles").get_entity("p", "r"),
    )
    assert {code_of(call)[0] for call in others} == {403}
    with pytest.raises(Refusal, match="The role is assigned"):
        harness.remove(role)
    harness.remove(assigned)
    assert code_of(lambda: rows.get_entity("p", "r"))[0] == 403


def test_who_has_no_token_for_it_gets_nothing(harness: AzureHarness, there: Resource) -> None:
    class Another:
        def get_token(self, *scopes: str, **_: Any) -> Any:
            return Credential(harness, None).get_token("https://storage.azure.com/.default")

    key = AzureNamedKeyCredential(there["name"], "a2V5")
    for credential in (key, Another()):
        unknown = cosmos_client(harness, there, credential=credential)
        assert code_of(lambda unknown=unknown: list(unknown.list_tables())) == (401, "Unauthorized")  # type: ignore[misc]
    closed = cosmos_account(harness, publicNetworkAccess="Disabled")
    assert code_of(lambda: list(cosmos_client(harness, closed).list_tables()))[0] == 403


def test_who_has_no_role_of_the_accounts_own_is_told_which(harness: AzureHarness, there: Resource) -> None:
    login = Login(harness.twin.azure.developer(harness.twin), Given({}, {}))
    login.credential = Credential(harness, harness.identity("cosmos-nobody"))
    rows = TableRows(login, {"objectsBucket": "objects", "resultsDatabase": there["documentEndpoint"], "resultsTable": "results"})
    with pytest.raises(CommandError, match=r"can't be read: .*ask for the role Cosmos DB Built-in Data Reader \(`az cosmosdb table role"):
        rows.some(1)


def test_our_own_calls_are_allowed_by_the_role_of_the_function(deployed: Deployed) -> None:
    table = Table(deployed.cosmos["documentEndpoint"], "results", cosmos=True)  # type: ignore[index]
    etags = commit(table, [Operation(Entity("p", "v1", {"n": 1})), Operation(Entity("p", "latest", {"of": "v1"}))])
    assert etags == [found.etag for row in ("v1", "latest") if (found := table.get("p", row))]
    assert commit(table, [Operation(Entity("p", "v1", {"n": 2})), Operation(Entity("p", "latest", {}), etag=etags[1])]) is None
    assert commit(table, [Operation(Entity("p", "v2", {})), Operation(Entity("p", "latest", {"of": "v2"}), etag='W/"other"')]) is None
    assert table.merge(Entity("p", "v1", {"published": True}), etag=ANY)
    assert table.get("p", "v1").properties == {"n": 1, "published": True}  # type: ignore[union-attr]
    assert table.get("p", "none") is None
    with pytest.raises(ApiError, match="403 Forbidden"):
        table.delete("p", "v1")
    with pytest.raises(ApiError, match="401 Unauthorized"):
        Table(deployed.cosmos["documentEndpoint"], "results").get("p", "v1")  # type: ignore[index]


def test_each_version_has_one_result_whatever_comes_twice_and_whoever_is_busy(harness: AzureHarness, deployed: Deployed) -> None:
    with deployed.at_work(3, CONCURRENCY="4"):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: deployed.objects.upload_blob(f"in/ü {n}.txt", "x" * n), range(1, 13)))
        for text in ("old", "newest"):
            deployed.objects.upload_blob("long/" + "k" * 400 + ".txt", text, overwrite=True)
            until(lambda text=text: text in deployed.model.asked)  # type: ignore[misc]
        until(lambda: deployed.events() == 0 and len(deployed.results()) == 14)
        harness.twin.faults.set({"outages": ["cosmos"]})
        deployed.objects.upload_blob("busy.txt", "later")
        until(lambda: "later" in deployed.model.asked or deployed.events() > 0)
        harness.twin.faults.clear()
        until(lambda: deployed.events() == 0 and len(deployed.results()) == 15)
        before = deployed.rows()
        for message in deployed.take("results"):
            container, _, name = message["object"].partition("/")
            data = {"api": "PutBlob", "eTag": message["version"], "contentLength": message["size"], "blobType": "BlockBlob"}
            data |= {"sequencer": message["sequencer"], "requestId": "again", "clientRequestId": "c", "contentType": "text/plain"}
            data |= {"url": f"{deployed.url('blob', container)}/{name}", "storageDiagnostics": {"batchId": "b"}}
            told = {"id": "again", "subject": f"/blobServices/default/containers/{container}/blobs/{name}", "data": data}
            told |= {"topic": deployed.work.id, "eventType": "Microsoft.Storage.BlobCreated", "dataVersion": "", "metadataVersion": "1"}
            deployed.send({**told, "eventTime": "2026-11-26T03:00:00Z"})
        until(lambda: deployed.events() == 0)
    assert deployed.rows() == before
    found = TableRows(
        Login(harness.twin.azure.developer(harness.twin), Given({}, {})),
        {"objectsBucket": "objects", "resultsDatabase": deployed.cosmos["documentEndpoint"], "resultsTable": "results"},  # type: ignore[index]
    )
    assert len(found.some(100)) == 15
    newest, oldest = found.of("long/" + "k" * 400 + ".txt")
    assert (newest.result, oldest.result) == ({"outputs": [6]}, {"outputs": [3]})
    assert found.those([(newest.object, newest.version)]) == {(newest.object, newest.version): newest}
    assert len({key for key, _ in before}) == 14
    assert deployed.told("dead") == []
