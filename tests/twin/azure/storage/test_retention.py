"""`dataRetention: keep` on Azure: what a destroy finds in accounts and a registry, on the twin's own storage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.cli.azure.retention import ACCOUNT, COSMOS_ACCOUNT, IMAGE, REGISTRY
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.retention import refuse_to_lose_data
from pilotlight.cli.session import Session
from pilotlight.twin.world import Resource
from tests.parts.cli.conftest import session_in
from tests.twin.azure.accounts import Credential, account, container, cosmos_account, cosmos_table, queue, table
from tests.twin.azure.harness import GROUP_ID, AzureHarness

__all__ = ["session_in"]

SERVER = "127.0.0.1:1/acr/images"
REGISTRY_ID = f"{GROUP_ID}/providers/Microsoft.ContainerRegistry/registries/images"


def in_state(made: Resource, *, protect: bool = True) -> dict[str, Any]:
    urn = f"urn:pulumi:demo::p::{ACCOUNT}::the-{made['name']}"
    return {"type": ACCOUNT, "id": made.id, "urn": urn, "inputs": dict(made.inputs), "outputs": dict(made.outputs), "protect": protect}


def registry(*, protect: bool = True) -> dict[str, Any]:
    urn, outputs = f"urn:pulumi:demo::p::{REGISTRY}::the-images", {"name": "images", "loginServer": SERVER}
    return {"type": REGISTRY, "id": REGISTRY_ID, "urn": urn, "outputs": outputs, "protect": protect}


@pytest.fixture
def destroying(harness: AzureHarness, session_in: Callable[[Any], Session], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Asks whether a stack with these resources may be destroyed."""
    session = dataclasses.replace(session_in("local"), variables=harness.twin.azure.developer(harness.twin))

    def ask(*resources: dict[str, Any]) -> None:
        monkeypatch.setattr(Session, "resources", lambda self, stack: list(resources))
        refuse_to_lose_data(session, "demo")

    return ask


def test_empty_accounts_and_registries_are_told_as_such(harness: AzureHarness, destroying: Callable[..., None]) -> None:
    kept = account(harness)
    container(harness, kept, "objects")
    queue(harness, kept, "events")
    table(harness, kept, "results")
    other = {"type": IMAGE, "outputs": {"ref": f"{SERVER}2/functions:build-1@sha256:0"}}
    empty = rf"`dataRetention: keep` protects the-{kept['name']} and the-images, though nothing is in them\. Nothing was deleted"
    with pytest.raises(CommandError, match=empty):
        destroying(in_state(kept), registry(), other)


def test_each_kind_of_content_is_kept_and_named(harness: AzureHarness, destroying: Callable[..., None]) -> None:
    objects, events, results = account(harness), account(harness), account(harness)
    container(harness, objects, "empty")
    container(harness, objects, "objects").upload_blob("in/a.txt", b"a")
    queue(harness, events, "dead")
    queue(harness, events, "events").send_message("one")
    table(harness, results, "results").create_entity({"PartitionKey": "a", "RowKey": "b"})
    image = {"type": IMAGE, "outputs": {"ref": f"{SERVER}/functions:build-1@sha256:0"}}
    with pytest.raises(CommandError) as caught:
        destroying(in_state(objects), in_state(events), in_state(results), registry(), image)
    assert caught.value.code is Exit.FAILED
    held = [
        f"the storage account {objects['name']} (not empty: container objects)",
        f"the storage account {events['name']} (not empty: queue events)",
        f"the storage account {results['name']} (not empty: table results)",
        "the image registry images (not empty)",
    ]
    assert f"`dataRetention: keep` holds {' and '.join(held)}. Nothing was deleted." in str(caught.value)


def test_rows_in_cosmos_db_are_kept_too(harness: AzureHarness, destroying: Callable[..., None]) -> None:
    kept = cosmos_account(harness)
    rows = cosmos_table(harness, kept, "results")
    state = {**in_state(kept), "type": COSMOS_ACCOUNT}
    with pytest.raises(CommandError, match=f"protects the-{kept['name']}, though nothing is in them"):
        destroying(state)
    rows.create_entity({"PartitionKey": "a", "RowKey": "b"})
    with pytest.raises(CommandError, match=rf"holds the Cosmos DB account {kept['name']} \(not empty: table results\)"):
        destroying(state)
    destroying({**state, "protect": False})


def test_a_message_that_is_being_worked_on_counts(harness: AzureHarness, destroying: Callable[..., None]) -> None:
    kept = account(harness)
    taken = queue(harness, kept, "events")
    taken.send_message("one")
    assert taken.receive_message(visibility_timeout=60) is not None
    assert taken.peek_messages() == []
    with pytest.raises(CommandError, match="queue events"):
        destroying(in_state(kept))


def test_what_was_deployed_to_be_deleted_is_not_looked_at_and_what_is_gone_holds_nothing(
    harness: AzureHarness, destroying: Callable[..., None]
) -> None:
    deleted, gone = account(harness), account(harness)
    container(harness, deleted, "objects").upload_blob("a", b"a")
    image = {"type": IMAGE, "outputs": {"ref": f"{SERVER}/functions:build-1@sha256:0"}}
    harness.remove(gone)
    destroying(in_state(deleted, protect=False), registry(protect=False), image)
    with pytest.raises(CommandError, match=f"protects the-{gone['name']}, though nothing is in them"):
        destroying(in_state(gone))


def test_what_nobody_may_look_into_stops_the_destroy(
    harness: AzureHarness, destroying: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, nobody = account(harness), harness.identity("nobody")
    container(harness, kept, "objects")
    harness.grant(nobody, "Reader", GROUP_ID)
    monkeypatch.setattr("pilotlight.cli.azure.storage.Developer", lambda twin: Credential(harness, nobody))
    unseen = (
        f"Whether {kept['name']} is empty can't be seen, so nothing was deleted: .*ask for the role Storage Blob Data Contributor there"
    )
    with pytest.raises(CommandError, match=unseen):
        destroying(in_state(kept))
