"""The body of an upload with `uploadType=multipart`: what is said of an object, then its bytes (RFC 2387), read as it comes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email.message import Message
from email.parser import BytesParser

from pilotlight.twin.gcp.http_api import json_of
from pilotlight.twin.rows import Refusal

# Enough for a description: custom metadata has 8 KiB at the most.
_HEAD_BYTES = 1 << 17
_BOUNDARY = re.compile(r"""boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)


class Related:
    """Read `head` first, then `media`."""

    def __init__(self, content_type: str, chunks: AsyncIterator[bytes]) -> None:
        """Refusal where the type names no boundary."""
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise _malformed("its Content-Type names no boundary")
        self._mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
        self._chunks = chunks
        self._held = b""
        self._line = b"\r\n"

    async def head(self) -> tuple[dict[str, object], Message]:
        """What is said of the object, and the headers of its bytes. Refusal for a body in another form."""
        start = await self._until(self._mark)
        if start.strip():
            raise _malformed("something stands before its first boundary")
        # Some clients end their lines with one character.
        ending = await self._until(b"\n")
        self._line = b"\r\n" if ending.endswith(b"\r") else b"\n"
        await self._until(self._line * 2, b"\n\n")
        said = json_of((await self._until(self._line + self._mark)).strip())
        await self._until(b"\n")
        headers = BytesParser().parsebytes(await self._until(self._line * 2), headersonly=True)
        if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
            raise _malformed("its second part has a Content-Transfer-Encoding: send it as binary")
        return said, headers

    async def media(self) -> AsyncIterator[bytes]:
        """The bytes. Refusal where the last boundary is missing."""
        end = self._line + self._mark
        while (at := self._held.find(end)) < 0:
            safe = len(self._held) - len(end) + 1
            if safe > 0:
                yield self._held[:safe]
                self._held = self._held[safe:]
            await self._more("its last boundary is missing")
        if at:
            yield self._held[:at]
        async for _ in self._chunks:
            # What follows the last boundary counts for nothing, but must be read before the answer.
            pass

    async def _until(self, *marks: bytes) -> bytes:
        """What stands before the first of the marks; goes on behind it."""
        while True:
            for mark in marks:
                if (at := self._held.find(mark)) >= 0:
                    found, self._held = self._held[:at], self._held[at + len(mark) :]
                    return found
            if len(self._held) > _HEAD_BYTES:
                raise _malformed("what is said of the object is too long")
            await self._more("it ends before the bytes of the object")

    async def _more(self, missing: str) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            raise _malformed(missing)
        self._held += chunk


def _malformed(what: str) -> Refusal:
    return Refusal("badRequest", f"Malformed multipart body: {what}.")
