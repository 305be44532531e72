"""Callers over plain sockets that count every request and every answer: some ask again once they are answered, some come at fixed times
whatever is answered, and what those waited counts from when they were due."""

import re
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks import wire

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE_S = 20.0


@dataclass(slots=True)
class Call:
    """One request: when it was due, sent and answered (monotonic clock), and its answer, which is empty until there is one."""

    number: int
    due: float
    sent: float = 0.0
    came: float = 0.0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def seconds(self) -> float:
        return self.came - self.due


class Callers:
    """Connections to one server, each with one request at a time: as many as are needed, kept for whoever comes next.

    `odd` tells what no server may do: close a connection under a request, send what nobody asked for, or half of an answer.
    """

    def __init__(self, port: int, head: str = "") -> None:
        """`head` is more lines of every request's head, each with its end."""
        self._port = port
        self._head = head.encode()
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._free: list[int] = []
        self._under_way: dict[int, Call] = {}
        self._parts: dict[int, bytes] = {}
        self.calls: list[Call] = []
        self.odd: list[str] = []

    def saturate(self, clients: int, seconds: float) -> list[Call]:
        """Each client asks again as soon as it is answered."""
        began = time.monotonic()
        calls = [self._ask(began) for _ in range(clients)]
        while self._under_way:
            for _ in self._answered(_PATIENCE_S):
                if (now := time.monotonic()) < began + seconds:
                    calls.append(self._ask(now))
        return calls

    def offer(self, rate: float, seconds: float) -> list[Call]:
        """So many requests a second, evenly, whatever is answered; then until all are answered, or nothing has come for long."""
        began, total = time.monotonic(), round(rate * seconds)
        calls: list[Call] = []
        while len(calls) < total or self._under_way:
            while len(calls) < total and (due := began + len(calls) / rate) <= time.monotonic():
                calls.append(self._ask(due))
            left_s = began + len(calls) / rate - time.monotonic() if len(calls) < total else _PATIENCE_S
            self._answered(max(left_s, 0.0))
        return calls

    def close(self) -> None:
        self._poll.close()
        for each in self._sockets.values():
            each.close()

    def __enter__(self) -> "Callers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, due: float) -> Call:
        call = Call(len(self.calls), due)
        self.calls.append(call)
        place = self._free.pop() if self._free else self._connected()
        self._under_way[place] = call
        call.sent = time.monotonic()
        line, _, rest = next(wire.request("/predict", {"inputs": call.number}, repeated=True)).partition(b"\r\n")
        self._sockets[place].sendall(line + b"\r\n" + self._head + rest)
        return call

    def _connected(self) -> int:
        each = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE_S)
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[each.fileno()] = each
        self._poll.register(each, select.EPOLLIN)
        return each.fileno()

    def _answered(self, wait_s: float) -> list[Call]:
        """The calls that have their answers now, waited for that long."""
        ready = self._poll.poll(wait_s)
        if not ready and wait_s >= _PATIENCE_S:
            self.odd += [f"{call} has no answer after {_PATIENCE_S:g} s" for call in self._under_way.values()]
            self._under_way.clear()
        return [call for place, _ in ready if (call := self._heard(place)) is not None]

    def _heard(self, place: int) -> Call | None:
        came = self._sockets[place].recv(1 << 18)
        call = self._under_way.get(place)
        if call is None:
            if came:
                self.odd.append(f"{came[:200]!r} came on a connection without a request")
            # One that is closed between two requests is nothing odd.
            self._forget(place)
            return None
        if not came:
            self.odd.append(f"{call} was broken off after {self._parts.get(place, b'')[:200]!r}")
            self._forget(place)
            return None
        answer = self._parts.pop(place, b"") + came
        head, end, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if end else None
        if length is None or len(body) < int(length[1]):
            self._parts[place] = answer
            return None
        if len(body) > int(length[1]):
            self.odd.append(f"{call} was answered with more than it said: {answer[:300]!r}")
        status, *lines = head.decode("latin-1").split("\r\n")
        call.came, call.status, call.body = time.monotonic(), int(status.split(" ")[1]), body
        call.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        del self._under_way[place]
        if call.headers.get("connection") == "close":
            self._forget(place)
        else:
            self._free.append(place)
        return call

    def _forget(self, place: int) -> None:
        self._poll.unregister(place)
        self._sockets.pop(place).close()
        self._under_way.pop(place, None)
        self._parts.pop(place, None)
        if place in self._free:
            self._free.remove(place)


def share_below(seconds: list[float], share: float) -> float:
    """What that share of them is not above."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
