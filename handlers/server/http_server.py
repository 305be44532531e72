"""Runs the ASGI program until it is told to leave, or until the model turns out not to be servable."""

import asyncio

import uvicorn

from handlers.server.app import App
from handlers.server.service import Service

# Longer than the 60 s after which load balancers drop an idle connection, so that it is never us who drop it first.
_KEEP_ALIVE_S = 75


def serve(service: Service) -> BaseException | None:
    """Listen at once, so that a platform's probe finds the port, and serve until SIGTERM or SIGINT.

    On a signal no new connection is taken and requests under way are finished, `drain_s` seconds long. Returns why the
    model could not be served, None when it was. Raises SystemExit(1) when the port is taken (the log says so).
    """
    return asyncio.run(_serve(uvicorn.Server(_config(service)), service))


async def _serve(server: uvicorn.Server, service: Service) -> BaseException | None:
    watching = asyncio.ensure_future(_stop_when_unservable(server, service))
    try:
        await server.serve()
    finally:
        watching.cancel()
    loaded = service.worker.loaded
    return loaded.exception() if loaded.done() else None


async def _stop_when_unservable(server: uvicorn.Server, service: Service) -> None:
    # Looked at, not awaited: a wrapped future that is given up would cancel the loading thread's own.
    while not service.worker.loaded.done():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    if not service.worker.ready:
        server.should_exit = True


def _config(service: Service) -> uvicorn.Config:
    settings = service.settings
    return uvicorn.Config(
        App(service),
        host=settings.bind_host,
        port=settings.port,
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
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
