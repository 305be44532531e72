"""Blobs over the REST API: read as they arrive whatever breaks on the way, written, and proven; Azure's own client beside ours."""

import subprocess
import sys

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContentSettings

from handlers.functions import connections
from handlers.functions.azure.blobs import Blobs
from handlers.functions.azure.objects import BlobObjects
from handlers.functions.azure.storage_api import VERSION
from handlers.functions.outcomes import Refused, Unavailable
from handlers.functions.rest import ATTEMPTS, ApiError

BODY = bytes(range(256)) * 4000
NAME = "objects/in/a b?#%2F+ü服.txt"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)


@pytest.fixture
def blobs(azure):
    return Blobs(azure.url("blob"))


@pytest.fixture
def theirs(azure):
    with BlobServiceClient(azure.url("blob"), **azure.sdk) as client:
        yield client


def read(download):
    with download:
        parts = []
        while part := download.read(1 << 16):
            parts.append(part)
    return b"".join(parts)


def host(azure):
    return azure.front.address.removeprefix("https://")


def objects(azure, max_bytes=1 << 20):
    found = BlobObjects(timeout_s=5, max_bytes=max_bytes)
    return lambda name, **which: found.get(host(azure), f"blob/mine/{name}", which)


def test_a_blob_that_azures_own_client_put_comes_as_it_is_stored(azure, blobs, theirs):
    container, _, key = NAME.partition("/")
    settings = ContentSettings(content_type="text/plain; charset=utf-8")
    put = theirs.get_blob_client(container, key).upload_blob(BODY, content_settings=settings)
    download = blobs.open(NAME)
    assert (download.size, download.version, download.content_type) == (len(BODY), put["etag"], "text/plain; charset=utf-8")
    assert read(download) == BODY


def test_a_blob_that_is_put_is_what_azures_own_client_finds(azure, blobs, theirs):
    assert blobs.write(NAME, BODY, content_type="application/json", only_new=True)
    container, _, key = NAME.partition("/")
    blob = theirs.get_blob_client(container, key)
    found = blob.download_blob()
    assert (found.readall(), found.properties.content_settings.content_type) == (BODY, "application/json")
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(BODY)
    conditions = ("x-ms-blob-type", "if-none-match", "content-length")
    assert azure.asked(0, *conditions) == azure.asked(-1, *conditions)


def test_one_token_goes_along_with_every_request_and_the_version_of_the_api(azure, blobs):
    azure.account.blobs.put("objects/a", b"x")
    for _ in range(3):
        assert read(blobs.open("objects/a")) == b"x"
    assert azure.identities.tokens == ["token-1"]
    assert {(headers["authorization"], headers["x-ms-version"]) for _, _, headers in azure.front.seen} == {("Bearer token-1", VERSION)}


