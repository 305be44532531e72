"""Objects of a store over HTTP, read as they arrive."""

import base64
import hashlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, ExitStack
from http.client import HTTPResponse
from types import TracebackType
from typing import Self

from handlers.functions.connections import TRANSPORT_ERRORS
from handlers.functions.objects import Content
from handlers.functions.outcomes import Refused, Unavailable
from handlers.functions.rest import ATTEMPTS, ApiError, patiently, pause


class Download(ABC):
    """One version of an object as a stream: where the connection breaks, the next one goes on at the same byte.

    `size` is in bytes, as stored; `md5` is in base64, None where the store has none; `version` is the store's own word for the content,
    None until an answer tells it. It is to be closed (`with`).
    """

    md5: str | None = None

    def __init__(self, version: str | None) -> None:
        """Raises ApiError."""
        self.version = version
        self._open = ExitStack()
        self._place = 0
        self._answer = patiently(self._again)
        if self._answer.length is None:
            raise ApiError("The answer tells no length.")
        self.size = self._answer.length
        self.content_type: str | None = self._answer.headers.get("content-type")

    @abstractmethod
    def _asked(self, place: int, end: int | None = None) -> AbstractContextManager[HTTPResponse]:
        """The answer from the byte `place` on, to before `end` where one is given: the whole object for 0 alone, else with status 206.

        Raises ApiError.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end alone. Raises ApiError."""
        for attempt in range(ATTEMPTS):
            if self._place == self.size:
                return b""
            if attempt:
                pause(attempt)
                self._answer = patiently(self._again)
            try:
                chunk = self._answer.read(min(size, self.size - self._place))
            except TRANSPORT_ERRORS:
                chunk = b""
            if chunk:
                self._place += len(chunk)
                return chunk
        raise ApiError(f"{ATTEMPTS} answers brought no part of the object from byte {self._place} on.")

    def part(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, by a request of its own: threads may ask side by side. Raises ApiError."""
        return patiently(lambda: self._part(start, end))

    def _part(self, start: int, end: int) -> bytes:
        with self._asked(start, end) as answer:
            if answer.status != 206:
                raise ApiError(f"A part was asked for and {answer.status} {answer.reason} came.")
            content = answer.read(end - start)
        if len(content) != end - start:
            raise ApiError(f"An answer brought {len(content)} of {end - start} bytes from byte {start} on.")
        return content

    def whole(self) -> bytes:
        """All of it. Raises ApiError."""
        body = bytearray()
        while chunk := self.read(self.size):
            body += chunk
        return bytes(body)

    def content(self, *, max_bytes: int) -> Content:
        """All of it, if it has no more than `max_bytes`, else raises Refused. Raises ApiError; Unavailable where other bytes came."""
        if self.size > max_bytes:
            raise Refused(f"The object has {self.size} bytes: {max_bytes} are allowed.")
        body = self.whole()
        if self.md5 is not None and self.md5 != base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode():
            raise Unavailable("The object can't be read: what came has another MD5 than what is stored.")
        return Content(body, self.content_type)

    def _again(self) -> HTTPResponse:
        """A new answer from the place that is reached."""
        self._open.close()
        answer = self._open.enter_context(self._asked(self._place))
        if self._place and answer.status != 206:
            raise ApiError(f"A part was asked for and {answer.status} {answer.reason} came.")
        return answer


def ranged(start: int, end: int | None) -> str:
    """The value of a Range header (RFC 9110, 14.1.2)."""
    return f"bytes={start}-{'' if end is None else end - 1}"
