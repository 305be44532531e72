"""Backends of API Management, asked over HTTP, and their answers as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import httpx

from pilotlight.twin.azure.apim_call import ApiResponse, Call, Headers, PolicyFailure
from pilotlight.twin.azure.apim_policies import INTERNAL, Forwarding
from pilotlight.twin.passing import HOP, NOT_SENT_ON

# Connections are not used again later than this: servers close idle ones after a few seconds.
_KEEP_ALIVE_S = 2.0


class ApimBackends:
    """To be used in the twin's loop. `reach` gives the address at which this process asks for a URL."""

    def __init__(self, reach: Callable[[str], str]) -> None:
        self._reach = reach
        limits = httpx.Limits(keepalive_expiry=_KEEP_ALIVE_S, max_connections=None)
        # How long a backend may take is the policy's to say.
        self._client = httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(None), limits=limits)

    async def close(self) -> None:
        await self._client.aclose()

    async def forward(self, call: Call, how: Forwarding) -> ApiResponse:
        """The answer as soon as its headers are there. PolicyFailure (500) without one."""
        if not call.base_url:
            raise _failed("BackendConnectionFailure", "Backend service URL is not defined: set the API's serviceUrl, or a policy.")
        url = f"{call.base_url.rstrip('/')}{call.request.url.path}{call.request.url.query_string}"
        try:
            asked = self._request(call, self._reach(url))
            async with asyncio.timeout(how.timeout_s):
                answer = await self._client.send(asked, stream=True, follow_redirects=how.follow_redirects)
        except TimeoutError:
            raise _failed("Timeout", "The operation has timed out: the backend sent no headers in time.") from None
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            raise _failed("BackendConnectionFailure", str(error) or type(error).__name__) from None
        except httpx.InvalidURL as error:
            raise _failed("BackendConnectionFailure", f"Invalid URI: {error}") from None
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw]
        return ApiResponse(
            status_code=answer.status_code,
            headers=Headers(pair for pair in headers if pair[0].lower() not in HOP),
            body=answer.aiter_raw(),
            close=answer.aclose,
            reason=answer.reason_phrase,
        )

    def _request(self, call: Call, url: str) -> httpx.Request:
        # Built by hand: the client's own headers (what it can decode, say) and cookies are not the caller's.
        headers, body = Headers(call.request.headers.pairs), call.request.body
        length = headers.get("content-length")
        kept = [(name, value) for name, value in headers.pairs if name.lower() not in NOT_SENT_ON]
        told = Headers([*kept, ("X-Forwarded-For", call.request.ip_address)])
        if not isinstance(body, bytes) and length is not None:
            told.append("Content-Length", length)
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in told.pairs]
        return httpx.Request(call.request.method, url, headers=raw, content=body)


async def pieces(body: bytes | AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """A body in pieces, none of them empty."""
    if isinstance(body, bytes):
        if body:
            yield body
        return
    async for piece in body:
        if piece:
            yield piece


def _failed(reason: str, message: str) -> PolicyFailure:
    return PolicyFailure(500, reason, message, told=INTERNAL)
