"""Cloud Storage on the twin: Google's own clients, and what they never send."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload

from handlers.functions.gcp.storage import Storage
from handlers.functions.rest import ApiError
from pilotlight.twin import asgi
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.gcp.storage_blobs import hashes
from tests.twin.gcp.conftest import PROJECT
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.objects import NO_SOFT_DELETE, PIECE, Cloud
from tests.twin.gcp.services import harness_in


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("storage"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def cloud(harness: GoogleHarness) -> Cloud:
    return Cloud(harness)


@pytest.fixture
def client(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> storage.Client:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.address)
    return storage.Client(project=PROJECT)


def test_googles_client_stores_reads_describes_copies_and_deletes(cloud: Cloud, client: storage.Client) -> None:
    bucket = client.bucket(cloud.bucket(versioning={"enabled": True}).id)
    bucket.reload()
    assert (bucket.exists(), bucket.versioning_enabled, bucket.location) == (True, True, "EUROPE-WEST1")
    assert client.bucket("nobody-has-this").exists() is False
    blob = bucket.blob("a/ü b.txt")
    blob.metadata = {"made-by": "tests"}
    blob.upload_from_string("hello", content_type="text/plain; charset=utf-8")
    found = bucket.get_blob("a/ü b.txt")
    assert (found.size, found.content_type, found.metadata) == (5, "text/plain; charset=utf-8", {"made-by": "tests"})
    assert found.md5_hash == base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert found.generation == blob.generation
    assert (blob.download_as_bytes(), found.download_as_bytes(start=1, end=2), bucket.blob("b").exists()) == (b"hello", b"el", False)
    found.cache_control, found.metadata = "no-cache", {"made-by": None, "kept": "yes"}
    found.patch()
    found.reload()
    assert (found.cache_control, found.metadata, found.metageneration) == ("no-cache", {"kept": "yes"}, 2)
    copy = bucket.copy_blob(found, bucket, "a/copy")
    assert (copy.download_as_bytes(), copy.content_type, copy.metadata) == (b"hello", "text/plain; charset=utf-8", {"kept": "yes"})
    bucket.blob("a/copy").delete()
    assert [one.name for one in client.list_blobs(bucket)] == ["a/ü b.txt"]
    assert [(one.name, one.time_deleted is None) for one in client.list_blobs(bucket, versions=True)] == [
        ("a/copy", False),
        ("a/ü b.txt", True),
    ]


def test_googles_client_moves_large_objects_in_pieces(cloud: Cloud, client: storage.Client) -> None:
    body = os.urandom(5 * PIECE + 7)
    bucket = client.bucket(cloud.bucket().id)
    blob = bucket.blob("large", chunk_size=PIECE)
    blob.upload_from_string(body, checksum="crc32c")
    assert blob.crc32c == hashes(body)["crc32c"]
    assert bucket.blob("large", chunk_size=PIECE).download_as_bytes() == body
    with bucket.blob("written").open("wb", chunk_size=PIECE) as file:
        for at in range(0, len(body), 100_000):
            file.write(body[at : at + 100_000])
    with bucket.blob("written").open("rb") as file:
        file.seek(PIECE)
        assert file.read(10) == body[PIECE : PIECE + 10]
    assert bucket.blob("written").download_as_bytes() == body


def test_the_other_client_of_google_sends_its_bodies_otherwise(cloud: Cloud) -> None:
    logging.getLogger("googleapiclient.discovery_cache").setLevel(logging.ERROR)
    document = json.loads(get_static_doc("storage", "v1"))
    document["rootUrl"] = document["baseUrl"] = f"{cloud.address}/"
    document["baseUrl"] += document["servicePath"]
    objects = build_from_document(document, credentials=AnonymousCredentials()).objects()  # type: ignore[no-untyped-call]
    bucket, body = cloud.bucket().id, b"\r\n--half a boundary\r" + os.urandom(3 * PIECE) + b"\r\n"
    for resumable in (False, True):
        media = MediaIoBaseUpload(io.BytesIO(body), "application/x-tried", chunksize=PIECE, resumable=resumable)
        made = objects.insert(bucket=bucket, name="one", media_body=media, body={"metadata": {"a": "b"}}).execute()
        assert (made["size"], made["contentType"], made["metadata"]) == (str(len(body)), "application/x-tried", {"a": "b"})
        found = io.BytesIO()
        download = MediaIoBaseDownload(found, objects.get_media(bucket=bucket, object="one"), chunksize=PIECE)
        while not download.next_chunk()[1]:
            pass
        assert found.getvalue() == body
    assert objects.list(bucket=bucket).execute()["items"][0]["name"] == "one"
    objects.delete(bucket=bucket, object="one").execute()
    assert "items" not in objects.list(bucket=bucket).execute()


def test_the_patterns_functions_read_and_write(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.address)
    bucket, objects, body = cloud.bucket(versioning={"enabled": True}), Storage(), os.urandom(700_000)
    assert objects.write(bucket.id, "in/ä", body, content_type="application/x-tried", only_new=True)
    assert not objects.write(bucket.id, "in/ä", b"other", content_type="text/plain", only_new=True)
    first = cloud.object("GET", bucket, "in/ä").json()["generation"]
    assert objects.write(bucket.id, "in/ä", b"other", content_type="text/plain")
    with objects.open(bucket.id, "in/ä", generation=first) as old, objects.open(bucket.id, "in/ä") as new:
        assert (old.whole(), old.size, old.version, old.content_type) == (body, len(body), first, "application/x-tried")
        assert old.md5 == base64.b64encode(hashlib.md5(body).digest()).decode()
        assert new.whole() == b"other"
    with pytest.raises(ApiError) as caught:
        objects.open(bucket.id, "nothing")
    assert caught.value.status == 404


def test_every_verb_keeps_its_conditions(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    assert cloud.put(bucket, "o", ifGenerationMatch=1).status_code == 412
    assert cloud.put(bucket, "o", ifGenerationNotMatch=0).status_code == 412
    made = cloud.put(bucket, "o", ifGenerationMatch=0).json()
    assert cloud.put(bucket, "o", ifGenerationMatch=0).status_code == 412
    right, wrong = made["generation"], str(int(made["generation"]) - 1)
    calls: dict[str, Any] = {
        "media": lambda query: cloud.read(bucket, "o", **query),
        "get": lambda query: cloud.object("GET", bucket, "o", params=query),
        "patch": lambda query: cloud.object("PATCH", bucket, "o", params=query, json={}),
        "update": lambda query: cloud.object("PUT", bucket, "o", params=query, json={}),
        "delete": lambda query: cloud.object("DELETE", bucket, "o", params=query),
        "upload": lambda query: cloud.put(bucket, "o", **query),
        "copy": lambda query: cloud.call("POST", f"/storage/v1/b/{bucket.id}/o/o/copyTo/b/{bucket.id}/o/o", params=query, json={}),
    }
    unmet: list[dict[str, Any]] = [
        {"ifGenerationMatch": wrong},
        {"ifGenerationMatch": 0},
        {"ifMetagenerationMatch": 7},
        {"ifGenerationNotMatch": right},
        {"ifMetagenerationNotMatch": 1},
    ]
    for name, ask in calls.items():
        for query in unmet:
            reads = name in ("media", "get") and "Not" in next(iter(query))
            assert ask(query).status_code == (304 if reads else 412), (name, query)
    source = {"ifSourceGenerationMatch": wrong}
    assert calls["copy"](source).status_code == 412
    assert calls["copy"]({"ifSourceMetagenerationNotMatch": 1}).status_code == 412
    assert calls["get"]({"ifGenerationMatch": "x"}).status_code == 400
    met = {"ifGenerationMatch": right, "ifMetagenerationMatch": 1, "ifGenerationNotMatch": wrong}
    for name in ("media", "get", "patch", "delete"):
        assert calls[name](met).status_code in (200, 204), name
        met["ifMetagenerationMatch"] = 2 if name == "patch" else met["ifMetagenerationMatch"]
    assert cloud.read(bucket, "o").status_code == 404


def test_generations_grow_and_versions_stay_until_they_are_named(cloud: Cloud) -> None:
    bucket = cloud.bucket(versioning={"enabled": True})
    made = [cloud.put(bucket, "o", str(number).encode()).json()["generation"] for number in range(4)]
    assert made == sorted(set(made), key=int)
    assert abs(int(made[0]) / 1_000_000 - cloud.twin.clock.now()) < 60
    assert [cloud.read(bucket, "o", generation=one).text for one in made] == ["0", "1", "2", "3"]
    assert cloud.object("DELETE", bucket, "o").status_code == 204
    assert cloud.read(bucket, "o").status_code == 404
    old = cloud.object("GET", bucket, "o", params={"generation": made[3]}).json()
    assert "timeDeleted" in old
    assert cloud.object("PATCH", bucket, "o", params={"generation": made[3]}, json={"metadata": {"a": "b"}}).status_code == 200
    assert cloud.object("DELETE", bucket, "o", params={"generation": made[1]}).status_code == 204
    assert cloud.object("DELETE", bucket, "o", params={"generation": made[1]}).status_code == 404
    assert cloud.generations(bucket, versions="true") == [made[0], made[2], made[3]]
    assert cloud.generations(bucket) == []
    copied = cloud.call(
        "POST", f"/storage/v1/b/{bucket.id}/o/o/rewriteTo/b/{bucket.id}/o/back", params={"sourceGeneration": made[0]}, json={}
    ).json()
    assert (copied["done"], copied["objectSize"], copied["resource"]["name"]) == (True, "1", "back")
    assert cloud.read(bucket, "back").text == "0"


def test_without_versions_what_is_replaced_is_gone_or_softly(cloud: Cloud) -> None:
    files = cloud.files()
    hard = cloud.bucket()
    for body in (b"one", b"two"):
        cloud.put(hard, "o", body)
    assert len(cloud.generations(hard, versions="true")) == 1
    cloud.object("DELETE", hard, "o")
    assert cloud.files() == files, "nothing is kept that nobody can ask for"
    soft = cloud.bucket(softDeletePolicy={"retentionDurationSeconds": 7 * 86_400})
    made = [cloud.put(soft, "o", body).json()["generation"] for body in (b"one", b"two")]
    assert cloud.generations(soft) == made[1:]
    (gone,) = cloud.listed(soft, softDeleted="true")["items"]
    assert (gone["generation"], gone["hardDeleteTime"] > gone["softDeleteTime"]) == (made[0], True)
    assert cloud.read(soft, "o", generation=made[0]).status_code == 404
    assert cloud.object("GET", soft, "o", params={"generation": made[0], "softDeleted": "true"}).status_code == 200
    back = cloud.object("POST", soft, "o/restore", params={"generation": made[0]})
    assert back.status_code == 404, "a slash of the name is not one of the path"
    back = cloud.call("POST", f"/storage/v1/b/{soft.id}/o/o/restore", params={"generation": made[0]})
    assert back.status_code == 200, back.text
    assert cloud.read(soft, "o").text == "one"
    assert len(cloud.listed(soft, softDeleted="true")["items"]) == 2
    cloud.harness.wait(cloud.twin.timers.forward(cloud.twin.clock.now() + 8 * 86_400))
    assert "items" not in cloud.listed(soft, softDeleted="true")
    assert cloud.files() == files + 1


def test_a_listing_comes_in_pages_and_folders(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    names = ["a", "dir/", "dir/one", "dir/two", "dir/sub/x", "z/é", "ä"]
    for name in names:
        cloud.put(bucket, name)
    found = cloud.listed(bucket, delimiter="/")
    assert ([one["name"] for one in found["items"]], found["prefixes"]) == (["a", "ä"], ["dir/", "z/"])
    found = cloud.listed(bucket, prefix="dir/", delimiter="/", includeTrailingDelimiter="true")
    assert ([one["name"] for one in found["items"]], found["prefixes"]) == (["dir/", "dir/one", "dir/two"], ["dir/sub/"])
    seen: list[str] = []
    token: str | None = ""
    pages = 0
    while token is not None:
        page = cloud.listed(bucket, maxResults=2, **({"pageToken": token} if token else {}))
        seen += [one["name"] for one in page["items"]]
        token, pages = page.get("nextPageToken"), pages + 1
    assert (seen, pages) == (sorted(names), 4)
    between = cloud.listed(bucket, startOffset="dir/one", endOffset="z")["items"]
    assert [one["name"] for one in between] == ["dir/one", "dir/sub/x", "dir/two"]
    for query in ({"maxResults": 0}, {"pageToken": "made-up"}, {"versions": "true", "softDeleted": "true"}):
        assert cloud.call("GET", f"/storage/v1/b/{bucket.id}/o", params=query).status_code == 400, query


def test_bytes_come_whole_in_part_or_unpacked(cloud: Cloud) -> None:
    bucket, body = cloud.bucket(), bytes(range(256)) * 2000
    made = cloud.put(bucket, "o", body).json()
    whole = cloud.read(bucket, "o")
    assert (whole.content, whole.headers["content-length"]) == (body, str(len(body)))
    assert whole.headers["x-goog-generation"] == made["generation"]
    assert whole.headers["x-goog-hash"] == f"crc32c={made['crc32c']},md5={made['md5Hash']}"
    for text, start, end in (
        ("10-19", 10, 20),
        ("511990-", 511_990, len(body)),
        ("-5", len(body) - 5, len(body)),
        ("5-9999999", 5, len(body)),
    ):
        part = cloud.read(bucket, "o", headers={"Range": f"bytes={text}"})
        assert (part.status_code, part.content) == (206, body[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(body)}"
    assert cloud.read(bucket, "o", headers={"Range": "bytes=512000-"}).status_code == 416
    assert cloud.read(bucket, "o", headers={"Range": "lines=1-2"}).content == body
    much = bytes(9_000_000) + os.urandom(700_000) + bytes(9_000_000)
    cloud.put(bucket, "much", gzip.compress(much), contentEncoding="gzip")
    assert cloud.read(bucket, "much", headers={"Accept-Encoding": "identity"}).content == much
    cloud.put(bucket, "packed", gzip.compress(body), contentEncoding="gzip")
    unpacked = cloud.read(bucket, "packed", headers={"Accept-Encoding": "identity"})
    assert (unpacked.content, "content-encoding" in unpacked.headers) == (body, False)
    address = f"{cloud.address}/download/storage/v1/b/{bucket.id}/o/packed?alt=media"
    with httpx.stream("GET", address, headers={"Accept-Encoding": "gzip"}, trust_env=False) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(packed.iter_raw())) == body


def begin(cloud: Cloud, bucket: Any, name: str, who: str | None = None, **given: Any) -> str:
    query = {"uploadType": "resumable", "name": name, **given.pop("query", {})}
    answer = cloud.call("POST", f"/upload/storage/v1/b/{bucket.id}/o", who, params=query, json=given)
    assert answer.status_code == 200, answer.text
    return answer.headers["location"]


def piece(address: str, content: bytes, place: str, **headers: str) -> httpx.Response:
    return httpx.put(address, content=content, headers={"Content-Range": f"bytes {place}", **headers}, trust_env=False)


def test_an_upload_goes_on_where_it_stopped(cloud: Cloud) -> None:
    bucket, body = cloud.bucket(), os.urandom(3 * PIECE)
    address = begin(cloud, bucket, "o", contentType="text/x-tried")
    assert (piece(address, b"", "*/*").status_code, "range" in piece(address, b"", "*/*").headers) == (308, False)
    half = piece(address, body[: PIECE + 100], f"0-{PIECE + 99}/{len(body)}")
    assert (half.status_code, half.headers["range"]) == (308, f"bytes=0-{PIECE - 1}"), "whole units are kept"
    assert piece(address, body[2 * PIECE :], f"{2 * PIECE}-{3 * PIECE - 1}/{len(body)}").status_code == 400
    again = piece(address, body[: 2 * PIECE], f"0-{2 * PIECE - 1}/*")
    assert again.headers["range"] == f"bytes=0-{2 * PIECE - 1}", "what is known already is passed over"
    assert cloud.read(bucket, "o").status_code == 404
    wrong = piece(address, body[2 * PIECE :] + b"more", f"{2 * PIECE}-{3 * PIECE - 1}/{len(body)}")
    assert wrong.status_code == 400
    done = piece(address, body[2 * PIECE :], f"{2 * PIECE}-{3 * PIECE - 1}/{len(body)}")
    assert (done.status_code, done.json()["size"], done.json()["contentType"]) == (200, str(len(body)), "text/x-tried")
    assert cloud.read(bucket, "o").content == body
    assert piece(address, b"", "*/*").json()["generation"] == done.json()["generation"], "a lost answer can be asked for again"
    for bad in ("0-5/3", "5-1/9", "x"):
        assert piece(begin(cloud, bucket, "p"), b"x", bad).status_code == 400
    assert httpx.put(begin(cloud, bucket, "whole"), content=body, trust_env=False).status_code == 200
    assert piece(begin(cloud, bucket, "empty"), b"", "*/0").json()["size"] == "0"


def test_an_upload_ends_by_its_client_by_its_hash_or_by_time(cloud: Cloud) -> None:
    bucket, files = cloud.bucket(), cloud.files()
    address = begin(cloud, bucket, "o")
    assert httpx.delete(address, trust_env=False).status_code == 499
    assert piece(address, b"x", "0-0/1").status_code == 404
    wrong = begin(cloud, bucket, "o", md5Hash="AAAAAAAAAAAAAAAAAAAAAA==")
    assert "doesn't match calculated MD5" in piece(wrong, b"x", "0-0/1").json()["error"]["message"]
    assert piece(begin(cloud, bucket, "o"), b"x", "0-0/1", **{"x-goog-hash": "crc32c=AAAAAA=="}).status_code == 400
    conditional = begin(cloud, bucket, "o", query={"ifGenerationMatch": 0})
    cloud.put(bucket, "o")
    assert piece(conditional, b"y", "0-0/1").status_code == 412, "conditions hold when the object is made"
    assert cloud.files() == files + 1
    late = begin(cloud, bucket, "late")
    assert cloud.files() == files + 2
    cloud.harness.wait(cloud.twin.timers.forward(cloud.twin.clock.now() + 7 * 86_400 + 3600))
    assert piece(late, b"x", "0-0/1").status_code == 404
    assert cloud.files() <= files + 1


def test_an_upload_in_two_parts_is_read_or_refused(cloud: Cloud) -> None:
    bucket = cloud.bucket()

    def send(body: bytes, kind: str = 'multipart/related; boundary="=b="') -> httpx.Response:
        query, path = {"uploadType": "multipart"}, f"/upload/storage/v1/b/{bucket.id}/o"
        return cloud.call("POST", path, params=query, content=body, headers={"Content-Type": kind})

    head = b'--=b=\r\nContent-Type: application/json\r\n\r\n{"name": "o", "crc32c": "%s"}\r\n--=b=\r\nContent-Type: text/x-tried\r\n\r\n'
    crc = hashes(b"a\r\n--=b")["crc32c"].encode()
    answer = send(head % crc + b"a\r\n--=b\r\n--=b=--\r\n")
    assert (answer.status_code, answer.json()["contentType"], answer.json()["size"]) == (200, "text/x-tried", "7"), answer.text
    assert cloud.read(bucket, "o").content == b"a\r\n--=b"
    assert "doesn't match calculated CRC32C" in send(head % b"AAAAAA==" + b"x\r\n--=b=--").text
    for body in (b"", b"--=b=\r\n\r\n{", head % crc + b"no end", b"early --=b=\r\n"):
        assert send(body).status_code == 400, body
    assert send(head % crc + b"x\r\n--=b=--", "multipart/related").status_code == 400
    assert cloud.generations(bucket) == [answer.json()["generation"]]


def test_names_that_no_object_may_have(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    for name in ("", "x" * 1025, "é" * 513, "a\nb", ".", "..", ".well-known/acme-challenge/x"):
        assert cloud.put(bucket, name).status_code == 400, name
    for name in ("x" * 1024, "a/../b", "…", "a//b/", "#?%"):
        made = cloud.put(bucket, name)
        assert (made.status_code, cloud.read(bucket, name).text) == (200, "x"), name
    assert cloud.object("PATCH", bucket, "…", json={"metadata": {"k": "v" * 8192}}).status_code == 400
    assert cloud.object("PATCH", bucket, "…", json={"metadata": {"k": 1}}).status_code == 400
    for custom, status in (("soon", 400), ("2026-11-26T12:00:00", 400), ("2026-11-26T12:00:00Z", 200)):
        assert cloud.object("PATCH", bucket, "…", json={"customTime": custom}).status_code == status


def test_who_may_what(cloud: Cloud) -> None:
    bucket, other = cloud.bucket(), cloud.bucket()
    reader, writer, viewer = (cloud.harness.account(f"{name}-account") for name in ("reader", "writer", "viewer"))
    here = f"projects/_/buckets/{bucket.id}"
    inside = {"title": "in", "expression": f'resource.name.startsWith("{here}/objects/in/")'}
    cloud.grant(bucket, f"serviceAccount:{writer}", "objectCreator")
    cloud.grant(bucket, f"serviceAccount:{reader}", "objectViewer", condition=inside)
    cloud.grant(bucket, f"serviceAccount:{viewer}", "objectViewer")
    assert cloud.put(bucket, "in/o", who=writer).status_code == 200
    assert cloud.put(bucket, "in/o", who=writer).status_code == 403, "replacing takes the right to delete"
    assert cloud.put(bucket, "in/o", who=writer, ifGenerationMatch=0).status_code == 412
    assert (cloud.read(bucket, "in/o", reader).text, cloud.put(bucket, "o").status_code) == ("x", 200)
    assert cloud.read(bucket, "o", reader).status_code == 403
    assert cloud.read(bucket, "in/nothing", reader).status_code == 403, "who may not list is not told what is missing"
    assert cloud.read(bucket, "in/nothing", viewer).status_code == 404
    assert cloud.read(bucket, "in/o", writer).status_code == 403
    assert cloud.object("DELETE", bucket, "in/o", viewer).status_code == 403
    assert cloud.object("PATCH", bucket, "in/o", viewer, json={}).status_code == 403
    assert cloud.put(other, "o", who=writer).status_code == 403
    assert cloud.read(cloud.bucket(), "o", viewer).status_code == 403
    assert cloud.call("GET", f"/storage/v1/b/{bucket.id}/o", writer).status_code == 403
    assert cloud.call("GET", f"/storage/v1/b/{bucket.id}", viewer).status_code == 403
    assert cloud.call("GET", "/storage/v1/b/nobody-has-this", viewer).status_code == 404
    may = cloud.call(
        "GET", f"/storage/v1/b/{bucket.id}/iam/testPermissions?permissions=storage.objects.list&permissions=storage.objects.delete", viewer
    )
    assert may.json()["permissions"] == ["storage.objects.list"]
    copied = f"/storage/v1/b/{bucket.id}/o/o/copyTo/b/{other.id}/o/o"
    assert cloud.call("POST", copied, viewer, json={}).status_code == 403
    error = cloud.read(bucket, "in/o", writer).json()["error"]
    assert (error["errors"][0]["reason"], "storage.objects.get" in error["message"]) == ("forbidden", True)
    anonymous = cloud.read(bucket, "in/o", ANONYMOUS)
    assert (anonymous.status_code, anonymous.json()["error"]["errors"][0]["reason"]) == (401, "required")


def test_a_resumable_upload_is_its_beginners(cloud: Cloud) -> None:
    bucket, writer = cloud.bucket(), cloud.harness.account("resuming-account")
    grant = cloud.grant(bucket, f"serviceAccount:{writer}", "objectCreator")
    address = begin(cloud, bucket, "o", writer)
    assert "~" not in address, "the developer's word is not told to others"
    assert piece(address, b"x", "0-0/1").status_code == 200
    taken = begin(cloud, bucket, "taken", writer)
    cloud.put(bucket, "taken", b"others")
    assert piece(taken, b"x", "0-0/1").status_code == 403, "what came meanwhile is not replaced without the right to"
    assert cloud.read(bucket, "taken").text == "others"
    second = begin(cloud, bucket, "p", writer)
    cloud.harness.remove(grant)
    query = {"uploadType": "resumable", "name": "q"}
    assert cloud.call("POST", f"/upload/storage/v1/b/{bucket.id}/o", writer, params=query, json={}).status_code == 403
    assert piece(second, b"x", "0-0/1").status_code == 200, "the address of an upload is the right to it"


def test_a_programs_client_which_sends_no_identity_is_known_by_its_address(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, email = cloud.bucket(), cloud.harness.account("silent-account")
    cloud.put(bucket, "o", b"hello")
    cloud.grant(bucket, f"serviceAccount:{email}", "objectViewer")
    address = cloud.address_of(email)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    blob = storage.Client(project=PROJECT).bucket(bucket.id).get_blob("o")
    assert blob.download_as_bytes() == b"hello"
    with pytest.raises(exceptions.Forbidden, match=r"silent-account@\S+ does not have storage\.objects\.create access"):
        blob.upload_from_string(b"other")
    other, path = cloud.harness.account("other-account"), f"/storage/v1/b/{bucket.id}/o/o"
    assert httpx.get(address.replace(email, other) + path, trust_env=False).status_code == 401, "a word is its account's alone"
    token = {"Authorization": f"Bearer {cloud.tokens.access(other)}"}
    assert httpx.get(address + path, headers=token, trust_env=False).status_code == 403, "who sends a token is who it says"


def test_what_anyone_may_ends_where_public_access_is_prevented(cloud: Cloud) -> None:
    bucket, stranger = cloud.bucket(), cloud.harness.account("stranger-account")
    cloud.put(bucket, "o")
    for member in ("allUsers", "allAuthenticatedUsers"):
        cloud.grant(bucket, member, "objectViewer")
    assert (cloud.read(bucket, "o", ANONYMOUS).text, cloud.read(bucket, "o", stranger).text) == ("x", "x")
    cloud.harness.change(bucket, publicAccessPrevention="enforced")
    assert cloud.read(bucket, "o", ANONYMOUS).status_code == 401
    assert cloud.read(bucket, "o", stranger).status_code == 403


def test_holds_and_retention_keep_objects(cloud: Cloud) -> None:
    bucket = cloud.bucket(retentionPolicy={"retentionPeriod": "3600"})
    cloud.put(bucket, "o")
    for answer in (cloud.object("DELETE", bucket, "o"), cloud.put(bucket, "o", b"other")):
        assert (answer.status_code, "retention policy" in answer.json()["error"]["message"]) == (403, True)
    cloud.harness.wait(cloud.twin.timers.forward(cloud.twin.clock.now() + 3601))
    assert cloud.object("PATCH", bucket, "o", json={"temporaryHold": True}).status_code == 200
    assert "Temporary hold" in cloud.object("DELETE", bucket, "o").text
    cloud.object("PATCH", bucket, "o", json={"temporaryHold": False})
    assert cloud.object("DELETE", bucket, "o").status_code == 204


def test_what_the_twin_does_not_keep_is_refused(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    assert cloud.put(bucket, "o", predefinedAcl="publicRead").status_code == 400
    path = f"/upload/storage/v1/b/{bucket.id}/o?uploadType=resumable&name=o"
    assert cloud.call("POST", path, json={"kmsKeyName": "projects/p/k"}).status_code == 501
    assert cloud.read(bucket, "o", headers={"x-goog-encryption-algorithm": "AES256"}).status_code == 501
    assert cloud.call("DELETE", f"/storage/v1/b/{bucket.id}").status_code == 404
    assert cloud.call("POST", f"/storage/v1/b/{bucket.id}/o?name=x", content=b"x").status_code == 404
    assert cloud.call("POST", f"/upload/storage/v1/b/{bucket.id}/o?name=x", content=b"x").status_code == 400


def test_an_outage_is_answered_and_ended_by_a_test(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.twin.faults.set({"outages": ["storage"]})
    try:
        assert cloud.put(bucket, "o", b"x" * 1_000_000).status_code == 503
    finally:
        cloud.twin.faults.clear()
    assert cloud.put(bucket, "o").status_code == 200


def test_a_refusal_reaches_a_client_that_sends_everything_first(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.address_of(cloud.harness.account("nobody-account")))
    with pytest.raises(ApiError) as caught:
        Storage().write(cloud.bucket().id, "o", bytes(30_000_000), content_type="text/plain")
    assert caught.value.status == 403


def raw(cloud: Cloud, request: str, rest: bytes = b"") -> bytes:
    """What a socket that goes quiet after its request is answered."""
    place = urlsplit(cloud.address)
    assert place.hostname
    with socket.create_connection((place.hostname, place.port or 80), timeout=20) as connection:
        connection.sendall(request.replace("ROOT", place.path).replace("\n", "\r\n").encode() + rest)
        return connection.recv(65536)


def test_a_client_that_goes_quiet_or_leaves_stores_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, files = cloud.bucket(), cloud.files()
    monkeypatch.setattr(asgi, "QUIET_S", 0.3)
    request = f"POST ROOT/upload/storage/v1/b/{bucket.id}/o?uploadType=media&name=o HTTP/1.1\nHost: x\nContent-Length: 100\n\n"
    assert b" 408 " in raw(cloud, request, b"ten bytes.").split(b"\r\n")[0]
    assert cloud.generations(bucket) == []
    address = begin(cloud, bucket, "kept")
    place = urlsplit(address)
    half = f"PUT {place.path}?{place.query} HTTP/1.1\nHost: x\nContent-Length: {2 * PIECE}\n\n"
    assert b" 408 " in raw(cloud, half, bytes(PIECE + 5)).split(b"\r\n")[0]
    assert piece(address, b"", "*/*").headers["range"] == f"bytes=0-{PIECE - 1}"
    assert cloud.files() == files + 1


def test_precondition_failures_reach_the_client_as_its_own_errors(cloud: Cloud, client: storage.Client) -> None:
    blob = client.bucket(cloud.bucket(softDeletePolicy=NO_SOFT_DELETE).id).blob("o")
    blob.upload_from_string(b"x")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=blob.generation + 1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=blob.generation + 1)
    with pytest.raises(exceptions.NotFound):
        client.bucket(blob.bucket.name).blob("p").download_as_bytes()
