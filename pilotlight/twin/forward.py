"""Handing a decided request to the emulator and its answer back, both as streams."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from pilotlight.twin.asgi import Request, Send
from pilotlight.twin.emulators import EmulatorError, Emulators
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.upstream import Answer, Headers, Upstream, UpstreamError

# Of one connection, never of the message: they must not be passed on.
_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
_HOP_BYTES = frozenset(name.encode() for name in _HOP)
_HASH_LENGTH = 64
# The front has verified them; the emulator would look their key up among its own.
_PRESIGNED = frozenset(
    f"X-Amz-{name}" for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
)
# Gets the emulator's answer and its body before the client does.
Answered = Callable[[Answer, bytes], Awaitable[None]]


class Forwarder:
    """Requests to one emulator over kept connections."""

    def __init__(self, emulators: Emulators) -> None:
        self._emulators = emulators
        self._upstream = Upstream(emulators.port)

    def close(self) -> None:
        self._upstream.close()

    async def stream(
        self,
        request: Request,
        send: Send,
        *,
        declared_hash: str | None,
        body: bytes | None,
        missing: Callable[[], Refusal | None] = lambda: None,
        answered: Answered | None = None,
    ) -> None:
        """Send the request on; `body` where it was read already, else it is streamed and compared with `declared_hash`.

        What `missing` gives is raised in place of a 404: a caller that may not list a bucket does not learn what is not in it.
        `answered` is for answers that are short: it has ended before the client gets a byte of them.
        """
        content = body if body is not None else checked(request, declared_hash)
        upstream = await self._send(request, content)
        try:
            if upstream.status == 404 and (hidden := missing()) is not None:
                raise hidden
            whole = None
            if answered is not None:
                whole = await upstream.read()
                await answered(upstream, whole)
            headers = [pair for pair in upstream.headers if pair[0] not in _HOP_BYTES]
            await send({"type": "http.response.start", "status": upstream.status, "headers": headers})
            if whole is None:
                async for chunk in upstream.chunks():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": whole or b""})
        except UpstreamError as error:
            raise _gone(error) from None
        finally:
            upstream.close()

    async def call(self, request: Request, body: bytes) -> AwsResponse:
        """Send a small request on and return the whole answer."""
        upstream = await self._send(request, body)
        try:
            content = await upstream.read()
        except UpstreamError as error:
            raise _gone(error) from None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in upstream.headers if name not in _HOP_BYTES}
        return AwsResponse(status=upstream.status, headers=headers, body=content)

    async def _send(self, request: Request, content: bytes | AsyncIterator[bytes]) -> Answer:
        if not isinstance(content, bytes) and request.declared_length is None and "transfer-encoding" not in request.headers:
            content = b""
        try:
            return await self._upstream.send(*_outgoing(request, content))
        except UpstreamError as error:
            # A body that was on its way can't be sent again: the client's own retry does that.
            if not isinstance(content, bytes):
                await self._revive()
                raise _gone(error) from None
        await self._revive()
        try:
            return await self._upstream.send(*_outgoing(request, content))
        except UpstreamError as error:
            raise _gone(error) from None

    async def _revive(self) -> None:
        try:
            await self._emulators.revive()
        except EmulatorError as error:
            raise Refusal("ServiceUnavailable", str(error), 503) from None


def _gone(error: UpstreamError) -> Refusal:
    return Refusal("ServiceUnavailable", f"The emulator does not answer: {error}. Try again.", 503)


def _outgoing(request: Request, content: bytes | AsyncIterator[bytes]) -> tuple[str, bytes, Headers, bytes | AsyncIterator[bytes]]:
    gone = _HOP | {"content-length"} if isinstance(content, bytes) else _HOP
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.header_pairs if name not in gone]
    query = "&".join(part for part in request.raw_query.split("&") if part.partition("=")[0] not in _PRESIGNED)
    # S3 keys are bytes and must arrive as they were sent.
    target = request.raw_path + (f"?{query}" if query else "")
    return request.method, target.encode("latin-1"), headers, content


async def checked(request: Request, declared_hash: str | None) -> AsyncIterator[bytes]:
    """The body's chunks, the last one held back until the whole agrees with the signed hash."""
    digest, held = hashlib.sha256(), b""
    async for chunk in request.chunks():
        if held:
            yield held
        digest.update(chunk)
        held = chunk
    if declared_hash and len(declared_hash) == _HASH_LENGTH and digest.hexdigest() != declared_hash:
        raise Refusal("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
    if held:
        yield held
