"""The head of a request, kept for the next one on its connection: who asks again sends the same, but for the length of the body."""

import re
from collections.abc import Mapping
from typing import Any

# What lies in front of the digits is a header of its own: a value that goes on in another line begins that with a space.
_told_length = re.compile(rb"\r\ncontent-length:[ \t]*([1-9][0-9]{0,4}|0)[ \t]*\r\n", re.IGNORECASE).search
_MOST_DIGITS = 5
# Of requests that are all of other sizes, and of a head that is to be kept for each of them.
_MOST_SIZES, _MOST_KEPT_BYTES = 16, 2048
_END = b"\r\n\r\n"


class Head:
    """`path` is as it was sent, with its query; `headers` are as header_lines.py has them, but for the length, which is another one each
    time. `found` is what whoever answers has found out from both, None until then."""

    __slots__ = ("_before", "_behind", "_by_size", "found", "headers", "path")

    def __init__(self, path: str, headers: Mapping[str, str]) -> None:
        self.path = path
        self.headers = headers
        self.found: Any = None
        self._before = self._behind = b""
        self._by_size: dict[int, bytes] = {}

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
        head = self._by_size.get(len(request))
        if head is None:
            head = self._of_size(len(request))
        return request[len(head) :] if head and request.startswith(head) else None

    def _of_size(self, size: int) -> bytes:
        """The head of a request that has so many bytes with its body: there is one at most. Empty where there is none."""
        beside = len(self._before) + len(self._behind)
        lengths = [size - beside - digits for digits in range(1, _MOST_DIGITS + 1)]
        length = next((each for digits, each in enumerate(lengths, 1) if each >= 0 and len(str(each)) == digits), None)
        head = b"" if length is None else b"%b%d%b" % (self._before, length, self._behind)
        if len(self._by_size) == _MOST_SIZES:
            self._by_size.clear()
        if beside <= _MOST_KEPT_BYTES:
            self._by_size[size] = head
        return head
