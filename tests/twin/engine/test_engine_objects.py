"""S3 rows with real objects: uploads, versions, what is refused."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from pilotlight.twin.aws.s3 import ObjectStore
from pilotlight.twin.aws.s3_object_rows import OBJECT
from pilotlight.twin.aws.s3_rows import BLOCK, BUCKET, POLICY, VERSIONING
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import ARCHIVE, ASSET, SIGNATURE
from tests.twin.engine.wire import Wire

pytestmark = pytest.mark.usefixtures("with_objects")


@pytest.fixture
def bucket() -> str:
    return f"b-{uuid.uuid4().hex[:12]}"


def file_asset(path: Path, name: str) -> dict[str, Any]:
    return {SIGNATURE: ASSET, "hash": hashlib.sha256(path.read_bytes()).hexdigest(), "path": name}


def test_a_file_is_uploaded_from_the_programs_folder(wire: Wire, bucket: str, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights" * 100_000)
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    asset = file_asset(tmp_path / "model.bin", "../model.bin")
    id_, _, outputs = wire.made(OBJECT, "object", {"bucket": bucket, "key": "m/model.bin", "source": asset, "contentType": "application/x"})
    assert id_ == f"{bucket}/m/model.bin"
    assert outputs["source"]["path"] == "../model.bin"
    assert store.open(bucket, "m/model.bin").read() == b"weights" * 100_000
    head = store.head(bucket, "m/model.bin")
    assert head is not None
    assert head["ContentType"] == "application/x"
    store.download(bucket, "m/model.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "model.bin").read_bytes()


def test_text_and_archives_are_uploaded(wire: Wire, bucket: str, store: ObjectStore, tmp_path: Path) -> None:
    import io
    import zipfile

    wire.made(BUCKET, "bucket", {"bucket": bucket})
    wire.made(OBJECT, "text", {"bucket": bucket, "key": "t", "source": {SIGNATURE: ASSET, "hash": "x", "text": "hello"}})
    assert store.open(bucket, "t").read() == b"hello"
    wire.made(OBJECT, "content", {"bucket": bucket, "key": "c", "content": "plain"})
    assert store.open(bucket, "c").read() == b"plain"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    wire.made(OBJECT, "zip", {"bucket": bucket, "key": "z", "source": {SIGNATURE: ARCHIVE, "hash": "x", "path": "../folder"}})
    with zipfile.ZipFile(io.BytesIO(store.open(bucket, "z").read())) as archive:
        assert archive.read("a.txt") == b"a"


def test_a_file_that_is_gone_and_a_remote_one_are_refused(wire: Wire, bucket: str) -> None:
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    for asset, expected in (({"path": "../none"}, "There is no file"), ({"uri": "https://example.com/x"}, "fetches nothing")):
        with pytest.raises(grpc.RpcError, match=expected):
            wire.made(OBJECT, "object", {"bucket": bucket, "key": "k", "source": {SIGNATURE: ASSET, "hash": "x", **asset}})


def test_an_upload_to_a_bucket_that_is_not_there_is_refused(wire: Wire, bucket: str) -> None:
    with pytest.raises(grpc.RpcError, match="NoSuchBucket"):
        wire.made(OBJECT, "object", {"bucket": bucket, "key": "k", "content": "x"})


def test_other_bytes_are_uploaded_again_and_nothing_else_is(wire: Wire, bucket: str, store: ObjectStore, tmp_path: Path) -> None:
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    (tmp_path / "f").write_text("one")
    id_, inputs, outputs = wire.made(OBJECT, "object", {"bucket": bucket, "key": "k", "source": file_asset(tmp_path / "f", "../f")})
    (tmp_path / "f").write_text("two")
    news = {**inputs, "source": file_asset(tmp_path / "f", "../f")}
    assert list(wire.diff(OBJECT, "object", id_, inputs, outputs, news).diffs) == ["source"]
    changed = wire.update(OBJECT, "object", id_, outputs, news)
    assert changed["etag"] != outputs["etag"]
    assert store.open(bucket, "k").read() == b"two"


def test_an_object_that_somebody_wrote_over_or_deleted_is_seen(wire: Wire, bucket: str, store: ObjectStore, tmp_path: Path) -> None:
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    (tmp_path / "f").write_text("one")
    id_, inputs, outputs = wire.made(OBJECT, "object", {"bucket": bucket, "key": "k", "source": file_asset(tmp_path / "f", "../f")})
    store.put(bucket, "k", b"other")
    _, _, live = wire.read(OBJECT, "object", id_, inputs)
    assert list(wire.diff(OBJECT, "object", id_, live, outputs, inputs).diffs) == ["source"]
    store.delete(bucket, "k")
    assert wire.read(OBJECT, "object", id_, inputs)[0] == ""


def test_a_bucket_with_objects_goes_only_by_force(wire: Wire, bucket: str, store: ObjectStore, twin: Any) -> None:
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    wire.made(VERSIONING, "versioning", {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}})
    for number in range(3):
        store.put(bucket, "k", str(number).encode())
    assert not store.is_empty(bucket)
    with pytest.raises(grpc.RpcError, match="BucketNotEmpty"):
        wire.delete(BUCKET, "bucket", bucket)
    assert store.has_bucket(bucket)
    old = twin.world.get(BUCKET, bucket)
    wire.update(BUCKET, "bucket", bucket, dict(old.outputs), {**old.inputs, "forceDestroy": True})
    wire.delete(BUCKET, "bucket", bucket)
    assert not store.has_bucket(bucket)
    assert store.is_empty(bucket)


def test_a_versioned_object_is_deleted_with_all_its_versions(wire: Wire, bucket: str, store: ObjectStore) -> None:
    wire.made(BUCKET, "bucket", {"bucket": bucket})
    wire.made(VERSIONING, "versioning", {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}})
    id_, _, outputs = wire.made(OBJECT, "object", {"bucket": bucket, "key": "k", "content": "one"})
    assert outputs["versionId"] not in ("", "null")
    store.put(bucket, "k", b"two")
    store.put(bucket, "k2", b"stays")
    wire.delete(OBJECT, "object", id_)
    assert [key for key, _ in store.versions(bucket)] == ["k2"]


def test_a_bucket_that_somebody_deleted_is_gone_at_refresh(wire: Wire, bucket: str, store: ObjectStore) -> None:
    id_, inputs, _ = wire.made(BUCKET, "bucket", {"bucket": bucket})
    store.delete_bucket(bucket)
    assert wire.read(BUCKET, "bucket", id_, inputs)[0] == ""
    wire.delete(BUCKET, "bucket", id_)


def test_a_public_policy_is_refused_where_the_bucket_blocks_it(wire: Wire, bucket: str) -> None:
    import json

    wire.made(BUCKET, "bucket", {"bucket": bucket})
    wire.made(BLOCK, "block", {"bucket": bucket, "blockPublicPolicy": True})
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    with pytest.raises(grpc.RpcError, match="AccessDenied"):
        wire.made(POLICY, "policy", {"bucket": bucket, "policy": json.dumps({"Statement": [statement]})})
    foreign = statement | {"Effect": "Deny", "Resource": "arn:aws:s3:::another/*"}
    with pytest.raises(grpc.RpcError, match="MalformedPolicy: Policy has invalid resource"):
        wire.made(POLICY, "policy", {"bucket": bucket, "policy": json.dumps({"Statement": [foreign]})})
    wire.made(POLICY, "policy", {"bucket": bucket, "policy": json.dumps({"Statement": [statement | {"Effect": "Deny"}]})})


def test_an_emulator_that_does_not_answer_is_a_refusal(tmp_path: Path) -> None:
    gone = ObjectStore("http://127.0.0.1:9")
    with pytest.raises(Refusal, match="does not answer"):
        gone.has_bucket("x")


def test_another_region_has_buckets_too(connect: Callable[..., Wire], bucket: str, store: ObjectStore) -> None:
    _, _, outputs = connect(region="eu-west-1").made(BUCKET, "bucket", {"bucket": bucket})
    assert outputs["bucketRegion"] == "eu-west-1"
    assert store.has_bucket(bucket)
