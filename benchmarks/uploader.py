"""An uploader that takes as little of the machine as it can: addresses made beforehand, kept connections, no library above HTTP."""

import http.client
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from benchmarks.record import BenchmarkError

TYPE = "text/plain; charset=utf-8"
CONNECTIONS = 8


class Uploader:
    """`upload(text)` sends that text to every address, all of one host, with the method and the headers that store an object there;
    `trusted` is whose certificates it trusts, where the addresses have TLS."""

    def __init__(
        self, method: str, addresses: Sequence[str], headers: Mapping[str, str] | None = None, trusted: ssl.SSLContext | None = None
    ) -> None:
        parts = [urlsplit(address) for address in addresses]
        self._method, self._host = method, parts[0].netloc
        self._headers, self._trusted = {"Content-Type": TYPE, **(headers or {})}, trusted
        self._targets = [f"{each.path}?{each.query}" for each in parts]

    def upload(self, text: str) -> float:
        """Put the text everywhere, several at a time; returns the seconds of processor time that this process took for it."""
        parts = [self._targets[start::CONNECTIONS] for start in range(CONNECTIONS)]
        began = time.process_time()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._put, parts, [text.encode()] * CONNECTIONS))
        return time.process_time() - began

    def _put(self, targets: Sequence[str], body: bytes) -> None:
        connection = self._connection()
        for target in targets:
            connection.request(self._method, target, body, self._headers)
            response = connection.getresponse()
            said = response.read()
            if response.status not in (200, 201):
                raise BenchmarkError(f"An upload was answered {response.status}: {said[:300]!r}")
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._trusted is None:
            return http.client.HTTPConnection(self._host, timeout=60)
        return http.client.HTTPSConnection(self._host, timeout=60, context=self._trusted)
