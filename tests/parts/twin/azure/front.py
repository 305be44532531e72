"""The plain front of Azure's half, served on a port by the twin's own server, and a loop in a thread for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilotlight.twin.asgi import Receive, Request, Scope, Send
from pilotlight.twin.serving import Server, config, listen
from tests.parts.twin.azure.account import Account


@contextmanager
def served(account: Account, folder: Path) -> Iterator[str]:
    """The address of the account's front while it is served; the twin knows it."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        await account.twin.azure.handle(Request.of(scope, receive), send)

    listener = listen(None, folder / "port")
    server = Server(config(front))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    account.twin.front_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield account.twin.front_url
    finally:
        server.should_exit = True
        thread.join()
