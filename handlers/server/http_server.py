"""Runs the ASGI program until it is told to leave, or until the model turns out not to be servable."""

import asyncio

import uvicorn

from handlers.server.app import App
from handlers.server.service import Service
from handlers.web.running import make_server


def serve(service: Service) -> BaseException | None:
    """Listen at once, so that a platform's probe finds the port, and serve until SIGTERM or SIGINT.

    On a signal no new connection is taken and requests under way are finished, `drain_s` seconds long. Returns why the
    model could not be served, None when it was. Raises SystemExit(1) when the port is taken (the log says so).
    """
    settings = service.settings
    app = App(service)
    server = make_server(app, host=settings.bind_host, port=settings.port, drain_s=settings.drain_s)
    # What contracts still do for nobody's request is finished as requests are: for the drain's time, then given up.
    app.lasting.tasks = server.server_state.tasks
    return asyncio.run(_serve(server, service))


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
