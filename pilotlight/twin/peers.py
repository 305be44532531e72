"""Which process a request came from: all of the twin's are on one machine, and the kernel knows who holds the other end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pilotlight.twin.asgi import Request

_SOCKETS = Path("/proc/net/tcp")
# As the kernel writes 127.0.0.1 (proc(5), /proc/net/tcp).
_LOCALHOST = "0100007F"
_REMEMBERED = 4096


class Peers:
    """Linux only: elsewhere nobody is known (`KNOWN`). A connection that stays open is looked up once."""

    KNOWN = _SOCKETS.exists()

    def __init__(self) -> None:
        # Port of the other end -> who holds it: the process, its descriptor, what that is.
        self._held: dict[int, tuple[int, str, str]] = {}

    def pid(self, request: Request, candidates: Iterable[int]) -> int | None:
        """Which of these processes the request came from; None where it was another one."""
        port, own = request.ports
        held = self._held.get(port)
        if held is not None and _is(held[1], held[2]):
            return held[0]
        self._held.pop(port, None)
        link = _link(port, own)
        found = next(((pid, path) for pid in candidates if link and (path := _descriptor(pid, link))), None)
        if found is None or link is None:
            return None
        if len(self._held) >= _REMEMBERED:
            del self._held[next(iter(self._held))]
        self._held[port] = (*found, link)
        return found[0]


def _link(port: int, own: int) -> str | None:
    """What a descriptor of the socket looks like that has that port of this machine and is connected to the other."""
    try:
        with open(_SOCKETS, encoding="ascii") as file:
            sockets = file.read()
    except OSError:
        return None
    at = sockets.find(f" {_LOCALHOST}:{port:04X} {_LOCALHOST}:{own:04X} ")
    if at < 0:
        return None
    # Behind the two addresses: state, queues, timer, retransmissions, user, timeout, inode (the index counts the addresses).
    inode = sockets[at : sockets.find("\n", at)].split()[8]
    return f"socket:[{inode}]"


def _descriptor(pid: int, link: str) -> str | None:
    """The path of a process's descriptor of that socket."""
    folder = f"/proc/{pid}/fd"
    try:
        return next((path for name in os.listdir(folder) if _is(path := f"{folder}/{name}", link)), None)
    except OSError:
        return None


def _is(path: str, link: str) -> bool:
    try:
        return os.readlink(path) == link
    except OSError:
        return False
