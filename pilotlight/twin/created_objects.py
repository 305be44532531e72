"""What the front must tell a bucket's notification: which requests store an object, and what was stored."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from pilotlight.twin.asgi import Request
from pilotlight.twin.aws.s3 import ObjectStore
from pilotlight.twin.aws.s3_events import BucketEvents, Created
from pilotlight.twin.emulated_actions import Needs
from pilotlight.twin.forward import Answered
from pilotlight.twin.rows import Caller
from pilotlight.twin.upstream import Answer

_ETAG = re.compile(rb"<ETag>(?:&quot;|\")?([^&\"<]+)")


def how_created(request: Request, needs: Needs) -> str | None:
    """S3's word for how a request stores an object (Put, Copy, CompleteMultipartUpload), or None where it stores none."""
    if needs[0][0] != "s3:PutObject":
        return None
    of_upload = any(name == "uploadId" for name, _ in request.query)
    if request.method == "POST":
        return "CompleteMultipartUpload" if of_upload else None
    if of_upload:
        return None
    return "Copy" if "x-amz-copy-source" in request.headers else "Put"


class CreatedObjects:
    """Turns the emulator's answers into events."""

    def __init__(self, events: BucketEvents, store: ObjectStore) -> None:
        self._events = events
        self._store = store

    def order(self, how: str | None, bucket: str, key: str) -> asyncio.Lock | None:
        """The lock to hold while the object is stored; None where nobody is told of it."""
        return self._events.order(bucket, key) if how is not None and self._events.wanted(bucket) else None

    def teller(self, how: str, bucket: str, key: str, request: Request, caller: Caller) -> Answered:
        """What sees the emulator's answer before the client does, and sends the event."""

        async def answered(answer: Answer, body: bytes) -> None:
            if answer.status != 200:
                return
            version = answer.header(b"x-amz-version-id")
            version = "" if version == "null" else version
            etag, size = answer.header(b"etag").strip('"'), _size(request.headers)
            if how != "Put":
                # A copy and the end of an upload answer 200 first, and tell an error in the body.
                found = _ETAG.search(body)
                stored = await asyncio.to_thread(self._store.head, bucket, key, version or None) if found else None
                if found is None or stored is None:
                    return
                etag, size = found[1].decode(), int(stored["ContentLength"])
            self._events.created(
                Created(
                    how=how,
                    bucket=bucket,
                    key=key,
                    size=size,
                    etag=etag,
                    version=version or None,
                    principal=caller.arn.rpartition("/")[2],
                    source_ip=request.source_ip,
                    request_id=answer.header(b"x-amz-request-id"),
                )
            )

        return answered


def _size(headers: Mapping[str, str]) -> int:
    """The bytes of a stored body: with a checksum in its trailer, the request's own length counts the framing too."""
    text = headers.get("x-amz-decoded-content-length") or headers.get("content-length") or "0"
    return int(text) if text.isdigit() else 0
