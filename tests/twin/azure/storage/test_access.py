"""Who may do what in Azure Storage, and who may not."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from azure.core.credentials import AzureNamedKeyCredential

from pilotlight.twin.azure import storage_keys
from pilotlight.twin.world import Resource
from tests.twin.azure.accounts import account, client, code_of, container, queue, table
from tests.twin.azure.harness import AzureHarness

MIB = 1024 * 1024
READER, CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def test_an_identity_may_do_what_its_role_says_where_it_says(harness: AzureHarness, stored: Resource) -> None:
    mine, other = container(harness, stored, "mine"), container(harness, stored, "other")
    for blobs in (mine, other):
        blobs.upload_blob("one", b"x")
    who = harness.identity("reader")
    as_reader = client(harness, stored, "blob", who)
    read = as_reader.get_blob_client("mine", "one")
    assert code_of(lambda: read.download_blob()) == (403, "AuthorizationPermissionMismatch")
    harness.grant(who, READER, f"{stored.id}/blobServices/default/containers/mine")
    assert read.download_blob().readall() == b"x"
    assert [one.name for one in as_reader.get_container_client("mine").list_blobs()] == ["one"]
    refused = (
        lambda: read.upload_blob(b"y", overwrite=True),
        read.delete_blob,
        lambda: as_reader.get_blob_client("mine", "copy").start_copy_from_url(read.url),
        lambda: as_reader.get_blob_client("other", "one").download_blob(),
        lambda: list(as_reader.get_container_client("other").list_blobs()),
        lambda: as_reader.create_container("new"),
        lambda: list(as_reader.list_containers()),
        lambda: client(harness, stored, "queue", who).create_queue("new"),
        lambda: client(harness, stored, "table", who).create_table("new"),
    )
    assert {code_of(call) for call in refused} == {(403, "AuthorizationPermissionMismatch")}
    harness.grant(who, CONTRIBUTOR, f"{stored.id}/blobServices/default/containers/mine")
    as_reader.get_blob_client("mine", "copy").start_copy_from_url(read.url)
    assert code_of(lambda: as_reader.get_blob_client("mine", "copy").start_copy_from_url(other.get_blob_client("one").url))[0] == 403


def test_senders_send_and_processors_take_messages_away(harness: AzureHarness, stored: Resource) -> None:
    queue(harness, stored, "roles")
    scope = f"{stored.id}/queueServices/default/queues/roles"
    people = {name: harness.identity(name) for name in ("sender", "processor")}
    harness.grant(people["sender"], "Storage Queue Data Message Sender", scope)
    harness.grant(people["processor"], "Storage Queue Data Message Processor", scope)
    sender, processor = (client(harness, stored, "queue", who).get_queue_client("roles") for who in people.values())
    sender.send_message("one")
    taken = processor.receive_message(visibility_timeout=30)
    refused = (sender.receive_message, lambda: processor.send_message("x"), lambda: processor.update_message(taken, visibility_timeout=60))
    assert {code_of(call) for call in refused} == {(403, "AuthorizationPermissionMismatch")}
    processor.delete_message(taken)


def test_a_reader_of_tables_changes_nothing_alone_or_together(harness: AzureHarness, stored: Resource) -> None:
    table(harness, stored, "readonly").create_entity({"PartitionKey": "p", "RowKey": "r"})
    who = harness.identity("table-reader")
    harness.grant(who, "Storage Table Data Reader", f"{stored.id}/tableServices/default/tables/readonly")
    rows = client(harness, stored, "table", who).get_table_client("readonly")
    assert rows.get_entity("p", "r")["RowKey"] == "r"
    entity = {"PartitionKey": "p", "RowKey": "new"}
    refused = (
        lambda: rows.create_entity(entity),
        lambda: rows.upsert_entity(entity),
        lambda: rows.delete_entity("p", "r"),
        lambda: rows.submit_transaction([("upsert", entity)]),
    )
    assert {code_of(call)[0] for call in refused} == {403}


def test_keys_open_nothing_where_they_are_off_and_everything_where_they_are_on(harness: AzureHarness, stored: Resource) -> None:
    for service in ("blob", "queue", "table"):
        open_, keyed = account(harness, allowSharedKeyAccess=True), {}
        for one in (stored, open_):
            key = base64.b64encode(storage_keys.keys(harness.twin, one)[1]).decode()
            keyed[one.id] = client(harness, one, service, credential=AzureNamedKeyCredential(one["name"], key))
        listed = {"blob": "list_containers", "queue": "list_queues", "table": "list_tables"}[service]
        assert list(getattr(keyed[open_.id], listed)()) == []
        assert code_of(lambda: list(getattr(keyed[stored.id], listed)()))[0] == 403  # noqa: B023 (called at once)
        wrong = client(harness, open_, service, credential=AzureNamedKeyCredential(open_["name"], base64.b64encode(b"x" * 64).decode()))
        assert code_of(lambda: list(getattr(wrong, listed)()))[0] == 403  # noqa: B023 (called at once)


def test_who_proves_nothing_gets_nothing(harness: AzureHarness, stored: Resource, plane: Any) -> None:
    container(harness, stored, "closed").upload_blob("one", b"x")
    other = harness.token(harness.identity("somebody"), "https://management.azure.com")
    with httpx.Client(verify=harness.ca_file, trust_env=False) as plain:
        for service, said in (("blob", (409, "PublicAccessNotPermitted")), ("queue", (401, "NoAuthenticationInformation"))):
            answer = plain.get(f"{stored['primaryEndpoints'][service]}closed/one")
            assert (answer.status_code, answer.headers["x-ms-error-code"]) == said
        for token in ("made-up", other):
            address = f"{stored['primaryEndpoints']['blob']}closed/one"
            answer = plain.get(address, headers={"authorization": f"Bearer {token}", "x-ms-version": "2025-11-05"})
            assert (answer.status_code, answer.headers["x-ms-error-code"]) == (401, "InvalidAuthenticationInfo")
            assert "resource_id=https://storage.azure.com" in answer.headers["www-authenticate"]
        shared = plain.get(f"{stored['primaryEndpoints']['blob']}closed/one?sig=abc&se=2030")
        assert (shared.status_code, shared.headers["x-ms-error-code"]) == (403, "KeyBasedAuthenticationNotPermitted")
        # Azurite's own ports are closed to everybody but the twin.
        port = plane._azurite.ports["blob"]
        assert plain.get(f"http://127.0.0.1:{port}/{stored['name']}/closed/one").status_code in (403, 404)


def test_an_account_that_answers_to_no_network_refuses_the_developer_too(harness: AzureHarness) -> None:
    closed = account(harness, publicNetworkAccess="Disabled")
    assert code_of(lambda: list(client(harness, closed, "blob").list_containers())) == (403, "AuthorizationFailure")
    open_ = harness.change(closed, publicNetworkAccess="Enabled")
    assert list(client(harness, open_, "blob").list_containers()) == []


def test_a_service_that_is_out_answers_that_it_is_busy(harness: AzureHarness, stored: Resource) -> None:
    work = queue(harness, stored, "outage")
    harness.twin.faults.set({"outages": ["queue"]})
    try:
        assert code_of(lambda: work.send_message("x"))[0] == 503
    finally:
        harness.twin.faults.clear()
    work.send_message("x")
