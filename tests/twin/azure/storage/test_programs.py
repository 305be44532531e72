"""What programs have in their accounts, who hears of it, and how it goes."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContentSettings

from pilotlight.twin.azure.storage_calls import Calls
from pilotlight.twin.azure.storage_created import Created
from pilotlight.twin.azure.types import BLOB, CONTAINER, GROUP, MANAGEMENT_POLICY, QUEUE, STORAGE_ACCOUNT, TABLE
from pilotlight.twin.clock import Clock
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import ASSET, SIGNATURE
from pilotlight.twin.world import Resource
from tests.twin.azure.accounts import account, client, container, queue, table
from tests.twin.azure.harness import GROUP_ID, IN_GROUP, AzureHarness, harness_in

DAY_S = 86_400
READER, CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def test_listeners_hear_of_each_blob_once_in_its_order(harness: AzureHarness, stored: Resource, plane: Any) -> None:
    heard: list[Created] = []

    async def listener(created: Created) -> None:
        heard.append(created)

    blobs = container(harness, stored, "heard")
    plane.created.add(listener)
    try:
        blobs.upload_blob("ü", b"hello", content_settings=ContentSettings(content_type="text/plain"))
        sender = client(harness, stored, "blob", max_single_put_size=1024, max_block_size=1024).get_container_client("heard")
        sender.upload_blob("blocks", b"x" * 3000)
        blobs.get_blob_client("copy").start_copy_from_url(blobs.get_blob_client("blocks").url)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: blobs.upload_blob("often", str(n), overwrite=True), range(16)))
        with pytest.raises(ResourceExistsError):
            blobs.upload_blob("ü", b"again")
        blobs.get_blob_client("ü").set_blob_metadata({"a": "b"})
        last = blobs.get_blob_client("often").get_blob_properties().etag.strip('"')
    finally:
        plane.created.remove(listener)
    told = [(one.blob, one.api, one.content_length) for one in heard[:3]]
    assert told == [("ü", "PutBlob", 5), ("blocks", "PutBlockList", 3000), ("copy", "CopyBlob", 3000)]
    assert (heard[0].content_type, heard[0].container, heard[0].account_id) == ("text/plain", "heard", stored.id)
    assert [one.blob for one in heard[3:]] == ["often"] * 16
    assert heard[-1].etag == last
    assert sorted(one.sequencer for one in heard) == [one.sequencer for one in heard]


def test_what_is_told_of_a_blob_is_what_azurite_tells(
    harness: AzureHarness, stored: Resource, plane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Created] = []
    asked: list[str] = []
    read = Calls.read

    async def counted(calls: Calls, service: str, account: str, method: str, path: str, **more: Any) -> Any:
        asked.append(method)
        return await read(calls, service, account, method, path, **more)

    async def listener(created: Created) -> None:
        heard.append(created)

    def put(name: str, content: bytes, headers: dict[str, str]) -> None:
        address, trusted = f"{stored['primaryEndpoints']['blob']}kinds/{name}", ssl.create_default_context(cafile=harness.ca_file)
        token = harness.token(None, "https://storage.azure.com/")
        said = {"authorization": f"Bearer {token}", "x-ms-version": "2025-11-05", "x-ms-blob-type": "BlockBlob", **headers}
        assert httpx.put(address, content=content, headers=said, verify=trusted).status_code == 201

    blobs = container(harness, stored, "kinds")
    plane.created.add(listener)
    monkeypatch.setattr(Calls, "read", counted)
    try:
        put("bare", b"x" * 300_000, {})
        put("typed", b"", {"content-type": "text/plain; charset=utf-8"})
        put("named", b"abc", {"content-type": "text/plain", "x-ms-blob-content-type": "image/png"})
        before = list(asked)
        put("pages", b"", {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"})
        put("log", b"", {"x-ms-blob-type": "AppendBlob"})
    finally:
        plane.created.remove(listener)
    assert (before, asked) == ([], ["HEAD", "HEAD"])
    kinds = {one.blob: (one.content_length, one.content_type, one.blob_type) for one in heard}
    assert [kinds[name][0] for name in ("bare", "typed", "named", "pages", "log")] == [300_000, 0, 3, 512, 0]
    for name, told in kinds.items():
        found = blobs.get_blob_client(name).get_blob_properties()
        assert told == (found.size, found.content_settings.content_type, found.blob_type.value)


def test_programs_blobs_are_there_and_told_as_they_are(harness: AzureHarness, tmp_path: Path) -> None:
    keyed = account(harness, allowSharedKeyAccess=True)
    container(harness, keyed, "models")
    (tmp_path / "model").write_bytes(b"model" * 1000)
    source = {SIGNATURE: ASSET, "path": str(tmp_path / "model"), "hash": "h"}
    given = {**IN_GROUP, "accountName": keyed["name"], "containerName": "models"}
    made = harness.make(BLOB, "key/one", **given, blobName="key/one", source=source, metadata={"a": "b"})
    assert made.id == f"https://{keyed['name']}.blob.core.windows.net/models/key/one"
    assert (made["url"], made["type"], made["metadata"]) == (f"{keyed['primaryEndpoints']['blob']}models/key/one", "Block", {"a": "b"})
    blob = client(harness, keyed, "blob").get_blob_client("models", "key/one")
    assert blob.download_blob().readall() == b"model" * 1000
    harness.change(made, metadata={"a": "c"}, contentType="text/plain")
    found = blob.get_blob_properties()
    assert (found.metadata, found.content_settings.content_type) == ({"a": "c"}, "text/plain")
    blob.delete_blob()
    assert harness.read(made) is None
    harness.remove(made)
    locked = harness.change(keyed, allowSharedKeyAccess=False)
    with pytest.raises(Refusal, match="KeyBasedAuthenticationNotPermitted"):
        harness.make(BLOB, "two", **given, blobName="two")
    assert harness.read(locked) is not None


def test_a_deleted_account_takes_all_with_it(harness: AzureHarness) -> None:
    keyed = account(harness, allowSharedKeyAccess=True)
    blobs = container(harness, keyed, "models")
    harness.make(BLOB, "one", **IN_GROUP, accountName=keyed["name"], containerName="models", blobName="one")
    table(harness, keyed, "rows").create_entity({"PartitionKey": "p", "RowKey": "r"})
    client(harness, keyed, "blob").create_container("by-a-client")
    queue(harness, keyed, "work").send_message("x")
    harness.remove(keyed)
    world = harness.twin.world
    assert [
        one.id for kind in (BLOB, CONTAINER, QUEUE, TABLE, STORAGE_ACCOUNT) for one in world.find(kind) if keyed["name"] in one.id
    ] == []
    with pytest.raises(ResourceNotFoundError):
        blobs.get_container_properties()
    again = harness.make(STORAGE_ACCOUNT, keyed["name"], **{**keyed.inputs})
    assert list(client(harness, again, "blob").list_containers()) == []
    assert list(client(harness, again, "table").list_tables()) == []
    assert list(client(harness, again, "queue").list_queues()) == []


def test_rules_remove_old_blobs_on_the_twins_clock_and_the_rest_stays_over_a_restart(tmp_path: Path) -> None:
    harness = harness_in(tmp_path, Clock())
    try:
        stored = account(harness)
        blobs = container(harness, stored, "results")
        rule = {
            "name": "old",
            "type": "Lifecycle",
            "definition": {
                "actions": {
                    "baseBlob": {"delete": {"daysAfterModificationGreaterThan": 2}, "tierToCool": {"daysAfterCreationGreaterThan": 1}}
                },
                "filters": {"blobTypes": ["blockBlob"], "prefixMatch": ["results/a/"]},
            },
        }
        harness.make(
            MANAGEMENT_POLICY,
            "rules",
            **IN_GROUP,
            accountName=stored["name"],
            managementPolicyName="default",
            policy={"rules": [rule]},
        )
        blobs.upload_blob("a/old", b"x")
        blobs.upload_blob("b/old", b"x")
        harness.wait(harness.twin.timers.forward(harness.clock.now() + 2 * DAY_S))
        assert blobs.get_blob_client("a/old").get_blob_properties().blob_tier == "Cool"
        blobs.upload_blob("a/new", b"x")
        harness.wait(harness.twin.timers.forward(harness.clock.now() + DAY_S))
        assert [one.name for one in blobs.list_blobs()] == ["a/new", "b/old"]
        harness.down()
        harness = harness_in(tmp_path, harness.clock)
        # At the same address, for an identity that has been there since.
        again = client(harness, stored, "blob").get_container_client("results")
        assert [one.name for one in again.list_blobs()] == ["a/new", "b/old"]
    finally:
        harness.down()


def test_names_are_global_and_the_group_counts(harness: AzureHarness, stored: Resource) -> None:
    harness.make(GROUP, "other", resourceGroupName="other")
    with pytest.raises(Refusal, match="AlreadyInUse"):
        harness.make(STORAGE_ACCOUNT, "other", **{**stored.inputs, "resourceGroupName": "other"})
    assert stored.id == f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/{stored['name']}"
