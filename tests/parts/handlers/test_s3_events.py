"""S3's notifications as SQS delivers them: which versions were created, and what is no such message."""

import contextlib
import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions.aws.s3_events import SEQUENCER_DIGITS, created, is_sqs
from handlers.functions.outcomes import Refused
from tests.parts.handlers.event_world import batch, message

STORED = {"key": "in/a.txt", "size": 9, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "versionId": "v1", "sequencer": "0055AED6DCD90281E5"}
RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "responseElements": {
        "x-amz-request-id": "C3D13FE58DE4C810",
        "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD",
    },
    "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "mine"}, "object": STORED},
}
TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": "mine"}


def body(*records):
    return json.dumps({"Records": records})


def record(name="ObjectCreated:Put", **stored):
    return RECORD | {"eventName": name, "s3": RECORD["s3"] | {"object": STORED | stored}}


def test_a_notification_names_one_version():
    (version,) = created(body(RECORD), "message")
    assert (version.object, version.version, version.id) == ("mine/in/a.txt", "v1", ("mine/in/a.txt", "v1"))
    assert (version.size, version.etag, version.request_id) == (9, STORED["eTag"], "C3D13FE58DE4C810")
    assert version.sequencer == "0055AED6DCD90281E5".ljust(SEQUENCER_DIGITS, "0")
    assert version.uri == "s3://mine/in/a.txt?versionId=v1"


@given(st.text(min_size=1, max_size=200).filter(lambda key: not any("\ud800" <= sign <= "\udfff" for sign in key)))
def test_keys_are_decoded_as_s3_encodes_them(key):
    (version,) = created(body(record(key=quote_plus(key))), "message")
    assert version.key == key


def test_a_plus_is_a_blank_and_an_encoded_one_a_plus():
    (version,) = created(body(record(key="a+b%2Bc")), "message")
    assert version.key == "a b+c"


@pytest.mark.parametrize("name", ["ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload"])
def test_every_way_to_create_an_object_counts(name):
    assert len(created(body(record(name)), "message")) == 1


@pytest.mark.parametrize(
    "name", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "ObjectTagging:Put", "ObjectRestore:Completed"]
)
def test_other_events_are_passed_over(name):
    assert created(body(record(name), RECORD), "message") == created(body(RECORD), "message")


def test_s3s_test_event_names_nothing():
    assert created(json.dumps(TEST_EVENT), "message") == []


@pytest.mark.parametrize("stored", [{"versionId": None}, {"versionId": "null"}, {"versionId": ""}], ids=str)
def test_without_versions_an_upload_is_known_by_its_place_in_the_order(stored):
    (version,) = created(body(record(**stored)), "message")
    assert (version.version, version.id[1]) == (None, "null#0055AED6DCD90281E5")
    assert version.uri == f"s3://mine/in/a.txt?etag={version.etag}"


def test_sequencers_of_different_lengths_compare_as_s3_says():
    def sequencer(text):
        return created(body(record(sequencer=text)), "message")[0].sequencer

    assert sequencer("0055AED6DCD9") < sequencer("0055AED6DCD90281E5") < sequencer("0055aed6dcda")
    assert sequencer("0055AED6DCD9") == sequencer("0055AED6DCD900")


@pytest.mark.parametrize("own", [None, {}, {"x-amz-request-id": "a\nb"}], ids=str)
def test_without_an_id_of_s3_the_correlation_id_is_the_messages(own):
    (version,) = created(body(RECORD | {"responseElements": own}), "message-1")
    assert version.request_id == "message-1" or own == {"x-amz-request-id": "a\nb"}
    assert "\n" not in version.request_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        '"text"',
        "{}",
        '{"Records": []}',
        '{"Records": {}}',
        '{"Records": [null]}',
        '{"Records": [{}]}',
        json.dumps({"Records": [RECORD | {"eventSource": "aws:sns"}]}),
        json.dumps({"Records": [RECORD | {"s3": {}}]}),
        json.dumps({"Records": [RECORD | {"s3": None}]}),
        body(record(key=None)),
        body(record(key="%FF")),
        body(record(size="large")),
        json.dumps({"Type": "Notification", "Message": body(RECORD)}),
        json.dumps({"detail-type": "Object Created", "detail": {}}),
    ],
    ids=lambda text: text[:40],
)
def test_a_message_that_is_no_event_of_s3_is_refused(text):
    with pytest.raises(Refused, match=r"^The message is (no event notification of S3|not JSON)"):
        created(text, "message")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*STORED]), st.sampled_from([None, *RECORD]), JSON)
def test_no_message_is_worse_than_refused(stored, outer, value):
    odd = RECORD | {outer: value} if outer else record(**{stored: value})
    with contextlib.suppress(Refused):
        created(body(odd), "message")


def test_a_batch_of_sqs_is_told_from_other_events():
    assert is_sqs(batch(message(RECORD)))
    assert not any(map(is_sqs, (None, [], {}, {"Records": []}, {"Records": [None]}, {"Records": [RECORD]}, {"Records": "aws:sqs"})))
