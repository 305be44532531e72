"""Tokens of the account that this process runs as, from the metadata server; each is kept until shortly before it ends.

Source of the routes: Compute Engine, "View and query VM metadata" and "Verify the identity of instances"; Cloud Run has the same.
GCE_METADATA_HOST moves the server, as it does for Google's own clients.
"""

import base64
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from handlers.functions.gcp.connections import TRANSPORT_ERRORS, Server
from handlers.functions.outcomes import Unavailable

HOST = "GCE_METADATA_HOST"
_DEFAULT_HOST = "metadata.google.internal"
_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"
_HEADERS = {"Metadata-Flavor": "Google", "Connection": "close"}
TIMEOUT_S = 3.0
ATTEMPTS = 3
_FIRST_PAUSE_S = 0.1
# The server gives the same token until four minutes before its end, so asking earlier brings nothing new (google-auth's own margin).
MARGIN_S = 225.0


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    ends: float


class Tokens:
    """One kind of token; threads share it."""

    def __init__(self, fetch: Callable[[], _Token]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def get(self, *, refused: str | None = None) -> str:
        """A token that is not about to end, and not the one that was `refused`. Raises Unavailable."""
        with self._lock:
            if self._token is None or self._token.ends - time.time() < MARGIN_S or self._token.value == refused:
                self._token = self._fetch()
            return self._token.value


def access_tokens() -> Tokens:
    """Tokens for Google's APIs, as far as the account's roles go."""
    return Tokens(_access_token)


def id_tokens(audience: str) -> Tokens:
    """Tokens that tell `audience`, the URL of a service, who calls it."""
    return Tokens(lambda: _id_token(audience))


def _access_token() -> _Token:
    text = _ask(f"{_ACCOUNT}/token")
    try:
        answer = json.loads(text)
        return _Token(str(answer["access_token"]), time.time() + float(answer["expires_in"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("The metadata server's answer is no access token.") from error


def _id_token(audience: str) -> _Token:
    text = _ask(f"{_ACCOUNT}/identity?audience={quote(audience, safe='')}&format=full").strip()
    try:
        payload = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return _Token(text, float(claims["exp"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Unavailable("The metadata server's answer is no ID token.") from error


def _ask(path: str) -> str:
    """The server's answer; it is slow or busy at times while an instance starts, so it is asked again. Raises Unavailable."""
    host = os.environ.get(HOST) or _DEFAULT_HOST
    trouble = ""
    for attempt in range(ATTEMPTS):
        time.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**attempt) if attempt else 0)  # noqa: S311 (spread, no secret)
        try:
            with Server(f"http://{host}").asked("GET", path, headers=_HEADERS, timeout_s=TIMEOUT_S) as answer:
                text = answer.read().decode(errors="replace")
        except TRANSPORT_ERRORS as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        if answer.status == 200:
            return text
        trouble = f"{answer.status} {text[:200]}"
        if answer.status < 500 and answer.status != 429:
            break
    raise Unavailable(f"The metadata server {host} gave no token: {trouble}.")
