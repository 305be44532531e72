"""What a gateway's backend is asked, and its answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from components.limits import API_GATEWAY_PAYLOAD_BYTES
from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp.gateway_document import Backend
from pilotlight.twin.gcp.tokens import LIFETIME_S
from pilotlight.twin.gcp.types import RUN_SERVICE
from pilotlight.twin.passing import HOP, NOT_SENT_ON
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

Headers = list[tuple[str, str]]
# ESPv2, backend_retry_num: once more for a connection that was refused or reset, whatever the method.
_ATTEMPTS = 2
# Connections are not used again later than this: servers close idle ones after a few seconds.
_KEEP_ALIVE_S = 2.0
_AUTHORIZATION, _FORWARDED = "authorization", "x-forwarded-authorization"
_RESET = "upstream connect error or disconnect/reset before headers. {} reason: {}"


class Backends:
    """Calls backends over HTTP. To be used in the twin's loop."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        limits = httpx.Limits(keepalive_expiry=_KEEP_ALIVE_S, max_connections=None)
        # How long a backend may take is its deadline's to say.
        self._client = httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(None), limits=limits)
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    async def close(self) -> None:
        await self._client.aclose()

    def headers(self, request: Request, backend: Backend, account: str, told: Mapping[str, str | None]) -> Headers:
        """What goes to the backend: the caller's headers, `told` in place of those of the same names (None: taken away), and an ID
        token of `account`."""
        kept = [(name, value) for name, value in request.header_pairs if name not in NOT_SENT_ON and name not in told]
        own = request.headers.get(_AUTHORIZATION)
        if backend.authenticated:
            if own is not None:
                kept = [*((name, value) for name, value in kept if name not in (_AUTHORIZATION, _FORWARDED)), (_FORWARDED, own)]
            kept.append((_AUTHORIZATION, f"Bearer {self._token(account, backend.audience or self._audience(backend.address))}"))
        if "x-cloud-trace-context" not in request.headers:
            kept.append(("x-cloud-trace-context", f"{secrets.token_hex(16)}/{secrets.randbits(63)}"))
        kept += [(name, value) for name, value in told.items() if value is not None]
        return [*kept, ("x-forwarded-for", request.source_ip), ("x-forwarded-proto", "https")]

    async def call(self, method: str, url: str, headers: Headers, body: bytes, deadline_s: float) -> tuple[int, Headers, bytes]:
        """Status, headers and body of the answer, which is taken whole: nothing streams through API Gateway. Refusal without one."""
        try:
            async with asyncio.timeout(deadline_s):
                return await self._answered(method, url, headers, body)
        except TimeoutError:
            raise Refusal("DEADLINE_EXCEEDED", "upstream request timeout", 504) from None

    async def _answered(self, method: str, url: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # Built by hand: the client's own headers (what it can decode, say) and cookies are not the caller's.
                asked = httpx.Request(method, url, headers=raw, content=body)
                answer = await self._client.send(asked, stream=True)
                try:
                    return answer.status_code, _answer_headers(answer), await _whole(answer)
                finally:
                    await answer.aclose()
            except httpx.TransportError as error:
                reason = "remote connection failure" if isinstance(error, httpx.ConnectError) else "connection termination"
                if attempt == _ATTEMPTS:
                    raise Refusal("UNAVAILABLE", _RESET.format("retried and the latest reset", reason), 503) from None
            except httpx.InvalidURL:
                raise Refusal("INVALID_ARGUMENT", "Bad Request: the path or the query can't be sent on.", 400) from None
        raise AssertionError("the loop ends by itself")

    def _token(self, account: str, audience: str) -> str:
        """An ID token, kept for most of its life as ESPv2 keeps it."""
        token, until = self._tokens.get((account, audience), ("", 0.0))
        if time.monotonic() >= until:
            token = self._twin.gcp.tokens(self._twin).identity(account, audience)
            self._tokens[account, audience] = token, time.monotonic() + LIFETIME_S * 0.8
        return token

    def _audience(self, address: str) -> str:
        """Whom a token is for where the document does not say: the address without its path.

        Services of Cloud Run share the twin's front, so that the path belongs to what is a host of theirs on Google Cloud.
        """
        for service in self._twin.world.find(RUN_SERVICE):
            if f"{address}/".startswith(f"{service['uri']}/"):
                return str(service["uri"])
        split = urlsplit(address)
        return f"{split.scheme}://{split.hostname}"


def _answer_headers(answer: httpx.Response) -> Headers:
    return [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw if name.decode("latin-1").lower() not in HOP
    ]


async def _whole(answer: httpx.Response) -> bytes:
    parts, size = [], 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > API_GATEWAY_PAYLOAD_BYTES.high:
            raise Refusal("RESPONSE_TOO_LARGE", "Response size was too large. Please consider reducing response size.", 500)
        parts.append(chunk)
    return b"".join(parts)
