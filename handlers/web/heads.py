"""The head of a request, kept for the next one on its connection: who asks again sends the same, but for the length of the body and what
tells one request from another."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

# What lies in front of the digits is a header of its own: a value that goes on in another line begins that with a space.
_told_length = re.compile(rb"\r\ncontent-length:[ \t]*([1-9][0-9]{0,4}|0)[ \t]*\r\n", re.IGNORECASE).search
# Ids that gateways, proxies and clients give each request. Whoever answers finds out nothing from them that `Head.found` keeps.
_NAMES = rb"\r\n(traceparent|x-amzn-requestid|x-amzn-trace-id|x-cloud-trace-context|x-ms-client-request-id|x-request-id):"
_names = re.compile(_NAMES, re.IGNORECASE).findall
# The parser leaves blanks behind a value in it.
_ids = re.compile(_NAMES + rb"[ \t]*([!-~]+)(?=\r\n[^ \t])", re.IGNORECASE).finditer
_is_id = re.compile(rb"[!-~]+").fullmatch
_MOST_DIGITS = 5
# Of requests that are all of other sizes, and of a head that is to be kept for each of them.
_MOST_SIZES, _MOST_KEPT_BYTES = 16, 2048
_END = b"\r\n\r\n"


class _Id(NamedTuple):
    """Where a head has the value of a header that is another one each time."""

    start: int
    end: int
    name: str


class _Whole(NamedTuple):
    """A head in whole; where it has ids, what is in front of each of them, from where, and what is behind the last one."""

    head: bytes
    ids: tuple[tuple[bytes, int, _Id], ...] = ()
    rest: bytes = b""
    behind: int = 0


_NONE = _Whole(b"")


class Head:
    """`path` is as it was sent, with its query; `headers` are as header_lines.py has them, but for the length, which is another one each
    time. `found` is what whoever answers has found out from both, whatever the ids are, None until then."""

    __slots__ = ("_before", "_behind", "_by_size", "_digits", "_ids", "found", "headers", "path")

    _before: bytes
    _behind: bytes
    _digits: int
    _ids: tuple[_Id, ...]
    _by_size: dict[int, _Whole]

    def __init__(self, path: str, headers: Mapping[str, str], found: Any = None) -> None:
        self.path = path
        self.headers = headers
        self.found = found

    def keep(self, request: bytes, body: bytes) -> bool:
        """Be what this request, of which the parser has made it, begins with: then others may be `known` by it. False where the next one
        has to be parsed: its length is not told, or more has come with it."""
        told = _told_length(request, 0, len(request) - len(body))
        if told is None or request.find(_END) != len(request) - len(body) - len(_END) or int(told[1]) != len(body):
            return False
        self._before, self._behind = request[: told.start(1)], request[told.end(1) : len(request) - len(body)]
        self._digits, self._by_size = len(told[1]), {}
        # Of several lines of a name it is not one that counts.
        lines = Counter(name.lower() for name in _names(request, 0, len(request) - len(body)))
        found = ((each, each[1].lower()) for each in _ids(request, 0, len(request) - len(body)))
        self._ids = tuple(_Id(*each.span(2), name.decode()) for each, name in found if lines[name] == 1)
        return True

    def known(self, request: bytes) -> "tuple[Head, bytes] | None":
        """The head of a whole request, and its body, whatever its length, where it is this very head, or is but for its ids; None where it
        is another one, or something else."""
        whole = self._by_size.get(len(request))
        if whole is None:
            whole = self._of_size(len(request))
        if not whole.head:
            return None
        if request.startswith(whole.head):
            return self, request[len(whole.head) :]
        return self._with_ids(request, whole) if whole.ids else None

    def _with_ids(self, request: bytes, whole: _Whole) -> "tuple[Head, bytes] | None":
        headers = dict(self.headers)
        for before, place, (start, end, name) in whole.ids:
            if not request.startswith(before, place) or not _is_id(request, start, end):
                return None
            headers[name] = request[start:end].decode()
        if not request.startswith(whole.rest, whole.behind):
            return None
        return Head(self.path, headers, self.found), request[len(whole.head) :]

    def _of_size(self, size: int) -> _Whole:
        """Of a request that has so many bytes with its body: there is one at most. Empty where there is none."""
        beside = len(self._before) + len(self._behind)
        lengths = [size - beside - digits for digits in range(1, _MOST_DIGITS + 1)]
        found = next(((each, digits) for digits, each in enumerate(lengths, 1) if each >= 0 and len(str(each)) == digits), None)
        whole = _NONE if found is None else self._of_length(*found)
        if len(self._by_size) == _MOST_SIZES:
            self._by_size.clear()
        if beside <= _MOST_KEPT_BYTES:
            self._by_size[size] = whole
        return whole

    def _of_length(self, length: int, digits: int) -> _Whole:
        head, place, ids = b"%b%d%b" % (self._before, length, self._behind), 0, []
        for start, end, name in self._ids:
            # Behind the length ids lie further on where that has more digits.
            further = 0 if end <= len(self._before) else digits - self._digits
            ids.append((head[place : start + further], place, _Id(start + further, end + further, name)))
            place = end + further
        return _Whole(head, tuple(ids), head[place:], place)
