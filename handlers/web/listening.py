"""The socket that a server listens on."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

# uvicorn's own.
_BACKLOG = 2048


def require_free(host: str, port: int) -> None:
    """Raises OSError, which names both, where somebody listens there already. Nobody can connect to what looks."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with _explained(host, port), socket.socket(family) as looking:
        # As `create_server` has it: connections that are over keep nobody from a port.
        looking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        looking.bind((host, port))


def listener(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens. Where the port is `shared`, the kernel deals connections out to the sockets of several processes: one that
    they all had would give a burst of them to whoever comes first. Raises OSError, which names both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with _explained(host, port):
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)


@contextmanager
def _explained(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"PORT is {port}, which can't be used on {host}: {error.strerror}.") from error
