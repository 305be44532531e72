"""How the twin's doors listen and serve: one way for all of them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn

from pilotlight.twin.asgi import Receive, Scope, Send
from pilotlight.twin.state import TwinError

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
# How long answers that are on their way may take once the twin was told to end.
GRACE_S = 2
# A server that closes idle connections sooner than its clients expect cuts off the request that comes at that moment; uvicorn's 5 s
# are less than clients that pool connections count on.
KEEP_ALIVE_S = 75


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon has its own, in a fixed order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def config(application: Asgi, *, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Config:
    """Of a server of HTTP, or with a certificate chain and its key (PEM) of HTTPS."""
    return uvicorn.Config(
        application,
        # Not guessed: uvicorn takes a method for an application of the older interface.
        interface="asgi3",
        log_level="warning",
        lifespan="off",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        ws="none",
        proxy_headers=False,
        # Each service has its own; the front adds the date where it is missing.
        server_header=False,
        date_header=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


def listen(port: int | None, remembered: Path) -> socket.socket:
    """A socket of this machine that listens at that port, or at any; TwinError where another program has it.

    `remembered` is the file that the port was read from.
    """
    # With the protocol named: asyncio turns Nagle's delay (40 ms an answer) off only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port or 0))
    except OSError as error:
        listener.close()
        raise TwinError(
            f"Port {port}, where the addresses in your stacks point, can't be opened ({error.strerror}): another program has it. "
            f"Stop that program, or delete {remembered} to let the twin take another port (then run `up` again)."
        ) from None
    listener.listen(256)
    listener.setblocking(False)
    return listener
