"""One of Google's APIs over HTTP, with the token of the account that this process runs as."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse

from handlers.functions.gcp import metadata
from handlers.functions.gcp.connections import TRANSPORT_ERRORS, Server
from handlers.functions.outcomes import Unavailable


class ApiError(Exception):
    """What was asked for did not happen; `status` is the service's, None where it gave no answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """An API by its address, as this process's account may use it; threads share it."""

    def __init__(self, address: str, *, timeout_s: float, with_token: bool = True) -> None:
        """No wait for a part of an answer may be longer than `timeout_s`."""
        self._server = Server(address)
        self._timeout_s = timeout_s
        self._tokens = metadata.access_tokens() if with_token else None

    @contextmanager
    def asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Iterator[HTTPResponse]:
        """The good answer to one request. Raises ApiError, also when the connection breaks while it is read."""
        try:
            own = {"Authorization": f"Bearer {self._tokens.get()}"} if self._tokens else {}
            with self._server.asked(method, path, headers={**headers, **own}, timeout_s=self._timeout_s, body=body) as answer:
                if answer.status >= 300:
                    text = answer.read(1000).decode(errors="replace").strip()
                    raise ApiError(f"{answer.status} {answer.reason}: {' '.join(text.split())[:300]}", answer.status)
                yield answer
        except TRANSPORT_ERRORS as error:
            raise ApiError(f"{type(error).__name__}: {error}") from error
        except Unavailable as error:
            raise ApiError(str(error)) from error
