"""Ports of this machine for programs that listen a moment later."""

from __future__ import annotations

import contextlib
import secrets
import socket

PORTS = range(20_000, 32_000)


def port_for_later() -> int:
    """A port that another process can take a moment later. RuntimeError where none of many is free.

    Below the range from which systems give ports to outgoing connections (Linux: 32768 and up): one of those would be taken by
    the next request that somebody makes before the container listens. By chance, so that two starts seldom meet.
    """
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"No port of 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1} is free: stop what uses them.")
