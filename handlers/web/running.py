"""The HTTP server under our ASGI programs."""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import Any

from handlers.functions import logs, spans
from handlers.web.bare_uvicorn import Config, Server
from handlers.web.exchange import Take
from handlers.web.protocol import BoundedHttp, bounded
from handlers.web.taking import TakingHttp, taking

# Longer than the 60 s after which load balancers drop an idle connection, so that it is never us who drop it first.
_KEEP_ALIVE_S = 75
_LAST_WORDS_S = 1.0
_SPANS_S = 2.0
# A request that was sent on an open connection before its client heard of the end is here by then.
_LINGER_S = 0.5
_LOOK_S = 0.01


class _Server(Server):
    """Loses no request when it leaves: uvicorn closes idle connections at once, on which requests may be under way, and is gone before
    those that are given up at the end of the drain can say so."""

    def __init__(self, config: Config, protocol: type[BoundedHttp], drain_s: float) -> None:
        super().__init__(config)
        self._protocol = protocol
        self._drain_s = drain_s

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self._protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        began, drain_s = time.monotonic(), self._drain_s
        # From now on what is told is sent at once, so that little is left for the end.
        spans.flush(0)
        # The system has taken these already, perhaps with their requests: it would reset them with the socket that listens. Whoever comes
        # between the last of them and its end still is.
        accepted = [each for listening in sockets or () for each in _accepted(listening)]
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        self._protocol.leaving = True
        for each in accepted:
            with suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(self._connection, each)
        for connection in self.server_state.connections:
            if isinstance(connection, BoundedHttp):
                connection.leave()
        # Looked at: uvicorn tells of no connection's end.
        while self.server_state.connections and time.monotonic() - began < min(_LINGER_S, drain_s):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        # uvicorn says whole seconds, and hands on what it is given.
        self.config.timeout_graceful_shutdown = max(0.0, drain_s - (time.monotonic() - began))  # type: ignore[assignment]
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, TakingHttp):
                connection.end()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_LAST_WORDS_S)
        # A collector that answers nobody takes no more than is left.
        await asyncio.to_thread(spans.flush, max(0.0, min(_SPANS_S, began + drain_s + _LAST_WORDS_S - time.monotonic())))
        # Whatever was answered in this turn of the loop is told at its end.
        await asyncio.sleep(0)


class _Lines(logging.Handler):
    """What uvicorn tells, a line like every other; without a handler it would be plain text."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            logs.write_fault("server", record.exc_info[1], told=record.getMessage())
        else:
            logs.write("server", level=record.levelname, message=record.getMessage())


def _tell_as_others(logger: logging.Logger) -> None:
    if not any(isinstance(each, _Lines) for each in logger.handlers):
        logger.addHandler(_Lines(logging.WARNING))


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """The connections that nobody has taken from a socket that does not block."""
    found: list[socket.socket] = []
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            found.append(connection)
    return found


def make_server(app: Any, *, host: str, port: int, drain_s: float, arrival_s: float, take: Take | None = None) -> Server:
    """A server that is to be awaited (`serve()`); a request's headers may take `arrival_s` seconds. `take` is offered short requests before
    they become the program's.

    On SIGTERM or SIGINT it takes no new connection and finishes requests under way, `drain_s` seconds long, each with the end of its
    connection; then it raises the signal once more. Raises SystemExit(1) when the port is taken (the log says so).
    """
    protocol = bounded(arrival_s) if take is None else taking(arrival_s, take)
    config = Config(
        app,
        host=host,
        port=port,
        # The strict parser of httptools: refuses bare line feeds, and a length beside chunks.
        http=protocol,
        # uvloop gains nothing beside the model's thread, even where the model takes no time, and is 14 MB more to read at a cold start.
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    _tell_as_others(logging.getLogger("uvicorn"))
    return _Server(config, protocol, drain_s)
