"""OpenID configurations that policies name: their issuer and keys, fetched over HTTP and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from pilotlight.twin.jwks import Jwks, Keys

# The page of validate-jwt: a configuration is fetched every hour, and after a failure or for an unknown key once in five minutes at most.
KEEP_S, ASK_AGAIN_S = 3600, 300
_FETCH_S = 10
FAILURES = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class _Held:
    issuer: str
    key_set: str
    failure: str | None
    fetched: float


class Configurations:
    """To be used in one loop. `reach` gives the address at which this process asks for a URL."""

    def __init__(self, reach: Callable[[str], str], now: Callable[[], float] = time.monotonic) -> None:
        self._reach, self._now = reach, now
        self._held: dict[str, _Held] = {}
        self._jwks = Jwks(keep_s=KEEP_S, fetch_s=_FETCH_S, ask_again_s=ASK_AGAIN_S)

    async def keys(self, url: str, kid: str | None) -> tuple[str, Keys]:
        """The issuer of a configuration, and its keys. One of FAILURES where they can't be had."""
        held = self._held.get(url)
        if held is None or self._now() - held.fetched >= (ASK_AGAIN_S if held.failure else KEEP_S):
            held = self._held[url] = await self._fetched(url)
        if held.failure is not None:
            raise ValueError(held.failure)
        return held.issuer, await self._jwks.keys(held.issuer, kid, self._reach(held.key_set))

    async def _fetched(self, url: str) -> _Held:
        try:
            async with httpx.AsyncClient(timeout=_FETCH_S, trust_env=False) as client:
                content = (await client.get(self._reach(url))).raise_for_status().json()
            return _Held(str(content["issuer"]), str(content["jwks_uri"]), None, self._now())
        except FAILURES as error:
            failure = f"Unable to obtain the OpenID configuration from {url}: {error or type(error).__name__}"
            return _Held("", "", failure, self._now())