def test_no_token_goes_to_a_server_that_nobody_vouches_for(azure, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    connections._tls.cache_clear()
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
        Blobs(azure.url("blob")).open("objects/a")
    assert azure.front.seen == []


def test_a_connection_that_breaks_goes_on_where_it_broke(azure, blobs):
    stored = azure.account.blobs.put("objects/a", BODY)
    azure.front.cut_after[:] = [300_000, 1, 0, 200_000]
    assert read(blobs.open("objects/a")) == BODY
    # The connection that ends at once is the one that brings nothing.
    asked = [(headers.get("x-ms-range"), headers.get("if-match")) for _, _, headers in azure.front.seen]
    places = (300_000, 300_001, 300_001, 500_001)
    assert asked == [(None, None), *((f"bytes={place}-", stored.etag) for place in places)]


def test_a_blob_that_is_replaced_while_it_is_read_is_not_mixed(azure, blobs):
    azure.account.blobs.put("objects/a", BODY)
    azure.front.cut_after[:] = [1000]
    with blobs.open("objects/a") as download:
        assert len(download.read(1000)) == 1000
        azure.account.blobs.put("objects/a", BODY[::-1])
        with pytest.raises(ApiError, match="412 ConditionNotMet: Told so"):
            download.read(1000)


def test_a_connection_that_brings_nothing_more_is_given_up(azure, blobs):
    azure.account.blobs.put("objects/a", BODY)
    azure.front.cut_after[:] = [1000] + [0] * 100
    with blobs.open("objects/a") as download:
        assert len(download.read(1000)) == 1000
        with pytest.raises(ApiError, match="brought no part of the object from byte 1000 on"):
            download.read(1000)
    assert len(azure.front.seen) == ATTEMPTS


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_service_that_is_busy_is_asked_again(azure, blobs, status):
    azure.account.blobs.put("objects/a", BODY)
    azure.front.statuses[:] = [status] * (ATTEMPTS - 1)
    assert read(blobs.open("objects/a")) == BODY
    azure.front.statuses[:] = [status] * ATTEMPTS
    with pytest.raises(ApiError, match=f"{status} .*refused with {status}"):
        blobs.open("objects/a")


@pytest.mark.parametrize(("name", "code"), [("objects/none", "BlobNotFound"), ("none/a", "ContainerNotFound")])
def test_what_is_refused_is_told_in_the_services_words_and_not_asked_again(azure, blobs, name, code):
    with pytest.raises(ApiError, match=f"^404 {code}: Told so\\.$") as refusal:
        blobs.open(name)
    assert (refusal.value.status, refusal.value.code, len(azure.front.seen)) == (404, code, 1)


def test_a_blob_is_written_once_where_it_is_to_be_new(azure, blobs):
    azure.front.statuses[:] = [503]
    assert blobs.write("objects/a", b"first", content_type="text/plain", only_new=True)
    assert not blobs.write("objects/a", b"second", content_type="text/plain", only_new=True)
    assert azure.account.blobs.blobs["objects/a"][-1].body == b"first"
    assert blobs.write("objects/a", b"third", content_type="text/plain")
    assert azure.account.blobs.blobs["objects/a"][-1].body == b"third"
    with pytest.raises(ApiError, match="ContainerNotFound"):
        blobs.write("none/a", b"x", content_type="text/plain", only_new=True)


def test_the_very_version_is_read_and_one_that_is_gone_is_refused(azure):
    get = objects(azure)
    old, new = azure.account.blobs.put("objects/a.txt", "old"), azure.account.blobs.put("objects/a.txt", "new")
    assert (get("objects/a.txt").body, get("objects/a.txt", versionid=old.version).body) == (b"new", b"old")
    assert get("objects/a.txt", IfMatch=new.etag).body == b"new"
    with pytest.raises(Refused, match="it was replaced"):
        get("objects/a.txt", IfMatch=old.etag)
    with pytest.raises(Refused, match="it was deleted, or replaced"):
        get("objects/a.txt", versionid="2020-01-01T00:00:00.0000000Z")
    with pytest.raises(Refused, match="it was deleted"):
        get("objects/none.txt")


def test_a_blob_that_is_too_large_is_not_read(azure):
    azure.account.blobs.put("objects/a", b"x" * 11)
    assert objects(azure, 11)("objects/a").body == b"x" * 11
    with pytest.raises(Refused, match="11 bytes: 10 are allowed"):
        objects(azure, 10)("objects/a")


def test_what_came_is_proven_by_its_hash_where_there_is_one(azure):
    azure.account.blobs.put("objects/a", b"right")
    azure.front.change = lambda _: b"wrong"
    with pytest.raises(Unavailable, match="another MD5"):
        objects(azure)("objects/a")
    azure.account.blobs.blocks.add("objects/a")
    assert objects(azure)("objects/a").body == b"wrong"


def test_a_store_that_does_not_answer_is_tried_later(azure):
    azure.front.statuses[:] = [403]
    with pytest.raises(Unavailable, match="403"):
        objects(azure)("objects/a")


def test_an_empty_blob_is_empty(azure):
    azure.account.blobs.put("objects/empty", b"")
    assert objects(azure)("objects/empty").body == b""


def test_reading_a_model_imports_no_sdk():
    code = "import sys, handlers.functions.azure.objects; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"azure", "msal", "requests", "urllib3", "httpx", "botocore", "google"} & set(done.stdout.split())
