"""A cloud's API over HTTP, with the token of the identity that this process runs as."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from operator import attrgetter
from typing import TypeVar

from handlers.functions.connections import TRANSPORT_ERRORS, Server
from handlers.functions.outcomes import Unavailable
from handlers.functions.tokens import Tokens

# In a row, before a call counts as failed.
ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2
# A service may ask for longer than whoever waits behind the call has.
_MOST_ASKED_S = 2.0
_PASSING = (408, 429, 500, 502, 503, 504)
_T = TypeVar("_T")


class ApiError(Exception):
    """What was asked for did not happen; `status` is the service's, None where it gave no answer, `code` its own word for the reason,
    `after_s` the seconds that it asks to be left alone for."""

    def __init__(self, message: str, status: int | None = None, code: str | None = None, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.after_s = after_s

    @property
    def passes(self) -> bool:
        """Whether the same call may go well a moment later."""
        return self.status is None or self.status in _PASSING


class Api:
    """An API by its address, as this process may use it; threads share it."""

    def __init__(self, address: str, *, timeout_s: float, tokens: Tokens | None) -> None:
        """No wait for a part of an answer may be longer than `timeout_s`."""
        self._server = Server(address)
        self._timeout_s = timeout_s
        self._tokens = tokens

    @contextmanager
    def asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Iterator[HTTPResponse]:
        """The good answer to one request. Raises ApiError, also when the connection breaks while it is read."""
        try:
            own = {"Authorization": f"Bearer {self._tokens.get()}"} if self._tokens else {}
            with self._server.asked(method, path, headers={**headers, **own}, timeout_s=self._timeout_s, body=body) as answer:
                trouble = self._error(answer) if answer.status >= 300 else None
                if trouble is None:
                    yield answer
            # Not within the block: a connection that has brought all of an answer is kept, whatever that says.
            if trouble is not None:
                raise trouble
        except TRANSPORT_ERRORS as error:
            raise ApiError(f"{type(error).__name__}: {error}") from error
        except Unavailable as error:
            raise ApiError(str(error)) from error

    def _error(self, answer: HTTPResponse) -> ApiError:
        text = answer.read(1000).decode(errors="replace").strip()
        return ApiError(f"{answer.status} {answer.reason}: {' '.join(text.split())[:300]}", answer.status)


def patiently(once: Callable[[], _T], again: Callable[[ApiError], bool] = attrgetter("passes")) -> _T:
    """What `once` gives; it is called once more after an error that `again` is for. Raises its ApiError."""
    for attempt in range(ATTEMPTS):
        try:
            return once()
        except ApiError as error:
            if attempt == ATTEMPTS - 1 or not again(error):
                raise
            pause(attempt + 1, asked_s=error.after_s)
    raise AssertionError("the last attempt returns or raises")


def pause(attempt: int, *, asked_s: float = 0.0) -> None:
    """Before an attempt, longer from one to the next; none before the first, which is 0. Nor less than the service asked for, within
    reason."""
    if attempt:
        time.sleep(min(asked_s, _MOST_ASKED_S) + random.uniform(0, _FIRST_PAUSE_S * 2**attempt))  # noqa: S311 (spread, no secret)
