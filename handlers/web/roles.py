"""One process of a function in a container: an HTTP server that answers in the role that it is given."""

import importlib
import os
import sys
from collections.abc import Collection

from handlers.web.process import Boot, leave_on_signals


def serve(package: str, roles: Collection[str], others: Collection[str] = ()) -> int:
    """Runs `make` of the module of `package` that the one argument names, until the platform ends the process.

    `others` are roles that the caller has without a server. Status: 0 after a signal, 1 when the settings can't be used or the port is
    taken, 2 for another role. Imports are inside, since each role needs its own.
    """
    leave_on_signals()
    from handlers.functions import logs
    from handlers.functions.environment import SettingsError

    asked = sys.argv[1:]
    if len(asked) != 1 or asked[0] not in roles:
        logs.write("role_unknown", level="ERROR", message=f"The arguments are {asked}: give one of {', '.join([*roles, *others])}.")
        return 2
    boot = Boot()
    # Before the role, whose threads may import as well.
    import asyncio

    from handlers.web.app import App
    from handlers.web.running import make_server

    try:
        role, settings = importlib.import_module(f"{package}.{asked[0]}").make(os.environ, boot)
    except SettingsError as error:
        logs.write("settings_refused", level="ERROR", message=str(error))
        return 1
    server = make_server(
        App(role, settings), host=settings.bind_host, port=settings.port, drain_s=settings.drain_s, arrival_s=settings.body_timeout_s
    )
    boot.ready()
    asyncio.run(server.serve())
    return 0
