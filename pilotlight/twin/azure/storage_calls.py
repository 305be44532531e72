"""Calls of Azurite: signed with the key that it knows, at the twin's time, tried again where it was not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING

from pilotlight.twin.azure import storage_signing
from pilotlight.twin.azure.azurite import Azurite
from pilotlight.twin.passing import HOP
from pilotlight.twin.rows import Refusal
from pilotlight.twin.sigv4 import query_pairs
from pilotlight.twin.supervised import EmulatorError
from pilotlight.twin.upstream import Answer, Headers, UpstreamError

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# What is said anew: who calls, when, and how long a body is that was read here.
_SAID_ANEW = HOP | {"expect", "authorization", "date", "x-ms-date", "x-twin-time"}
_VERSION = {"host": "127.0.0.1", "x-ms-version": "2025-11-05"}
# One that was killed may seem to answer for a moment more.
_PAUSES_S = (0.0, 0.2)
Content = bytes | AsyncIterator[bytes]


class Calls:
    """Belongs to the twin's loop. Answers are to be closed."""

    def __init__(self, twin: Twin, azurite: Azurite) -> None:
        self._twin = twin
        self._azurite = azurite

    async def send(
        self, service: str, account: str, method: str, path: str, *, query: str = "", headers: Mapping[str, str], content: Content = b""
    ) -> Answer:
        """One request; `path` begins with the account, quoted. Refusal (503) where Azurite does not answer."""
        sent = self._signed(service, account, method, path, query, headers, content)
        target = (f"{path}?{query}" if query else path).encode("latin-1")
        for pause_s in _PAUSES_S:
            try:
                return await self._azurite.upstreams[service].send(method, target, sent, content)
            except UpstreamError as error:
                await self._revive()
                # What may have been done is not done again, nor is a body sent that was on its way: the client's own retry does that.
                if error.sent and method not in ("GET", "HEAD"):
                    raise busy(error) from None
                await asyncio.sleep(pause_s)
        try:
            return await self._azurite.upstreams[service].send(method, target, sent, content)
        except UpstreamError as error:
            raise busy(error) from None

    async def read(
        self,
        service: str,
        account: str,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        content: Content = b"",
    ) -> tuple[Answer, bytes]:
        """A request of the twin's own, and its whole answer. Refusal for an error other than 404 (nothing is there)."""
        answer = await self.send(service, account, method, path, query=query, headers={**_VERSION, **(headers or {})}, content=content)
        try:
            body = await answer.read()
        except UpstreamError as error:
            raise busy(error) from None
        if answer.status >= 400 and answer.status != 404:
            code = answer.header(b"x-ms-error-code") or "InternalError"
            raise Refusal(code, f"{method} {path}: {body.decode(errors='replace')[:300]}", answer.status)
        return answer, body

    async def _revive(self) -> None:
        try:
            await self._azurite.revive()
        except EmulatorError as error:
            raise Refusal("ServerBusy", str(error), 503) from None

    def _signed(
        self, service: str, account: str, method: str, path: str, query: str, given: Mapping[str, str], content: Content
    ) -> Headers:
        headers = {name: value for name, value in given.items() if name not in _SAID_ANEW}
        if isinstance(content, bytes):
            headers["content-length"] = str(len(content))
        headers["x-ms-date"] = formatdate(usegmt=True)
        headers["authorization"] = storage_signing.authorization(
            service, account, self._azurite.key, method=method, path=path, query=query_pairs(query), headers=headers
        )
        headers["x-twin-time"] = str(int(self._twin.clock.now() * 1000))
        if isinstance(content, bytes):
            # The connection says it.
            del headers["content-length"]
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def busy(error: UpstreamError) -> Refusal:
    return Refusal("ServerBusy", f"The server is currently unable to receive requests: {error}. Please retry your request.", 503)
