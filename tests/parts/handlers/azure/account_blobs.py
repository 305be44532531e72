"""Blobs in memory: "Put Blob", "Get Blob"."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote, urlsplit

from tests.parts.handlers.azure.storage_answers import Answer, error, etag


@dataclass(frozen=True)
class Blob:
    body: bytes
    content_type: str
    etag: str
    version: str

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.body).digest()).decode()


@dataclass
class BlobService:
    """Versions of blobs by `CONTAINER/KEY`, the newest last; `blocks` have no MD5, as those that were put in blocks."""

    containers: set[str] = field(default_factory=set)
    blobs: dict[str, list[Blob]] = field(default_factory=dict)
    blocks: set[str] = field(default_factory=set)

    def put(self, name: str, body: bytes | str, content_type: str = "text/plain") -> Blob:
        versions = self.blobs.setdefault(name, [])
        content = body.encode() if isinstance(body, str) else body
        made = Blob(content, content_type, etag(), f"2026-11-01T00:00:{len(versions):02}.0000000Z")
        versions.append(made)
        return made

    def change(self, name: str) -> None:
        """Its metadata or its properties: another ETag, the same content ("Set Blob Metadata", "Set Blob Properties")."""
        self.blobs[name][-1] = replace(self.blobs[name][-1], etag=etag())

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        address = urlsplit(f"/{path}")
        name, query = unquote(address.path[1:]), parse_qs(address.query)
        if name.partition("/")[0] not in self.containers:
            return error(404, "ContainerNotFound")
        if method == "PUT":
            return self._put(name, headers, body)
        versions = self.blobs.get(name, [])
        if "versionid" in query:
            versions = [each for each in versions if each.version == query["versionid"][0]]
        return self._get(name, versions[-1], headers) if versions else error(404, "BlobNotFound")

    def _put(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if headers.get("x-ms-blob-type") != "BlockBlob":
            return error(400, "MissingRequiredHeader")
        if headers.get("if-none-match") == "*" and name in self.blobs:
            return error(409, "BlobAlreadyExists")
        made = self.put(name, body, headers.get("x-ms-blob-content-type") or headers.get("content-type", ""))
        return 201, b"", {"ETag": made.etag, "Content-MD5": made.md5}

    def _get(self, name: str, blob: Blob, headers: Mapping[str, str]) -> Answer:
        if headers.get("if-match", blob.etag) != blob.etag:
            return error(412, "ConditionNotMet")
        told = {"ETag": blob.etag, "Content-Type": blob.content_type, "x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("x-ms-range") or headers.get("range") or "")
        if asked is None:
            # The MD5 of all of it, which an answer with a range does not tell here.
            return 200, blob.body, told if name in self.blocks else told | {"Content-MD5": blob.md5}
        first, last = int(asked[1]), min(int(asked[2] or len(blob.body)), len(blob.body) - 1)
        if first >= len(blob.body):
            return error(416, "InvalidRange")
        return 206, blob.body[first : last + 1], told | {"Content-Range": f"bytes {first}-{last}/{len(blob.body)}"}
