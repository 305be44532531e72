"""S3: objects that a program uploads, really, to the emulator."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from pilotlight.twin.aws.s3_events import Created
from pilotlight.twin.aws.s3_rows import existing_bucket
from pilotlight.twin.rows import Name, Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
_SOURCES = ("source", "content", "contentBase64")


def _object_limits(inputs: Properties) -> list[str]:
    given = [name for name in _SOURCES if name in inputs]
    problems = [f"{' and '.join(given)}: only one of {', '.join(_SOURCES)} can be set."] if len(given) > 1 else []
    key = inputs.get("key")
    if isinstance(key, str) and not 1 <= len(key.encode()) <= 1024:
        # S3 user guide, "Object key naming".
        problems.append(f"key: has {len(key.encode())} bytes: use 1 to 1024.")
    return problems


def _object(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
        "contentType": inputs.get("contentType", "application/octet-stream"),
        "storageClass": inputs.get("storageClass", "STANDARD"),
        "serverSideEncryption": inputs.get("serverSideEncryption", "AES256"),
        "bucketKeyEnabled": inputs.get("bucketKeyEnabled", False),
        "forceDestroy": inputs.get("forceDestroy", False),
        **{f"checksum{name}": "" for name in ("Crc32", "Crc32c", "Crc64nvme", "Sha1", "Sha256")},
    }


def _upload(twin: Twin, resource: Resource) -> dict[str, Any]:
    headers = {
        "ContentType": resource["contentType"],
        **{name: resource[key] for key, name in _HEADERS.items() if resource.get(key)},
    }
    body = _body(resource.inputs)
    answer = twin.s3.put(resource["bucket"], resource["key"], body, **headers)
    etag, version = str(answer["ETag"]).strip('"'), answer.get("VersionId")
    twin.bucket_events.created(
        Created(
            how="Put",
            bucket=resource["bucket"],
            key=resource["key"],
            size=len(body) if isinstance(body, bytes) else body.stat().st_size,
            etag=etag,
            version=version,
            principal="AIDAPILOTLIGHTDEPLOY",
        )
    )
    return {"etag": etag, "versionId": version or ""}


_HEADERS = {
    "cacheControl": "CacheControl",
    "contentDisposition": "ContentDisposition",
    "contentEncoding": "ContentEncoding",
    "contentLanguage": "ContentLanguage",
    "metadata": "Metadata",
}


def _body(inputs: Properties) -> Path | bytes:
    if "source" in inputs:
        return Path(inputs["source"]["path"])
    if "contentBase64" in inputs:
        return base64.b64decode(inputs["contentBase64"])
    return str(inputs.get("content", "")).encode()


def _read_object(twin: Twin, resource: Resource) -> dict[str, Any] | None:
    live = twin.s3.head(resource["bucket"], resource["key"])
    if live is None:
        return None
    outputs = {**resource.outputs, "etag": str(live["ETag"]).strip('"'), "contentType": live.get("ContentType", resource["contentType"])}
    if outputs["etag"] != resource["etag"] and "source" in resource.outputs:
        # Somebody wrote other bytes: the recorded hash no longer tells what is there, so the next update uploads again.
        outputs["source"] = {**resource["source"], "hash": ""}
    return outputs


ROWS: tuple[Row, ...] = (
    Row(
        token=OBJECT,
        id=lambda p: f"{p['bucket']}/{p['key']}",
        name=Name(field="key", max_length=1024),
        replaces=frozenset({"bucket", "key", "region"}),
        computed=_object,
        volatile=frozenset({"etag", "versionId"}),
        limits=_object_limits,
        check=existing_bucket,
        create=_upload,
        update=lambda twin, old, new: _upload(twin, new),
        delete=lambda twin, resource: twin.s3.delete(resource["bucket"], resource["key"]),
        read=_read_object,
        upsert=True,
    ),
)
