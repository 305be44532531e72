"""A caller for servers that answer faster than an event loop in Python can ask: sockets, epoll, one body for all.

Each request has an id of its own (`x-request-id`), as those have that come through a gateway: a server that takes a request for the one
before it has to see that it is not. One that asks with the very same bytes is `repeated`.

It shares the machine with the server that it measures, as every caller here does, and is the same for all of them.
"""

import itertools
import json
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.record import BenchmarkError

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_STATUS = b"HTTP/1.1 200"
_PATIENCE_S = 30.0


@dataclass(slots=True)
class Heard:
    """Seconds of every request until its answer, how long all took together, and the last answer of each connection."""

    seconds: list[float] = field(default_factory=list)
    span_s: float = 0.0
    last: list[bytes] = field(default_factory=list)


def request(path: str, body: Any, *, repeated: bool = False) -> Iterator[bytes]:
    """POSTs of a JSON value, without end."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n".encode()
    end = b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
    if repeated:
        return itertools.repeat(head + end)
    return (b"%bX-Request-Id: %016x\r\n%b" % (head, number, end) for number in itertools.count())


def body(answer: bytes) -> Any:
    """The JSON value of an answer."""
    head, _, content = answer.partition(b"\r\n\r\n")
    if _CHUNKED.search(head):
        parts = bytearray()
        while content:
            size, _, content = content.partition(b"\r\n")
            parts += content[: int(size, 16)]
            content = content[int(size, 16) + 2 :]
        content = bytes(parts)
    return json.loads(content)


def saturate(port: int, asked: Iterator[bytes], *, connections: int, seconds: float) -> Heard:
    """Each connection asks again as soon as it is answered. BenchmarkError for an answer that is none."""
    heard, began = Heard(), time.perf_counter()
    with _connected(port, connections) as (poll, sockets):
        sent = dict.fromkeys(sockets, began)
        answers: dict[int, bytes] = {}
        for each in sockets.values():
            each.sendall(next(asked))
        end = began + seconds
        while sent:
            for number, answer in _answered(poll, sockets, answers):
                now = time.perf_counter()
                heard.seconds.append(now - sent[number])
                if now < end:
                    sent[number] = now
                    sockets[number].sendall(next(asked))
                else:
                    del sent[number]
                    # The server may close it while the others are still answered: after 5 s, uvicorn's do.
                    poll.unregister(number)
                    heard.last.append(answer)
    heard.span_s = time.perf_counter() - began
    return heard


def pace(port: int, asked: Iterator[bytes], *, connections: int, seconds: float, rate: float) -> Heard:
    """So many requests a second, whatever is answered; each one's seconds run from when it was due."""
    heard, began, turn, total = Heard(), time.perf_counter(), 0, int(rate * seconds)
    with _connected(port, connections) as (poll, sockets):
        idle, due = list(sockets), dict[int, float]()
        answers: dict[int, bytes] = {}
        while turn < total or due:
            now = time.perf_counter()
            while idle and turn < total and began + turn / rate <= now:
                number = idle.pop()
                due[number] = began + turn / rate
                sockets[number].sendall(next(asked))
                turn += 1
            wait = max(0.0, began + turn / rate - time.perf_counter()) if idle and turn < total else _PATIENCE_S
            for number, answer in _answered(poll, sockets, answers, wait, patient=not due):
                heard.seconds.append(time.perf_counter() - due.pop(number))
                idle.append(number)
                heard.last[:] = [answer]
    heard.span_s = time.perf_counter() - began
    return heard


@contextmanager
def _connected(port: int, connections: int) -> Iterator[tuple[select.epoll, dict[int, socket.socket]]]:
    poll, sockets = select.epoll(), dict[int, socket.socket]()
    try:
        for _ in range(connections):
            each = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(each, select.EPOLLIN)
            sockets[each.fileno()] = each
        yield poll, sockets
    finally:
        poll.close()
        for each in sockets.values():
            each.close()


def _answered(
    poll: select.epoll, sockets: dict[int, socket.socket], parts: dict[int, bytes], wait: float = _PATIENCE_S, *, patient: bool = False
) -> Iterator[tuple[int, bytes]]:
    """The connections that have their answers; `parts` keeps what is of one that is not whole. BenchmarkError where none comes."""
    ready = poll.poll(wait)
    if not ready and not patient and wait >= _PATIENCE_S:
        raise BenchmarkError(f"A server under load said nothing for {_PATIENCE_S:g} s.")
    for number, _ in ready:
        came = sockets[number].recv(1 << 18)
        answer = parts.pop(number, b"") + came
        if not came:
            raise BenchmarkError(f"A server under load closed a connection after {answer[:300]!r}.")
        if not _whole(answer):
            parts[number] = answer
        elif not answer.startswith(_STATUS):
            raise BenchmarkError(f"A server under load answered {answer[:300]!r}.")
        else:
            yield number, answer


def _whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    if told := _LENGTH.search(answer, 0, end):
        return len(answer) >= end + 4 + int(told[1])
    if _CHUNKED.search(answer, 0, end):
        return answer.endswith(b"0\r\n\r\n")
    raise BenchmarkError(f"An answer came without its length:\n{answer[:end].decode('latin-1')}")
