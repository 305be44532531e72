"""The HTTP server under our ASGI programs."""

import asyncio
import socket
from typing import Any

import uvicorn

from handlers.functions import spans

# Longer than the 60 s after which load balancers drop an idle connection, so that it is never us who drop it first.
_KEEP_ALIVE_S = 75
_LAST_WORDS_S = 1.0


class _Server(uvicorn.Server):
    """Lets requests that are given up at the end of the drain say so: uvicorn cancels them and is gone before they run."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_LAST_WORDS_S)
        await asyncio.to_thread(spans.flush, _LAST_WORDS_S)


def make_server(app: Any, *, host: str, port: int, drain_s: float) -> uvicorn.Server:
    """A server that is to be awaited (`serve()`).

    On SIGTERM or SIGINT it takes no new connection and finishes requests under way, `drain_s` seconds long; then it raises the
    signal once more. Raises SystemExit(1) when the port is taken (the log says so).
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        # The strict parser: refuses bare line feeds, and a length beside chunks.
        http="httptools",
        # uvloop would cost 40 ms of every cold start and gains nothing beside a model.
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(drain_s)),
    )
    return _Server(config)
