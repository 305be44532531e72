"""Who is at the other end of a connection of this machine, as the kernel tells it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pilotlight.twin.asgi import Request
from pilotlight.twin.peers import Peers

pytestmark = pytest.mark.skipif(not Peers.KNOWN, reason="This machine does not tell.")
CALL = "import socket, sys; held = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def request(listener: socket.socket, port: int) -> Request:
    ports = (port, listener.getsockname()[1])
    return Request(method="GET", raw_path="/", raw_query="", headers={}, header_pairs=[], source_ip="", receive=None, ports=ports)  # type: ignore[arg-type]


def test_a_connection_is_of_the_process_that_holds_it(listener: socket.socket) -> None:
    command = [sys.executable, "-c", CALL, str(listener.getsockname()[1])]
    callers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    try:
        ports = [listener.accept()[1][1] for _ in callers]
        pids, peers = [one.pid for one in callers], Peers()
        found = [peers.pid(request(listener, port), pids) for port in ports]
        assert sorted(map(int, filter(None, found))) == sorted(pids)
        assert [peers.pid(request(listener, port), ()) for port in ports] == found, "what is open still is remembered"
        assert Peers().pid(request(listener, ports[0]), [os.getpid()]) is None
    finally:
        for one in callers:
            one.communicate()
    assert [peers.pid(request(listener, port), pids) for port in ports] == [None, None]


def test_this_process_is_known_too(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as held:
        assert Peers().pid(request(listener, held.getsockname()[1]), [os.getpid()]) == os.getpid()
    assert Peers().pid(request(listener, 1), [os.getpid()]) is None
