"""The socket that a server listens on."""

import socket

# uvicorn's own.
_BACKLOG = 2048


def listener(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens. Where the port is `shared`, the kernel deals connections out to the sockets of several processes: one that
    they all had would give a burst of them to whoever comes first. Raises OSError, which names both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
    except OSError as error:
        raise OSError(f"PORT is {port}, which can't be used on {host}: {error.strerror}.") from error
