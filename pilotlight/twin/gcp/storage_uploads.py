"""How objects come in: as one body, with what is said of them, or in pieces that a client can take up again."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp.http_api import Asked, json_of
from pilotlight.twin.gcp.storage_access import Access
from pilotlight.twin.gcp.storage_blobs import mismatch
from pilotlight.twin.gcp.storage_conditions import Conditions
from pilotlight.twin.gcp.storage_multipart import Related
from pilotlight.twin.gcp.storage_objects import Objects
from pilotlight.twin.gcp.storage_resource import require_name, said_fields, uniform
from pilotlight.twin.gcp.storage_store import Upload, Version
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

# Cloud Storage documentation, "Resumable uploads": what is kept of a piece is a multiple of it; a session ends after a week.
PIECE = 256 * 1024
SESSION_S = 7 * 86_400.0
DESCRIPTION_BYTES = 1 << 17
_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
_HASHES = {"crc32c": "crc32c", "md5": "md5Hash"}


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is to be made: `said` are fields of the object, `hashes` what its uploader says of its bytes."""

    caller: str | None
    bucket: str
    name: str
    said: Mapping[str, Any]
    hashes: Mapping[str, Any]
    conditions: Conditions


class Uploads:
    """To be used in the twin's loop."""

    def __init__(self, objects: Objects, access: Access) -> None:
        self._objects, self._access = objects, access
        self._store, self._blobs = objects.store, objects.blobs
        self._writing: set[str] = set()

    async def media(self, asked: Asked, bucket: Resource, query: Mapping[str, str]) -> Version:
        """`uploadType=media`: the body is the object."""
        wanted = self._wanted(asked, bucket, query, {}, asked.request.headers.get("content-type"))
        return await self._received(wanted, asked.request.chunks())

    async def multipart(self, asked: Asked, bucket: Resource, query: Mapping[str, str]) -> Version:
        """`uploadType=multipart`: two parts, what is said of the object and its bytes."""
        body = Related(asked.request.headers.get("content-type", ""), asked.request.chunks())
        said, headers = await body.head()
        return await self._received(self._wanted(asked, bucket, query, said, headers.get("content-type")), body.media())

    async def begin(self, asked: Asked, bucket: Resource, query: Mapping[str, str]) -> str:
        """`uploadType=resumable`: the id of an upload whose pieces come in requests of their own."""
        too_large = Refusal("uploadTooLarge", f"What is said of an object has {DESCRIPTION_BYTES} bytes at the most.", 413)
        said = json_of(await asked.request.body(DESCRIPTION_BYTES, too_large))
        wanted = self._wanted(asked, bucket, query, said, asked.request.headers.get("x-upload-content-type"))
        id_ = secrets.token_urlsafe(48)
        body = {
            "caller": wanted.caller,
            "bucket": wanted.bucket,
            "name": wanted.name,
            "said": wanted.said,
            "hashes": wanted.hashes,
            "conditions": wanted.conditions.stored(),
        }
        self._store.put_upload(Upload(id=id_, blob=self._blobs.new(), created=self._objects.twin.clock.now(), body=body))
        return id_

    async def go_on(self, id_: str, request: Request) -> Version | int:
        """A piece, or a question how far it has come: the version once it is whole, until then how many bytes are kept."""
        upload = self._upload(id_)
        with self._alone(id_):
            if upload.made is not None:
                return self._made(upload)
            first, last, total = _place(request)
            kept = self._blobs.size(upload.blob)
            if first is not None:
                kept = await self._add(upload, request, first, last, total)
            if kept == total or (first is not None and "content-range" not in request.headers):
                return await self._finish(upload, request)
            return kept

    def cancel(self, id_: str) -> None:
        upload = self._upload(id_)
        with self._alone(id_):
            self._drop(upload)

    def expire(self) -> None:
        """Forget what began a week ago."""
        for upload in self._store.uploads_before(self._objects.twin.clock.now() - SESSION_S):
            if upload.id not in self._writing:
                self._drop(upload)

    def drop_of(self, bucket: str) -> None:
        for upload in self._store.uploads_before(float("inf")):
            if upload.body["bucket"] == bucket:
                self._drop(upload)

    def _wanted(
        self, asked: Asked, bucket: Resource, query: Mapping[str, str], body: Mapping[str, Any], content_type: str | None
    ) -> _Wanted:
        """What a request wants; refused early, before its bytes are read, where it would be refused then."""
        name = require_name(query.get("name") or body.get("name"))
        self._access.permit(asked.caller, "storage.objects.create", bucket, name)
        if uniform(bucket) and (query.get("predefinedAcl") or body.get("acl")):
            text = "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled."
            raise Refusal("invalid", f"{text} Grant a role on the bucket instead.")
        said = said_fields(body)
        if said.get("contentType") is None and content_type:
            said["contentType"] = content_type
        if query.get("contentEncoding"):
            said["contentEncoding"] = query["contentEncoding"]
        wanted = _Wanted(
            caller=asked.caller,
            bucket=bucket.id,
            name=name,
            said=said,
            hashes={**{key: body.get(key) for key in _HASHES.values()}, **_hashes_of(asked.request)},
            conditions=Conditions.of(query),
        )
        live = self._store.live(bucket.id, name)
        wanted.conditions.check(live, live)
        if live is not None:
            self._access.replaces(asked.caller)(live)
        return wanted

    async def _received(self, wanted: _Wanted, chunks: AsyncIterator[bytes]) -> Version:
        blob = self._blobs.name()
        try:
            await self._blobs.append(blob, chunks)
            return await self._stored(wanted, blob, lambda version: None)
        except BaseException:
            self._blobs.remove([blob])
            raise

    async def _stored(self, wanted: _Wanted, blob: str, made: Callable[[Version], None]) -> Version:
        found = await self._blobs.hashes(blob)
        if problem := mismatch(found, wanted.hashes):
            raise Refusal("invalid", problem)
        bucket = self._objects.bucket(wanted.bucket)
        fields = {"contentType": "application/octet-stream", **wanted.said, **found}
        return self._objects.insert(
            bucket, wanted.name, blob, fields, wanted.conditions, replaces=self._access.replaces(wanted.caller), made=made
        )

    async def _add(self, upload: Upload, request: Request, first: int, last: int | None, total: int | None) -> int:
        """Keep what a piece has beyond what is kept; how many bytes are kept then."""
        kept = self._blobs.size(upload.blob)
        if first > kept:
            text = f"The upload offset is {first} byte(s), which exceeds already uploaded size of {kept} byte(s)"
            raise Refusal("badRequest", f"Invalid request. According to the Content-Range header, {text}: ask how far it has come.")
        whole = total is not None and last is not None and last + 1 == total
        try:
            kept = await self._blobs.append(upload.blob, _beyond(request.chunks(), kept - first))
        except BaseException:
            self._blobs.cut(upload.blob, PIECE)
            raise
        if last is not None and kept > last + 1:
            self._blobs.cut(upload.blob, PIECE)
            raise Refusal("badRequest", f"Invalid request. The body is longer than its Content-Range header says ({first}-{last}).")
        return kept if whole or last is None else self._blobs.cut(upload.blob, PIECE)

    async def _finish(self, upload: Upload, request: Request) -> Version:
        body = upload.body
        wanted = _Wanted(
            caller=body["caller"],
            bucket=body["bucket"],
            name=body["name"],
            said=body["said"],
            hashes={**body["hashes"], **_hashes_of(request)},
            conditions=Conditions(**body["conditions"]),
        )
        try:
            return await self._stored(wanted, upload.blob, lambda version: self._store.finish_upload(upload, version.generation))
        except Refusal:
            # Its bytes are there and nothing that could still be sent makes them right.
            self._drop(upload)
            raise

    def _upload(self, id_: str) -> Upload:
        upload = self._store.upload(id_)
        if upload is None or upload.created <= self._objects.twin.clock.now() - SESSION_S:
            raise Refusal("notFound", "There is no such upload, or not any more: begin a new one.", 404)
        return upload

    def _made(self, upload: Upload) -> Version:
        version = self._store.version(upload.body["bucket"], upload.body["name"], upload.made or 0)
        if version is None:
            raise Refusal("gone", "The upload is complete, and the version that came of it is deleted.", 410)
        return version

    def _drop(self, upload: Upload) -> None:
        self._store.drop_upload(upload.id)
        if upload.blob:
            self._blobs.remove([upload.blob])

    @contextmanager
    def _alone(self, id_: str) -> Iterator[None]:
        if id_ in self._writing:
            raise Refusal("backendError", "Another request is writing to this upload: try again.", 503)
        self._writing.add(id_)
        try:
            yield
        finally:
            self._writing.discard(id_)


def _place(request: Request) -> tuple[int | None, int | None, int | None]:
    """First and last byte of a piece and the size of the whole, None for what is not said; no first byte where it only asks."""
    text = request.headers.get("content-range")
    if text is None:
        return 0, None, None
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise Refusal("badRequest", f"Invalid Content-Range header {text!r}: use 'bytes FIRST-LAST/SIZE', or '*' for what is not known.")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return None, None, total
    first, last = int(found[1]), int(found[2])
    if last < first or (total is not None and last >= total):
        raise Refusal("badRequest", f"Invalid Content-Range header {text!r}: it ends before it begins, or behind the whole.")
    return first, last, total


async def _beyond(chunks: AsyncIterator[bytes], known: int) -> AsyncIterator[bytes]:
    """What comes after the first `known` bytes."""
    async for chunk in chunks:
        if known < len(chunk):
            yield chunk[known:] if known else chunk
        known = max(0, known - len(chunk))


def _hashes_of(request: Request) -> dict[str, str]:
    """What a request's header says of the bytes."""
    found = {}
    for part in request.headers.get("x-goog-hash", "").split(","):
        kind, _, value = part.strip().partition("=")
        if kind in _HASHES and value:
            found[_HASHES[kind]] = value
    return found
