"""Objects and buckets as the JSON API tells them, and what a client may say of an object."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pilotlight.twin.gcp.rows_storage import LINK
from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

# Cloud Storage documentation, "Objects", naming, and "Quotas and limits", objects (read 2026-11).
NAME_BYTES = 1024
METADATA_BYTES = 8192
_ACME = ".well-known/acme-challenge/"
_TEXTS = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "customTime")
_FLAGS = ("temporaryHold", "eventBasedHold")
WRITABLE = (*_TEXTS, *_FLAGS, "metadata")
_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY")
# What the twin does not keep: it would be forgotten without a word.
_NOT_KEPT = ("acl", "kmsKeyName", "customerEncryption", "retention", "contexts")


def require_name(name: Any) -> str:
    """The name of an object; Refusal for one that no object may have."""
    if not isinstance(name, str) or not name:
        raise Refusal("required", "Required parameter: name: give the object a name.")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Refusal("invalid", "Invalid object name: it must be valid UTF-8.") from None
    if size > NAME_BYTES:
        raise Refusal("invalid", f"The maximum object length is {NAME_BYTES} characters, but got a name with {size} bytes.")
    if "\n" in name or "\r" in name or name in (".", "..") or name.startswith(_ACME):
        raise Refusal("invalid", f"Disallowed object name {name!r}: no line breaks, not '.' nor '..', nothing below {_ACME}.")
    return name


def said_fields(body: Mapping[str, Any], *, storage_class: bool = True) -> dict[str, Any]:
    """What a client says of an object, as it is kept; None is what it takes away. Refusal for what no object may have."""
    if asked := [name for name in _NOT_KEPT if body.get(name)]:
        raise Refusal("notImplemented", f"{', '.join(asked)}: the twin keeps none of these with objects: leave it out.", 501)
    found: dict[str, Any] = {name: body[name] for name in WRITABLE if name in body}
    if storage_class and body.get("storageClass"):
        if body["storageClass"] not in _CLASSES:
            raise Refusal("invalid", f"Invalid storage class {body['storageClass']!r}: use one of {', '.join(_CLASSES)}.")
        found["storageClass"] = body["storageClass"]
    for names, kind in ((_TEXTS, str), (_FLAGS, bool), (("metadata",), dict)):
        for name in names:
            if not isinstance(found.get(name), kind | None):
                raise Refusal("invalid", f"Invalid value for {name}: {found[name]!r}.")
    if found.get("customTime") is not None and instant(found["customTime"]) is None:
        raise Refusal("invalid", f"Invalid value for customTime: {found['customTime']!r}: use a time like 2026-11-26T12:00:00Z.")
    _judge_metadata(found.get("metadata") or {})
    return found


def instant(text: str) -> float | None:
    """A time of RFC 3339 in seconds since the epoch; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None


def _judge_metadata(metadata: Mapping[str, Any]) -> None:
    if wrong := [key for key, value in metadata.items() if not isinstance(value, str | None)]:
        raise Refusal("invalid", f"metadata.{wrong[0]}: {metadata[wrong[0]]!r} is no text.")
    size = sum(len(key.encode()) + len((value or "").encode()) for key, value in metadata.items())
    if size > METADATA_BYTES:
        raise Refusal("invalid", f"The metadata of an object has {METADATA_BYTES} bytes at the most, these are {size}.")


def merged(old: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A patch (RFC 7396) applied; Refusal where it makes too much metadata."""
    found = {**old, **said}
    if isinstance(said.get("metadata"), Mapping):
        found["metadata"] = {**(old.get("metadata") or {}), **said["metadata"]}
    found = without_nulls(found)
    _judge_metadata(found.get("metadata") or {})
    return found


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in fields.items() if value is not None}
    if "metadata" in found:
        found["metadata"] = {key: value for key, value in found["metadata"].items() if value is not None}
    return found


def resource(version: Version, base: str, bucket: Resource | None = None) -> dict[str, Any]:
    """An object; `base` is the address below which its bytes can be had, `bucket` tells until when it is kept."""
    path = f"{version.bucket}/o/{quote(version.name, safe='')}"
    fields = dict(version.fields)
    created = iso(version.created)
    found = {
        "kind": "storage#object",
        "id": f"{version.bucket}/{version.name}/{version.generation}",
        "selfLink": LINK + path,
        "mediaLink": f"{base}/download/storage/v1/b/{path}?generation={version.generation}&alt=media",
        "name": version.name,
        "bucket": version.bucket,
        "generation": str(version.generation),
        "metageneration": str(version.metageneration),
        "size": str(version.size),
        "etag": etag(version),
        "timeCreated": created,
        "timeFinalized": created,
        "timeStorageClassUpdated": created,
        "updated": iso(version.updated),
        **{key: value for key, value in fields.items() if value not in (None, "", {})},
    }
    if version.ended is not None:
        found["timeDeleted"] = iso(version.ended)
    if version.deleted is not None and bucket is not None:
        found |= {"softDeleteTime": iso(version.deleted), "hardDeleteTime": iso(version.deleted + soft_delete_s(bucket))}
    if bucket is not None and (kept := retention_s(bucket)):
        found["retentionExpirationTime"] = iso(version.created + kept)
    return found


def etag(version: Version) -> str:
    return base64.b64encode(f"{version.generation}/{version.metageneration}".encode()).decode()


def iso(instant: float) -> str:
    """RFC 3339 in UTC with milliseconds, as the API writes times."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# What a bucket declares.


def versioned(bucket: Resource) -> bool:
    return bool((bucket.get("versioning") or {}).get("enabled"))


def soft_delete_s(bucket: Resource) -> float:
    return float((bucket.get("softDeletePolicy") or {}).get("retentionDurationSeconds") or 0)


def retention_s(bucket: Resource) -> float:
    """For how long an object may neither be deleted nor replaced."""
    return float((bucket.get("retentionPolicy") or {}).get("retentionPeriod") or 0)


def uniform(bucket: Resource) -> bool:
    return bool(bucket.get("uniformBucketLevelAccess"))


def bucket_resource(bucket: Resource) -> dict[str, Any]:
    """A bucket, as far as programs declare it."""
    found = {
        "kind": "storage#bucket",
        "id": bucket.id,
        "name": bucket.id,
        "selfLink": bucket["selfLink"],
        "projectNumber": str(bucket["projectNumber"]),
        "location": str(bucket["location"]).upper(),
        "locationType": "region" if "-" in bucket["location"] else "multi-region",
        "storageClass": bucket["storageClass"],
        "timeCreated": bucket["timeCreated"],
        "updated": bucket["updated"],
        "rpo": bucket.get("rpo"),
        "versioning": {"enabled": versioned(bucket)},
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": uniform(bucket)},
            "publicAccessPrevention": bucket.get("publicAccessPrevention") or "inherited",
        },
        "softDeletePolicy": {"retentionDurationSeconds": str(int(soft_delete_s(bucket)))},
        "labels": bucket.get("labels"),
        "retentionPolicy": {"retentionPeriod": str(int(retention_s(bucket)))} if retention_s(bucket) else None,
    }
    return {key: value for key, value in found.items() if value is not None}
