"""Runs the ASGI program until it is told to leave, or until the model turns out not to be servable."""

import asyncio
import socket
from functools import partial

from handlers.server import direct
from handlers.server.app import App
from handlers.server.service import Service
from handlers.web import process
from handlers.web.bare_uvicorn import Server
from handlers.web.running import make_server

_FIGURES_EVERY_S = 0.5


def serve(service: Service, listening: socket.socket, *, alive: int | None = None) -> BaseException | None:
    """Serve on a socket that listens until SIGTERM or SIGINT.

    On a signal no new connection is taken and requests under way are finished, `drain_s` seconds long; so when the model is lost. Returns
    why the model could not be served, or not any more, None when it was.

    With `alive` it is one of several processes on the port: it leaves when the other end of that pipe is closed.
    """
    settings = service.settings
    app = App(service)
    times = {"drain_s": settings.drain_s, "arrival_s": settings.body_timeout_s}
    server = make_server(app, host=settings.bind_host, port=settings.port, take=partial(direct.begin, app), **times)
    # What contracts still do for nobody's request is finished as requests are: for the drain's time, then given up.
    app.lasting.tasks = server.server_state.tasks
    failure, told = asyncio.run(_serve(server, service, app, listening, alive))
    if told and failure is None:
        # As uvicorn does it with a signal that came later.
        process.leave()
    return failure


async def _serve(
    server: Server, service: Service, app: App, listening: socket.socket, alive: int | None
) -> tuple[BaseException | None, bool]:
    """Why the model could not be served, None where it was; and whether a signal came before the server looked for them."""
    told = False

    def look() -> None:
        nonlocal told
        if told := process.release():
            server.should_exit = True

    # Behind uvicorn's first step, by which signals are its own.
    asyncio.get_running_loop().call_soon(look)
    watching = [asyncio.ensure_future(_stop_when_unservable(server, service))]
    if alive is not None:
        asyncio.get_running_loop().add_reader(alive, lambda: setattr(server, "should_exit", True))
        watching.append(asyncio.ensure_future(_tell_figures(app)))
    try:
        await server.serve([listening])
    finally:
        for task in watching:
            task.cancel()
    worker = service.worker
    if worker.lost.done():
        return worker.lost.result(), told
    return worker.loaded.exception() if worker.loaded.done() else None, told


async def _tell_figures(app: App) -> None:
    while True:
        app.tell_figures()
        await asyncio.sleep(_FIGURES_EVERY_S)


async def _stop_when_unservable(server: Server, service: Service) -> None:
    # Looked at, not awaited: a wrapped future that is given up would cancel the loading thread's own.
    while not service.worker.loaded.done():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    if not service.worker.ready:
        server.should_exit = True
    loop = asyncio.get_running_loop()
    service.worker.lost.add_done_callback(lambda _: loop.call_soon_threadsafe(setattr, server, "should_exit", True))
