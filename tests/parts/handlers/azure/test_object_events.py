"""Event Grid's events of blobs: which version each one tells of."""

import json

import pytest

from handlers.functions.azure.object_events import created
from handlers.functions.azure.places import Place
from handlers.functions.outcomes import Refused

OBJECTS = Place("https://mine.blob.core.windows.net", "objects")
# As "Azure Blob Storage as an Event Grid source" shows it.
DATA = {
    "api": "PutBlockList",
    "clientRequestId": "4c5dd7fb-2c48-4a27-bb30-5361b5de920a",
    "requestId": "9aeb0fdf-c01e-0131-0922-9eb549000000",
    "eTag": "0x8D76C39E4407333",
    "contentType": "image/png",
    "contentLength": 30699,
    "blobType": "BlockBlob",
    "url": "https://mine.blob.core.windows.net/objects/in/a%20b.png",
    "sequencer": "000000000000000000000000000099240000000000c41c18",
    "storageDiagnostics": {"batchId": "681fe319-3006-00a8-0022-9e7cde000000"},
}
EVENT = {
    "topic": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/mine",
    "subject": "/blobServices/default/containers/objects/blobs/in/a b/blobs/ü.png",
    "eventType": "Microsoft.Storage.BlobCreated",
    "id": "9aeb0fdf-c01e-0131-0922-9eb54906e209",
    "data": DATA,
    "dataVersion": "",
    "metadataVersion": "1",
    "eventTime": "2019-11-18T15:13:39.4589254Z",
}
CLOUD_EVENT = {name: EVENT[name] for name in ("subject", "id", "data")} | {
    "source": EVENT["topic"],
    "type": EVENT["eventType"],
    "time": EVENT["eventTime"],
    "specversion": "1.0",
}


def version_of(event):
    return created(json.dumps(event).encode(), OBJECTS)


@pytest.mark.parametrize("event", [EVENT, CLOUD_EVENT], ids=["Event Grid's schema", "CloudEvents"])
def test_an_event_tells_of_a_version_by_its_etag(event):
    found = version_of(event)
    assert (found.bucket, found.key, found.size) == ("objects", "in/a b/blobs/ü.png", 30699)
    assert found.id == ("objects/in/a b/blobs/ü.png", "0x8D76C39E4407333")
    assert found.uri == "https://mine.blob.core.windows.net/objects/in/a%20b/blobs/%C3%BC.png?etag=0x8D76C39E4407333"
    assert found.request_id == DATA["requestId"]


def test_sequencers_of_any_length_compare_as_the_events_are_ordered():
    told = ["0000000000000000000000000000FFFF", "000000000000000000000000000000000000000000010000", "ABCDE", "1" * 64]
    found = [version_of(EVENT | {"data": DATA | {"sequencer": each}}).sequencer for each in told]
    assert found == sorted(found)
    assert {len(each) for each in found} == {64}


@pytest.mark.parametrize("api", ["CreateFile", "SftpCreate"])
def test_what_comes_before_the_content_tells_of_no_version(api):
    assert version_of(EVENT | {"data": DATA | {"api": api}}) is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (EVENT | {"eventType": "Microsoft.Storage.BlobDeleted"}, "is worked on"),
        (EVENT | {"subject": "/blobServices/default/containers/other/blobs/a"}, "the container 'other'"),
        (EVENT | {"subject": "objects/a"}, "the subject is 'objects/a'"),
        (EVENT | {"data": None}, "none of Azure Storage: AttributeError"),
        (EVENT | {"data": DATA | {"contentLength": "many"}}, "none of Azure Storage: ValueError"),
        (EVENT | {"data": DATA | {"contentLength": float("inf")}}, "none of Azure Storage: OverflowError"),
        (EVENT | {"data": DATA | {"eTag": '""'}}, "it has no eTag"),
        (EVENT | {"data": {name: value for name, value in DATA.items() if name != "sequencer"}}, "KeyError: 'sequencer'"),
        ({}, "is of type 'None'"),
        ([EVENT], "it is no JSON object"),
    ],
)
def test_another_message_is_refused(event, reason):
    with pytest.raises(Refused, match=reason):
        version_of(event)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(body):
    with pytest.raises(Refused, match="not JSON"):
        created(body, OBJECTS)
