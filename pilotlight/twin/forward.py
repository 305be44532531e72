"""Handing a decided request to the emulator and its answer back, both as streams."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import httpx

from pilotlight.twin.asgi import Request, Send
from pilotlight.twin.emulators import EmulatorError, Emulators
from pilotlight.twin.rows import Refusal

# Of one connection, never of the message: they must not be passed on.
_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
_HASH_LENGTH = 64
# The front has verified them; the emulator would look their key up among its own.
_PRESIGNED = frozenset(
    f"X-Amz-{name}" for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
)


class Forwarder:
    """Requests to one emulator over kept connections."""

    def __init__(self, emulators: Emulators, front_url: str) -> None:
        self._emulators = emulators
        self._front_url = front_url
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(60, connect=5, pool=None), limits=limits, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def stream(
        self, request: Request, send: Send, *, declared_hash: str | None, body: bytes | None, missing: Refusal | None = None
    ) -> None:
        """Send the request on; `body` where it was read already, else it is streamed and compared with `declared_hash`.

        `missing` is raised in place of a 404: a caller that may not list a bucket does not learn what is not in it.
        """
        content = body if body is not None else checked(request, declared_hash)
        upstream = await self._send(request, content)
        try:
            if missing is not None and upstream.status_code == 404:
                raise missing
            headers = [(name.lower(), value) for name, value in upstream.headers.raw if name.lower().decode() not in _HOP]
            await send({"type": "http.response.start", "status": upstream.status_code, "headers": headers})
            async for chunk in upstream.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await upstream.aclose()

    async def call(self, request: Request, body: bytes) -> httpx.Response:
        """Send a small request on and return the whole answer; the emulator's address in it becomes the front's."""
        upstream = await self._send(request, body)
        try:
            content = await upstream.aread()
        finally:
            await upstream.aclose()
        rewritten = content.replace(self._emulators.endpoint.encode(), self._front_url.encode())
        headers = {name: value for name, value in upstream.headers.items() if name not in _HOP | {"content-length", "content-encoding"}}
        return httpx.Response(upstream.status_code, headers=headers, content=rewritten)

    async def _send(self, request: Request, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
        if not isinstance(content, bytes) and request.declared_length is None and "transfer-encoding" not in request.headers:
            content = b""
        try:
            return await self._client.send(self._outgoing(request, content), stream=True)
        except httpx.TransportError as error:
            # A body that was on its way can't be sent again: the client's own retry does that.
            if not isinstance(content, bytes):
                await self._revive()
                raise Refusal(
                    "ServiceUnavailable", f"The emulator left during the request ({type(error).__name__}). Try again.", 503
                ) from None
        await self._revive()
        try:
            return await self._client.send(self._outgoing(request, content), stream=True)
        except httpx.TransportError as error:
            raise Refusal("ServiceUnavailable", f"The emulator does not answer ({type(error).__name__}).", 503) from None

    def _outgoing(self, request: Request, content: bytes | AsyncIterator[bytes]) -> httpx.Request:
        headers = [(name, value) for name, value in request.header_pairs if name not in _HOP]
        if isinstance(content, bytes):
            headers = [pair for pair in headers if pair[0] != "content-length"] + [("content-length", str(len(content)))]
        outgoing = self._client.build_request(request.method, self._emulators.endpoint, headers=headers, content=content)
        # httpx normalises some escapes; S3 keys are bytes and must arrive as they were sent.
        query = "&".join(part for part in request.raw_query.split("&") if part.partition("=")[0] not in _PRESIGNED)
        path = request.raw_path + (f"?{query}" if query else "")
        outgoing.url = outgoing.url.copy_with(raw_path=path.encode("latin-1"))
        return outgoing

    async def _revive(self) -> None:
        try:
            await self._emulators.revive()
        except EmulatorError as error:
            raise Refusal("ServiceUnavailable", str(error), 503) from None


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
