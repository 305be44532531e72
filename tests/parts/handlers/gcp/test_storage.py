"""Objects over Cloud Storage's JSON API: read as they arrive whatever breaks on the way, written, and proven."""

import subprocess
import sys

import pytest

from handlers.functions.gcp.objects import CloudStorageObjects
from handlers.functions.gcp.storage import Storage
from handlers.functions.outcomes import Refused, Unavailable
from handlers.functions.rest import ATTEMPTS, ApiError
from handlers.functions.versions import ObjectVersion

BODY = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)


def read(download):
    with download:
        parts = []
        while part := download.read(1 << 16):
            parts.append(part)
    return b"".join(parts)


def version_of(bucket, key, generation):
    return ObjectVersion(
        bucket=bucket.name, key=key, version=generation, sequencer="1", etag="", size=1, uri=f"gs://{bucket.name}/{key}", request_id="id"
    )


def objects(max_bytes=1 << 20):
    return CloudStorageObjects(Storage(), max_bytes=max_bytes)


def test_an_object_comes_as_it_is_stored_whatever_its_name(google, bucket):
    key = "in/a b?#%2F+ü服.txt"
    generation = bucket.put(key, BODY)
    download = Storage().open(bucket.name, key)
    assert (download.size, download.version, download.content_type) == (len(BODY), generation, "text/plain")
    assert read(download) == BODY


def test_the_accounts_token_is_asked_for_once_and_goes_along(google, bucket, front, metadata):
    bucket.put("a", b"x")
    storage = Storage()
    for _ in range(3):
        read(storage.open(bucket.name, "a"))
    assert len(metadata.asked) == 1
    assert {headers["authorization"] for _, _, headers in front.seen} == {"Bearer access-1"}


