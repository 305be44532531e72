"""The head of a request, kept for the next one on its connection: who asks again sends the same, but for the length of the body."""

import re
from collections.abc import Mapping
from typing import Any

# What lies in front of the digits is a header of its own: a value that goes on in another line begins that with a space.
_told_length = re.compile(rb"\r\ncontent-length:[ \t]*([1-9][0-9]{0,4}|0)[ \t]*\r\n", re.IGNORECASE).search
_MOST_DIGITS = 5
_END = b"\r\n\r\n"


class Head:
    """`path` is as it was sent, with its query; names of `headers` are lower-case, the last one counts, and the length is not among them,
    which is another one each time. `found` is what whoever answers has found out from both, None until then."""

    __slots__ = ("_before", "_behind", "found", "headers", "path")

    def __init__(self, path: str, headers: Mapping[str, str]) -> None:
        self.path = path
        self.headers = headers
        self.found: Any = None
        self._before = self._behind = b""

    def keep(self, request: bytes, body: bytes) -> bool:
        """Be what this request, of which the parser has made it, begins with. False where the next one has to be parsed: its length is not
        told, or more has come with it."""
        told = _told_length(request, 0, len(request) - len(body))
        if told is None or request.find(_END) != len(request) - len(body) - len(_END) or int(told[1]) != len(body):
            return False
        self._before, self._behind = request[: told.start(1)], request[told.end(1) : len(request) - len(body)]
        return True

    def body_of(self, request: bytes) -> bytes | None:
        """The body of a whole request with this very head, whatever its length; None where it is another one, or something else."""
        if not request.startswith(self._before):
            return None
        start = len(self._before)
        end = request.find(b"\r", start, start + _MOST_DIGITS + 1)
        # Spaces behind the digits are of what has to be the same.
        digits = request[start:end].rstrip()
        if end < 0 or not digits.isdigit() or (digits.startswith(b"0") and len(digits) > 1):
            return None
        start += len(digits)
        if not request.startswith(self._behind, start):
            return None
        body = request[start + len(self._behind) :]
        return body if len(body) == int(digits) else None
