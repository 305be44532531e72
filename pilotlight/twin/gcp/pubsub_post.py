"""The requests of pushes: to servers of this machine over the twin's own client, to others as anybody sends them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache

import httpx

from pilotlight.twin.upstream import Upstream

# Where the twin's own services are, which get nearly all pushes.
_HERE = "127.0.0.1"
# Servers close idle connections after a few seconds (uvicorn: 5); a request that meets the closing would be lost.
_REST_S = 2.0
# What a header's name and its value may hold (RFC 9110, 5.1 and 5.5): attributes of messages may hold anything.
_NAME, _VALUE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(rb"[\t\x20-\x7e]*")


class Poster:
    """To be used in one loop."""

    def __init__(self) -> None:
        self._here: dict[int, Upstream] = {}
        self._client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=20))

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeout_s: float) -> int:
        """The status of the answer, which is to be whole within `timeout_s`. Raises whatever keeps it from being there."""
        place = _place(url)
        if place is None:
            return (await self._client.post(url, headers=headers, content=content, timeout=timeout_s)).status_code
        port, host, target = place
        if port not in self._here:
            self._here[port] = Upstream(port, answer_s=None, rest_s=_REST_S)
        async with asyncio.timeout(timeout_s):
            answer = await self._here[port].send("POST", target, [host, *map(_header, headers.items())], content)
            await answer.read()
        return answer.status

    async def close(self) -> None:
        for upstream in self._here.values():
            upstream.close()
        await self._client.aclose()


@lru_cache(maxsize=256)
def _place(address: str) -> tuple[int, tuple[bytes, bytes], bytes] | None:
    """Port, header `host` and target of an address on this machine; None for one elsewhere."""
    url = httpx.URL(address)
    if url.scheme != "http" or url.host != _HERE:
        return None
    return url.port or 80, (b"host", url.netloc), url.raw_path


def _header(pair: tuple[str, str]) -> tuple[bytes, bytes]:
    """ValueError for what is no header."""
    name, value = pair[0].encode("ascii"), pair[1].encode("ascii")
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"{pair[0]!r}: {pair[1]!r} can't be sent as a header")
    return name, value
