"""The objects behind S3: a client of the emulator, for the twin's own use (people and functions go through the front)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from pilotlight.twin.aws import emulated
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


class ObjectStore:
    """Buckets and objects of the emulator at `endpoint`. Thread-safe. Every method raises Refusal for what S3 refuses."""

    def __init__(self, endpoint: str, region: str = "us-east-1") -> None:
        self._endpoint = endpoint
        self._region = region

    @cached_property
    def _client(self) -> Any:
        return emulated.client(
            "s3",
            self._endpoint,
            self._region,
            s3={"addressing_style": "path"},
            # A checksum in a trailer means chunked framing and a second pass over a model's weights.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        )

    def create_bucket(self, bucket: str, region: str) -> None:
        """A bucket that is there already is no error: the world knows who owns which."""
        extra = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._call("create_bucket", Bucket=bucket, **extra)
        except Refusal as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def has_bucket(self, bucket: str) -> bool:
        return self._found("head_bucket", Bucket=bucket) is not None

    def is_empty(self, bucket: str) -> bool:
        """Whether the bucket holds no object and no version of one; True for one that is not there."""
        return next(self.versions(bucket), None) is None

    def delete_bucket(self, bucket: str, *, force: bool = False) -> None:
        """One that is not there is no error; one that is not empty is refused unless `force`, which deletes every version."""
        if not self.has_bucket(bucket):
            return
        if force:
            for key, version in list(self.versions(bucket)):
                self._call("delete_object", Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
        elif not self.is_empty(bucket):
            raise Refusal(
                "BucketNotEmpty",
                f"The bucket {bucket!r} is not empty. You must delete all versions in the bucket, or set forceDestroy.",
                409,
            )
        self._call("delete_bucket", Bucket=bucket)

    def set_versioning(self, bucket: str, status: str) -> None:
        """`status` is Enabled or Suspended."""
        self._call("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": status})

    def put(self, bucket: str, key: str, body: Path | bytes, **headers: Any) -> dict[str, Any]:
        """Store an object, streamed where `body` is a file; S3's answer (`ETag`, `VersionId`). `headers` are PutObject's parameters."""
        if isinstance(body, bytes):
            return self._call("put_object", Bucket=bucket, Key=key, Body=body, **headers)
        with body.open("rb") as stream:
            return self._call("put_object", Bucket=bucket, Key=key, Body=stream, **headers)

    def head(self, bucket: str, key: str, version: str | None = None) -> dict[str, Any] | None:
        """What HeadObject answers, or None for an object (or a version of it) that is not there."""
        return self._found("head_object", Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))

    def open(self, bucket: str, key: str) -> BinaryIO:
        """The object's bytes as a stream; the caller closes it."""
        stream: BinaryIO = self._call("get_object", Bucket=bucket, Key=key)["Body"]
        return stream

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write the object to a file."""
        with self.open(bucket, key) as source, path.open("wb") as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)

    def delete(self, bucket: str, key: str) -> None:
        """Delete every version of one object; one that is not there is no error."""
        if not self.has_bucket(bucket):
            return
        for found, version in list(self.versions(bucket, key)):
            if found == key:
                self._call("delete_object", Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))

    def versions(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str | None]]:
        """(key, version id) of every version and delete marker; the id is None in a bucket that never had versions."""
        if not self.has_bucket(bucket):
            return
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    version = entry.get("VersionId")
                    yield entry["Key"], None if version in (None, "null") else version
        except (ClientError, BotoCoreError) as error:
            raise emulated.refusal(error, "S3") from None

    def _found(self, operation: str, **parameters: Any) -> dict[str, Any] | None:
        try:
            return self._call(operation, **parameters)
        except Refusal as error:
            if error.code in _MISSING:
                return None
            raise

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except (ClientError, BotoCoreError) as error:
            raise emulated.refusal(error, "S3") from None
        return answer
