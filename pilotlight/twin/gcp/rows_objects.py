"""Cloud Storage: objects that a program puts into a bucket. Their bytes go to the data plane."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google_crc32c

from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import only_one
from pilotlight.twin.gcp.rows_storage import LINK, require_bucket
from pilotlight.twin.gcp.types import BUCKET_OBJECT
from pilotlight.twin.rows import Name, Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Cloud Storage documentation, "Objects", naming (read 2026-11).
_NAME_BYTES = 1024
_CHUNK = 1 << 20
# It has annotations for some of its functions only.
_crc32c: Any = google_crc32c


def _limits(inputs: Properties) -> list[str]:
    name = inputs.get("name")
    found = only_one(inputs, "source", "content")
    if isinstance(name, str) and (not 0 < len(name.encode()) <= _NAME_BYTES or "\n" in name or "\r" in name):
        found.append(f"name: has {len(name.encode())} bytes: use 1 to {_NAME_BYTES}, without line breaks.")
    return found


def _hashes(inputs: Properties) -> dict[str, str]:
    """md5 and crc32c of what is stored, as Cloud Storage writes them."""
    md5, crc = hashlib.md5(usedforsecurity=False), _crc32c.Checksum()
    if "content" in inputs:
        content = str(inputs["content"]).encode()
        md5.update(content)
        crc.update(content)
    else:
        with Path(inputs["source"]["path"]).open("rb") as source:
            while chunk := source.read(_CHUNK):
                md5.update(chunk)
                crc.update(chunk)
    return {
        "md5hash": base64.b64encode(md5.digest()).decode(),
        "md5hexhash": md5.hexdigest(),
        "crc32c": base64.b64encode(crc.digest()).decode(),
    }


def _check(twin: Twin, inputs: Properties) -> None:
    require_bucket(twin, inputs["bucket"])


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    bucket, name = inputs["bucket"], inputs["name"]
    link = f"{LINK}{bucket}/o/{quote(name, safe='')}"
    return {
        **_hashes(inputs),
        "selfLink": link,
        "mediaLink": link.replace("/storage/v1/b/", "/download/storage/v1/b/") + "?alt=media",
        "outputName": name,
        "content": inputs.get("content") or "",
        "contentType": inputs.get("contentType") or ("text/plain; charset=utf-8" if "content" in inputs else "application/octet-stream"),
        "storageClass": inputs.get("storageClass") or require_bucket(twin, bucket)["storageClass"],
        "kmsKeyName": inputs.get("kmsKeyName") or "",
    }


def _stored(twin: Twin, resource: Resource) -> dict[str, Any]:
    # Microseconds, as Cloud Storage counts generations: the newer of two is the greater.
    return {"generation": int(twin.clock.now() * 1_000_000)}


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=BUCKET_OBJECT,
            id=lambda p: f"{p['bucket']}-{p['name']}",
            name=Name(field="name", max_length=255),
            replaces=frozenset(
                {
                    "bucket",
                    "name",
                    "cacheControl",
                    "contentDisposition",
                    "contentEncoding",
                    "contentLanguage",
                    "contentType",
                    "forceEmptyContentType",
                    "kmsKeyName",
                    "metadata",
                    "source",
                    "storageClass",
                }
            ),
            computed=_computed,
            secrets=frozenset({"content", "customerEncryption"}),
            discovery="storage.v1:Object",
            limits=_limits,
            check=_check,
            create=_stored,
            update=lambda twin, old, new: _stored(twin, new),
            upsert=True,
        ),
    ),
)
