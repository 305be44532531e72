"""Connections to one HTTP server, kept between requests and shared by threads."""

import functools
import select
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S = 3.0
# What a request can end with beside an answer.
TRANSPORT_ERRORS = (OSError, HTTPException)


class NotConnected(ConnectionError):
    """Nobody answered in the time for a connection."""


class Server:
    """One server by its address: `http` or `https`, host, port and, where there is one, a path that stands before every other."""

    def __init__(self, address: str) -> None:
        """Raises ValueError for an address that is none."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{address!r} is no address: use http://HOST or https://HOST, with a port or a path or neither.")
        self._secure, self._host, self._prefix = parts.scheme == "https", parts.netloc, parts.path.rstrip("/")
        self._idle: list[HTTPConnection] = []

    @contextmanager
    def asked(
        self, method: str, path: str, *, headers: Mapping[str, str], timeout_s: float, body: bytes | None = None
    ) -> Iterator[HTTPResponse]:
        """The answer to one request; its body is read within the block, where no wait may be longer than `timeout_s`.

        Raises one of TRANSPORT_ERRORS.
        """
        connection = self._connection(timeout_s)
        try:
            connection.request(method, self._prefix + path, body, dict(headers))
            answer = connection.getresponse()
            yield answer
        except BaseException:
            connection.close()
            raise
        # One that was not read to its end still carries the rest of this answer.
        if answer.isclosed() and not answer.will_close:
            self._idle.append(connection)
        else:
            connection.close()

    def _connection(self, timeout_s: float) -> HTTPConnection:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break  # another thread took it
            if _is_open(connection):
                connection.sock.settimeout(timeout_s)
                return connection
            connection.close()
        connection = self._new(min(CONNECT_TIMEOUT_S, timeout_s))
        try:
            connection.connect()
        except TimeoutError as error:
            raise NotConnected(f"no connection within {min(CONNECT_TIMEOUT_S, timeout_s):.2g} s") from error
        connection.sock.settimeout(timeout_s)
        return connection

    def _new(self, timeout_s: float) -> HTTPConnection:
        if self._secure:
            return HTTPSConnection(self._host, timeout=timeout_s, context=_tls())
        return HTTPConnection(self._host, timeout=timeout_s)


def _is_open(connection: HTTPConnection) -> bool:
    """Whether the other side has kept it too: there is nothing to read of one that carries no request."""
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return not waiting.poll(0)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Once a process: the certificates of its authorities take 23 ms to read."""
    return ssl.create_default_context()