def test_without_an_emulator_and_a_metadata_server_nothing_is_read(monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    with pytest.raises(ApiError, match=r"The metadata server 127\.0\.0\.1:1 gave no token"):
        Storage().open("models", "model.tar.gz")


def test_an_emulator_without_a_metadata_server_is_asked_without_a_token(cloud_storage, bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud_storage)
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    bucket.put("a", b"x")
    assert read(Storage().open(bucket.name, "a")) == b"x"


def test_a_connection_that_breaks_goes_on_where_it_broke(google, bucket, front):
    generation = bucket.put("a", BODY)
    front.cut_after[:] = [300_000, 1, 0, 200_000]
    assert read(Storage().open(bucket.name, "a")) == BODY
    # The connection that ends at once is the one that brings nothing.
    assert [headers.get("range") for _, _, headers in front.seen] == [
        None,
        "bytes=300000-",
        "bytes=300001-",
        "bytes=300001-",
        "bytes=500001-",
    ]
    assert [f"generation={generation}" in path for _, path, _ in front.seen] == [False, True, True, True, True]


def test_a_connection_that_brings_nothing_more_is_given_up(google, bucket, front):
    bucket.put("a", BODY)
    front.cut_after[:] = [1000] + [0] * 100
    with Storage().open(bucket.name, "a") as download:
        assert len(download.read(1000)) == 1000
        with pytest.raises(ApiError, match="brought no part of the object from byte 1000 on"):
            download.read(1000)
    assert len(front.seen) == ATTEMPTS


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_service_that_is_busy_is_asked_again(google, bucket, front, status):
    bucket.put("a", BODY)
    front.statuses[:] = [status] * (ATTEMPTS - 1)
    assert read(Storage().open(bucket.name, "a")) == BODY
    front.statuses[:] = [status] * ATTEMPTS
    with pytest.raises(ApiError, match=f"{status} .*refused with {status}"):
        Storage().open(bucket.name, "a")
    assert front.statuses == []


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_is_refused_is_not_asked_again(google, bucket, front, status):
    front.statuses[:] = [status]
    with pytest.raises(ApiError) as refusal:
        Storage().open(bucket.name, "a")
    assert (refusal.value.status, len(front.seen)) == (status, 1)


def test_connections_are_kept_and_one_that_the_server_closed_is_replaced(google, bucket, front):
    bucket.put("a", b"x")
    storage = Storage()
    assert read(storage.open(bucket.name, "a")) == b"x"
    (kept,) = storage.api._server._idle
    kept.sock.shutdown(2)
    assert read(storage.open(bucket.name, "a")) == b"x"
    assert len(storage.api._server._idle) == 1
    assert storage.api._server._idle[0] is not kept


def test_an_object_is_written_once_where_it_is_to_be_new(google, bucket, front):
    key, body = "out/a b#%2F+ü.json", b'"first"\r\n--x--\x00'
    front.statuses[:] = [503]
    assert Storage().write(bucket.name, key, body, content_type="application/json", only_new=True)
    assert ["ifGenerationMatch=0" in path for _, path, _ in front.seen] == [True] * 2
    assert not Storage().write(bucket.name, key, b"second", content_type="application/json", only_new=True)
    stored = Storage().open(bucket.name, key)
    assert (stored.content_type, read(stored)) == ("application/json", body)
    assert Storage().write(bucket.name, key, b"third", content_type="text/plain")
    stored = Storage().open(bucket.name, key)
    assert (stored.content_type, stored.whole()) == ("text/plain", b"third")
    front.statuses[:] = [412]
    with pytest.raises(ApiError, match="412"):
        Storage().write(bucket.name, key, b"fourth", content_type="application/json")


def test_who_may_not_delete_is_told_of_an_object_that_is_there_and_refused_where_none_is(google, bucket, front):
    bucket.put("known#1.json", "first")
    front.statuses[:] = [403]
    assert not Storage().write(bucket.name, "known#1.json", b"second", content_type="application/json", only_new=True)
    assert read(Storage().open(bucket.name, "known#1.json")) == b"first"
    for key, only_new, statuses in [("new.json", True, [403]), ("known#1.json", True, [403, 403]), ("known#1.json", False, [403])]:
        front.statuses[:] = list(statuses)
        with pytest.raises(ApiError, match="403 Forbidden: refused with 403"):
            Storage().write(bucket.name, key, b"second", content_type="application/json", only_new=only_new)
        assert front.statuses == []


def test_the_very_generation_is_read_and_one_that_is_gone_is_refused(google, bucket):
    old = bucket.put("a.txt", "old")
    assert objects().read(version_of(bucket, "a.txt", old)).body == b"old"
    new = bucket.put("a.txt", "new")
    content = objects().read(version_of(bucket, "a.txt", new))
    assert (content.body, content.content_type) == (b"new", "text/plain")
    with pytest.raises(Refused, match="it was deleted, or replaced"):
        objects().read(version_of(bucket, "a.txt", old))
    bucket.delete("a.txt")
    with pytest.raises(Refused, match="it was deleted"):
        objects().get(bucket.name, "a.txt", {})


def test_an_object_that_is_too_large_is_not_read(google, bucket):
    bucket.put("a", b"x" * 11)
    assert objects(11).get(bucket.name, "a", {}).body == b"x" * 11
    with pytest.raises(Refused, match="11 bytes: 10 are allowed"):
        objects(10).get(bucket.name, "a", {})


def test_what_came_is_proven_by_its_hash(google, bucket, front):
    bucket.put("a", b"right")
    front.change = lambda _: b"wrong"
    with pytest.raises(Unavailable, match="another MD5"):
        objects().get(bucket.name, "a", {})
    front.change = lambda body: body
    assert objects().get(bucket.name, "a", {}).body == b"right"


def test_a_store_that_does_not_answer_is_tried_later(google, bucket, front):
    front.statuses[:] = [403]
    with pytest.raises(Unavailable, match="403"):
        objects().get(bucket.name, "a", {})


def test_an_empty_object_is_empty(google, bucket):
    bucket.put("empty", b"")
    assert objects().get(bucket.name, "empty", {}).body == b""


def test_reading_a_model_imports_no_sdk(google):
    code = "import sys, handlers.functions.gcp.objects; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"google", "requests", "urllib3", "httpx", "botocore", "boto3"} & set(done.stdout.split())
