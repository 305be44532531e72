"""Cloud Storage: objects that a program puts into a bucket. Their bytes go to the data plane."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pilotlight.twin.forms import only_one
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.rows_storage import LINK, require_bucket
from pilotlight.twin.gcp.storage_blobs import hashes
from pilotlight.twin.gcp.types import BUCKET_OBJECT
from pilotlight.twin.rows import Name, Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# Cloud Storage documentation, "Objects", naming (read 2026-11).
_NAME_BYTES = 1024


def _limits(inputs: Properties) -> list[str]:
    name = inputs.get("name")
    found = only_one(inputs, "source", "content")
    if isinstance(name, str) and (not 0 < len(name.encode()) <= _NAME_BYTES or "\n" in name or "\r" in name):
        found.append(f"name: has {len(name.encode())} bytes: use 1 to {_NAME_BYTES}, without line breaks.")
    return found


def _hashes(inputs: Properties) -> dict[str, str]:
    """md5 and crc32c of what is stored, as the provider tells them."""
    found = hashes(str(inputs["content"]).encode() if "content" in inputs else Path(inputs["source"]["path"]))
    return {"md5hash": found["md5Hash"], "md5hexhash": base64.b64decode(found["md5Hash"]).hex(), "crc32c": found["crc32c"]}


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
