"""Event Grid's pure parts: events, filters, retries, what is kept of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.azure import eventgrid_retries as retries
from pilotlight.twin.azure.eventgrid_events import dead_letter, dead_letter_name, event_of
from pilotlight.twin.azure.eventgrid_filters import wants
from pilotlight.twin.azure.eventgrid_sender import Sender
from pilotlight.twin.azure.eventgrid_store import EventStore
from pilotlight.twin.azure.identities import DEVELOPER
from pilotlight.twin.azure.storage_created import Created, Listeners
from pilotlight.twin.azure.tokens import LIFETIME_S
from pilotlight.twin.rows import Refusal
from tests.parts.twin.azure.account import Account

NOW = 1_790_000_000.0
ACCOUNT = "work"
MADE = Created(
    account_id=f"/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",
    container="objects",
    blob="in/Ü 1.TXT",
    api="PutBlob",
    url=f"https://127.0.0.1:1/blob/{ACCOUNT}/objects/in/Ü 1.TXT",
    etag="0x8D83FACDC0C3402",
    content_length=524_288,
    content_type="text/plain",
    blob_type="BlockBlob",
    sequencer="00000000000000000000000000015508000000000005101c",
    request_id="831e1650-001e-001b-66ab-eeb76e000000",
    client_request_id="6d79dbfb-0e37-4fc4-981f-442c9ca65760",
)


def test_the_event_of_a_blob_is_as_azure_documents_it() -> None:
    event = event_of(MADE, NOW)
    id_, batch = event.pop("id"), event["data"].pop("storageDiagnostics")["batchId"]
    assert id_.startswith("831e1650-001e-001b-66ab-eeb76e")
    assert len(id_) == len(batch) == 36
    assert event == {
        "topic": MADE.account_id,
        "subject": "/blobServices/default/containers/objects/blobs/in/Ü 1.TXT",
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": "2026-09-21T14:13:20.0000000Z",
        "data": {
            "api": "PutBlob",
            "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
            "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
            "eTag": "0x8D83FACDC0C3402",
            "contentType": "text/plain",
            "contentLength": 524_288,
            "blobType": "BlockBlob",
            "url": MADE.url,
            "sequencer": "00000000000000000000000000015508000000000005101c",
        },
        "dataVersion": "",
        "metadataVersion": "1",
    }
    assert event_of(MADE, NOW)["id"] != id_
    assert "clientRequestId" not in event_of(replace(MADE, client_request_id=""), NOW)["data"]


def one(operator: str, key: str, *values: Any) -> dict[str, Any]:
    """A filter with one value, with several, or with none."""
    several = operator.endswith(("In", "Range", "With", "Contains"))
    return {"operatorType": operator, "key": key, **({"values": list(values)} if several else {"value": values[0]} if values else {})}


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ({}, True),
        ({"includedEventTypes": ["microsoft.storage.blobcreated"]}, True),
        ({"includedEventTypes": ["Microsoft.Storage.BlobDeleted"]}, False),
        ({"subjectBeginsWith": "/blobServices/default/containers/objects/"}, True),
        ({"subjectBeginsWith": "blobServices/default/containers/objects/"}, False),
        ({"subjectBeginsWith": "/blobServices/default/containers/object/"}, False),
        ({"subjectEndsWith": ".txt"}, True),
        ({"subjectEndsWith": ".txt", "isSubjectCaseSensitive": True}, False),
        ({"subjectBeginsWith": "/blobservices/default", "isSubjectCaseSensitive": True}, False),
        ({"advancedFilters": [one("StringEndsWith", "subject", ".json", ".txt")]}, True),
        ({"advancedFilters": [one("StringEndsWith", "Subject", ".json")]}, False),
        ({"advancedFilters": [one("StringNotEndsWith", "subject", ".json", ".csv")]}, True),
        ({"advancedFilters": [one("StringNotEndsWith", "subject", ".json", ".txt")]}, False),
        ({"advancedFilters": [one("StringIn", "data.API", "putblob", "CopyBlob")]}, True),
        ({"advancedFilters": [one("StringIn", "data.api", "Put")]}, False),
        ({"advancedFilters": [one("StringNotIn", "data.api", "PutBlob")]}, False),
        ({"advancedFilters": [one("StringContains", "data.contentType", "TEXT")]}, True),
        ({"advancedFilters": [one("StringBeginsWith", "data.contentType", "image", "text")]}, True),
        ({"advancedFilters": [one("NumberGreaterThan", "data.contentLength", 524_287)]}, True),
        ({"advancedFilters": [one("NumberGreaterThan", "data.contentLength", 524_288)]}, False),
        ({"advancedFilters": [one("NumberLessThanOrEquals", "data.contentLength", 524_288)]}, True),
        ({"advancedFilters": [one("NumberIn", "data.contentLength", 1, 524_288)]}, True),
        ({"advancedFilters": [one("NumberInRange", "data.contentLength", [1, 2], [500_000, 600_000])]}, True),
        ({"advancedFilters": [one("NumberNotInRange", "data.contentLength", [1, 2], [500_000, 600_000])]}, False),
        # The value is of another kind, or not there.
        ({"advancedFilters": [one("NumberGreaterThan", "data.api", 0)]}, False),
        ({"advancedFilters": [one("StringIn", "data.missing", "a")]}, False),
        ({"advancedFilters": [one("StringNotContains", "data.missing", "a")]}, False),
        ({"advancedFilters": [one("StringNotIn", "data.missing", "a")]}, True),
        ({"advancedFilters": [one("BoolEquals", "data.contentLength", True)]}, False),
        ({"advancedFilters": [one("IsNullOrUndefined", "data.missing")]}, True),
        ({"advancedFilters": [one("IsNotNull", "data.missing")]}, False),
        ({"advancedFilters": [one("IsNotNull", "data.url")]}, True),
        # All of them.
        ({"advancedFilters": [one("StringIn", "data.api", "PutBlob"), one("StringEndsWith", "subject", ".json")]}, False),
        ({"subjectEndsWith": ".json", "advancedFilters": [one("StringIn", "data.api", "PutBlob")]}, False),
    ],
)
def test_an_event_passes_the_filters_that_it_fits(given: dict[str, Any], passes: bool) -> None:
    assert wants(given, event_of(MADE, NOW)) is passes


def test_it_waits_as_the_schedule_says_and_longer_for_some_answers() -> None:
    waits = [retries.wait_s(attempts, 500) for attempts in range(1, 13)]
    assert waits == [10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 43200, 43200]
    # "Max 6 attempts happen before 30 minutes of time to live are over."
    assert sum(waits[:5]) < 1800 <= sum(waits[:6])
    assert [retries.wait_s(1, status) for status in (401, 404, 408, 503)] == [300, 300, 120, 30]
    assert retries.wait_s(6, 503) == 1800
    assert [retries.outcome(status) for status in (404, 503, 408, 403, 400)] == ["NotFound", "Busy", "TimedOut", "Forbidden", "BadRequest"]
    assert [retries.arrived(status) for status in (199, 200, 204, 205)] == [False, True, True, False]


def test_a_dead_letter_is_the_event_with_what_became_of_it(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events")
    store.add("s", {"id": "1", "data": {}}, NOW, NOW)
    (taken,) = store.take(NOW, 9)
    given_up = replace(taken, attempts=3, tried=NOW + 40, outcome="Busy", reason=retries.TOO_OFTEN)
    assert dead_letter(given_up) == {
        "id": "1",
        "data": {},
        "deadLetterReason": "MaxDeliveryAttemptsExceeded",
        "deliveryAttempts": 3,
        "lastDeliveryOutcome": "Busy",
        "publishTime": "2026-09-21T14:13:20.0000000Z",
        "lastDeliveryAttemptTime": "2026-09-21T14:14:00.0000000Z",
    }
    name, _, guid = dead_letter_name({"name": "My-Blob-Subscription"}, 1_770_000_000.0).rpartition("/")
    assert name == "MY-BLOB-SUBSCRIPTION/2026/2/2/2"
    assert len(guid) == 36 + len(".json")
    store.close()


def test_what_was_under_way_is_due_again_after_a_restart(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events")
    for number in range(3):
        store.add("s", {"n": number}, NOW, NOW + number)
    first, second = store.take(NOW + 1, 9)
    assert store.take(NOW + 1, 9) == []
    assert store.next_due() == NOW + 2
    store.end(first)
    store.close()
    again = EventStore(tmp_path / "events")
    assert [one.event["n"] for one in again.take(NOW + 2, 9)] == [1, 2]
    again.later(replace(second, attempts=1, reason="gone"), NOW + 9)
    assert again.take(NOW + 99, 9) == []
    assert again.take_dead(NOW + 8) == []
    assert [(one.attempts, one.reason) for one in again.take_dead(NOW + 9)] == [(1, "gone")]
    again.forget("s")
    assert again.next_due() is None
    again.close()


def test_what_is_put_off_twice_is_taken_once_and_what_is_forgotten_never(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events")
    for number in range(4):
        store.add("s" if number else "gone", {"n": number}, NOW, NOW + 4 - number)
    assert [one.event["n"] for one in store.take(NOW + 9, 2)] == [3, 2]
    (first, second) = store.take(NOW + 9, 2)
    for due in (NOW + 20, NOW + 10, NOW + 10):
        store.later(first, due)
    store.end(second)
    store.later(second, NOW + 10)
    store.forget("gone")
    assert [one.event["n"] for one in store.take(NOW + 99, 9)] == [1]
    assert store.take(NOW + 99, 9) == []
    store.close()


def test_a_token_is_used_for_many_events_and_not_to_its_very_end(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, other = Sender(account.twin), replace(DEVELOPER, tenant="33333333-3333-4333-8333-333333333333")
    token = sender._token(DEVELOPER)
    assert [sender._token(DEVELOPER) for _ in range(3)] == [token] * 3
    assert sender._token(other) != token
    shortly_before = time.time() + LIFETIME_S - 60
    monkeypatch.setattr(time, "time", lambda: shortly_before)
    assert sender._token(DEVELOPER) != token


def test_no_blob_is_stored_before_somebody_listens_who_must_hear_of_it() -> None:
    listeners = Listeners(lambda: NOW, lambda account_id: account_id == "mine")

    async def heard(created: Created) -> None: ...

    with pytest.raises(Refusal, match="ServerBusy"):
        listeners.wanted("mine")
    assert not listeners.wanted("other")
    listeners.add(heard, lambda account_id: account_id == "mine")
    assert (listeners.wanted("mine"), listeners.wanted("other")) == (True, False)
    listeners.remove(heard)
    with pytest.raises(Refusal, match="ServerBusy"):
        listeners.wanted("mine")
