"""What Eventarc and Pub/Sub push, read as events of Cloud Storage: whatever comes, it is read or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions.gcp import object_events
from handlers.functions.http_request import HttpRequest
from handlers.functions.outcomes import Refused
from handlers.functions.problems import MalformedBody
from tests.parts.handlers.gcp.event_world import pushed, replayed

# As Eventarc sends it (google-cloudevents, examples of StorageObjectData).
DATA = {
    "kind": "storage#object",
    "id": "mine/in/ä b.txt/1725000000000001",
    "selfLink": "https://www.googleapis.com/storage/v1/b/mine/o/in%2F%C3%A4%20b.txt",
    "name": "in/ä b.txt",
    "bucket": "mine",
    "generation": "1725000000000001",
    "metageneration": "1",
    "contentType": "text/plain",
    "timeCreated": "2026-11-26T03:00:00.000Z",
    "updated": "2026-11-26T03:00:00.000Z",
    "storageClass": "STANDARD",
    "size": "352",
    "md5Hash": "bNeSCCPBBVb0CVYnM/TgQA==",
    "crc32c": "Yn3pEw==",
    "etag": "COHg+8WojIgDEAE=",
}


def test_an_event_names_the_generation_of_its_object():
    version = object_events.created(object_events.read(pushed(json.dumps(DATA).encode(), 1, "mine")))
    assert (version.bucket, version.key, version.version, version.size) == ("mine", "in/ä b.txt", "1725000000000001", 352)
    assert version.uri == "gs://mine/in/%C3%A4%20b.txt?generation=1725000000000001"
    assert (version.etag, version.request_id, version.id) == ("COHg+8WojIgDEAE=", "1001", ("mine/in/ä b.txt", "1725000000000001"))


def test_generations_are_ordered_as_numbers_whatever_their_length():
    def sequencer(generation):
        return object_events.created(
            object_events.read(pushed(json.dumps(DATA | {"generation": generation}).encode(), 1, "mine"))
        ).sequencer

    assert sequencer("999") < sequencer("1000") < sequencer("1725000000000001")


def test_a_replayed_event_is_the_same_and_counted_apart():
    first = object_events.read(pushed(json.dumps(DATA).encode(), 1, "mine"))

    class Letter:
        data, attributes = first.data, {**first.attributes, "reason": "later", "attempts": "3"}

    again, once_more = (object_events.read(replayed(Letter, number)) for number in (1, 2))
    assert object_events.created(again) == object_events.created(first)
    assert again.attributes == first.attributes
    assert len({first.key, again.key, once_more.key}) == 3


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(["ce-id", "ce-source", "ce-type", "x"]), st.text(max_size=20)))
def test_any_request_is_read_or_refused(body, headers):
    try:
        event = object_events.read(HttpRequest("POST", "/", headers, body, None))
        object_events.created(event)
    except (MalformedBody, Refused):
        return
    assert event.id


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=9), lambda inner: st.dictionaries(st.sampled_from([*DATA, "message"]), inner))
)
def test_any_json_is_read_or_refused(value):
    body = json.dumps(value).encode()
    with pytest.raises((MalformedBody, Refused)):
        object_events.created(object_events.read(HttpRequest("POST", "/", {}, body, None)))
    try:
        object_events.created(object_events.read(pushed(body, 1, "mine")))
    except Refused:
        return
