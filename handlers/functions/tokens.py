"""Tokens of the identity that this process runs as, from a server beside it; each is kept until shortly before it ends."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from handlers.functions.connections import TRANSPORT_ERRORS, Server
from handlers.functions.outcomes import Unavailable

TIMEOUT_S = 3.0
ATTEMPTS = 3
_FIRST_PAUSE_S = 0.1
# How long a token that could not be renewed serves before that is tried again.
_RENEW_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Token:
    """`ends` is in seconds since 1970."""

    value: str
    ends: float


class Tokens:
    """One kind of token; threads share it, and one of them fetches for all."""

    def __init__(self, fetch: Callable[[], Token], *, margin_s: float) -> None:
        """A token is renewed `margin_s` seconds before its end."""
        self._fetch = fetch
        self._margin_s = margin_s
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renewed_at = 0.0

    def get(self, *, refused: str | None = None) -> str:
        """A token that is not about to end, and not the one that was `refused`. Raises Unavailable."""
        with self._lock:
            token = self._token
            if token is None or token.value == refused or token.ends <= time.time():
                token = self._fetch()
            elif token.ends - time.time() < self._margin_s and time.monotonic() >= self._renewed_at:
                token = self._renewed(token)
            self._token = token
            return token.value

    def _renewed(self, token: Token) -> Token:
        try:
            return self._fetch()
        except Unavailable:
            self._renewed_at = time.monotonic() + _RENEW_AGAIN_S
            return token


def ask(what: str, address: str, path: str, headers: Mapping[str, str]) -> str:
    """The answer of a server of tokens, which is slow or busy at times while an instance starts, so it is asked again.

    `what` names it in the Unavailable that is raised.
    """
    trouble = ""
    for attempt in range(ATTEMPTS):
        time.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**attempt) if attempt else 0)  # noqa: S311 (spread, no secret)
        try:
            with Server(address).asked("GET", path, headers={**headers, "Connection": "close"}, timeout_s=TIMEOUT_S) as answer:
                text = answer.read().decode(errors="replace")
        except TRANSPORT_ERRORS as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        if answer.status == 200:
            return text
        trouble = f"{answer.status} {text[:200]}"
        if answer.status < 500 and answer.status != 429:
            break
    raise Unavailable(f"{what} gave no token: {trouble}.")
