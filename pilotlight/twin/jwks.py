"""Public keys of token issuers: fetched over HTTP, kept for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography.x509 import load_pem_x509_certificate

# Key id -> public key. Keys without an id can't be named by a token, and are left out.
Keys = Mapping[str, Any]


@dataclass
class _Held:
    keys: Keys
    fetched: float


class Jwks:
    """Keys of any number of issuers, in memory for `keep_s` seconds.

    An unknown key id makes the issuer be asked again, but not before `ask_again_s`: not for every bad token. A fetch may take `fetch_s`.
    """

    def __init__(self, *, keep_s: float, fetch_s: float, ask_again_s: float) -> None:
        self._keep_s, self._fetch_s, self._ask_again_s = keep_s, fetch_s, ask_again_s
        self._held: dict[tuple[str, str | None], _Held] = {}
        self._lock = asyncio.Lock()

    async def keys(self, issuer: str, kid: str | None, uri: str | None = None) -> Keys:
        """The issuer's keys, RSA and elliptic, by its OpenID discovery where no `uri` is given; anew where `kid` is not among them.

        httpx.HTTPError, ValueError or KeyError where they can't be had.
        """
        async with self._lock:
            held = self._held.get((issuer, uri))
            age = time.monotonic() - held.fetched if held else self._keep_s
            if held is None or age >= self._keep_s or (kid is not None and kid not in held.keys and age >= self._ask_again_s):
                held = self._held[issuer, uri] = _Held(await self._fetch(issuer, uri), time.monotonic())
        return held.keys

    async def _fetch(self, issuer: str, uri: str | None) -> Keys:
        async with httpx.AsyncClient(timeout=self._fetch_s, trust_env=False) as client:
            if uri is None:
                discovery = f"{_reachable(issuer).rstrip('/')}/.well-known/openid-configuration"
                uri = str((await client.get(discovery)).raise_for_status().json()["jwks_uri"])
            else:
                _reachable(uri)
            content = (await client.get(uri)).raise_for_status().json()
        if not isinstance(content, dict):
            raise ValueError("the issuer's keys are no JSON object")
        if "keys" not in content:
            return {kid: load_pem_x509_certificate(str(text).encode()).public_key() for kid, text in content.items()}
        if not isinstance(content["keys"], list):
            raise ValueError("the issuer's keys are no list")
        return dict(_read(content["keys"]))


def signed_by(token: str, key: Any, algorithm: str) -> bool:
    """Whether a token's signature is one of that key and algorithm."""
    try:
        jwt.api_jws.decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, TypeError, ValueError):
        return False
    return True


def _read(keys: list[Any]) -> Iterator[tuple[str, Any]]:
    """Of a set the keys that sign: those to encrypt with, and what can't be read, stand beside them."""
    for key in keys:
        if isinstance(key, dict) and key.get("kty") in ("RSA", "EC") and isinstance(key.get("kid"), str):
            with contextlib.suppress(jwt.PyJWTError, ValueError):
                yield key["kid"], jwt.PyJWK(key).key


def _reachable(url: str) -> str:
    split = urlsplit(url)
    if split.scheme != "https" and not (split.scheme == "http" and split.hostname in ("127.0.0.1", "localhost", "::1")):
        raise ValueError("the issuer must be an https URL; on the twin http://127.0.0.1 and http://localhost too")
    return url
