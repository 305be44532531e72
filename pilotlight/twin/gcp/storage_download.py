"""The bytes of an object on their way out: whole, a range of them, or unpacked where they are stored compressed."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import BinaryIO

from pilotlight.twin.asgi import Request, Send, header_value
from pilotlight.twin.gcp.storage_blobs import Blobs
from pilotlight.twin.gcp.storage_resource import etag
from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.rows import Refusal

_BLOCK = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_HEADERS = {"cacheControl": "cache-control", "contentDisposition": "content-disposition", "contentLanguage": "content-language"}


async def send_media(request: Request, send: Send, version: Version, blobs: Blobs) -> None:
    """Answer with the bytes. Refusal (416) for a range that lies outside of them."""
    # Opened before anything else happens in the loop: a deletion does not take the bytes from under an answer.
    with blobs.path(version.blob).open("rb") as file:
        headers = _headers(version)
        if _unpacks(request, version):
            await _begin(send, 200, {**headers, "x-guploader-response-body-transformations": "gunzipped"})
            await _bytes(send, _unpacked(_blocks(file, version.size)))
            return
        if encoding := version.fields.get("contentEncoding"):
            headers["content-encoding"] = encoding
        first, last = _range(request, version.size) or (0, version.size - 1)
        partial = "range" in request.headers and _RANGE.fullmatch(request.headers["range"].strip()) is not None
        if partial:
            headers["content-range"] = f"bytes {first}-{last}/{version.size}"
        await _begin(send, 206 if partial else 200, {**headers, "content-length": str(last - first + 1)})
        file.seek(first)
        await _bytes(send, _blocks(file, last - first + 1))


def _headers(version: Version) -> dict[str, str]:
    fields = version.fields
    hashes = [f"{name}={fields[key]}" for key, name in (("crc32c", "crc32c"), ("md5Hash", "md5")) if fields.get(key)]
    return {
        "content-type": fields.get("contentType") or "application/octet-stream",
        "cache-control": "private, max-age=0",
        "accept-ranges": "bytes",
        "etag": etag(version),
        "last-modified": format_datetime(datetime.fromtimestamp(version.updated, UTC), usegmt=True),
        "date": format_datetime(datetime.now(UTC), usegmt=True),
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-hash": ",".join(hashes),
        "x-goog-storage-class": fields["storageClass"],
        "x-goog-stored-content-length": str(version.size),
        "x-goog-stored-content-encoding": fields.get("contentEncoding") or "identity",
        **{header: fields[key] for key, header in _HEADERS.items() if fields.get(key)},
    }


def _unpacks(request: Request, version: Version) -> bool:
    """Cloud Storage documentation, "Transcoding of gzip-compressed files"."""
    stored = version.fields.get("contentEncoding") == "gzip" and "no-transform" not in version.fields.get("cacheControl", "")
    return stored and "gzip" not in request.headers.get("accept-encoding", "")


def _range(request: Request, size: int) -> tuple[int, int] | None:
    """First and last byte; None where no range is asked for, or one that cannot be read. Refusal for one that is empty."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or not (found[1] or found[2]):
        return None
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first > last:
        raise Refusal("requestedRangeNotSatisfiable", f"Request range not satisfiable: the object has {size} bytes.", 416)
    return first, last


async def _blocks(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    while left > 0:
        size = min(left, _BLOCK)
        block = file.read(size) if left <= _BLOCK else await asyncio.to_thread(file.read, size)
        if not block:
            raise ConnectionError("the file of an object is shorter than the object")
        left -= len(block)
        yield block


async def _unpacked(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Raises ConnectionError where the bytes are not what they were said to be: the answer has begun."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        async for block in blocks:
            while block:
                # A little may unpack to very much.
                yield unpacker.decompress(block, _BLOCK)
                block = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise ConnectionError(f"stored as gzip, and no gzip: {error}") from None


async def _begin(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.encode("latin-1"), header_value(value)) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _bytes(send: Send, blocks: AsyncIterator[bytes]) -> None:
    async for block in blocks:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
