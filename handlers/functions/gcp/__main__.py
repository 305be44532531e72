"""python -m handlers.functions.gcp ROLE

One process of a function on Google Cloud: an HTTP server that answers in the role that it is given. Exit status: 0 after a signal,
1 when the settings can't be used or the port is taken, 2 for another role.
"""

import importlib
import os
import sys

from handlers.web.process import Boot, leave_on_signals

ROLES = ("api", "events", "worker", "warmer", "floor")


def main() -> int:
    """Runs until the platform ends it; imports are inside, since each role needs its own."""
    leave_on_signals()
    from handlers.functions import logs
    from handlers.functions.environment import SettingsError

    roles = sys.argv[1:]
    if len(roles) != 1 or roles[0] not in ROLES:
        logs.write("role_unknown", level="ERROR", message=f"The arguments are {roles}: give one of {', '.join(ROLES)}.")
        return 2
    boot = Boot()
    # Before the role, whose threads may import as well.
    import asyncio

    from handlers.functions.gcp.app import App
    from handlers.web.running import make_server

    try:
        role, settings = importlib.import_module(f"handlers.functions.gcp.{roles[0]}").make(os.environ, boot)
    except SettingsError as error:
        logs.write("settings_refused", level="ERROR", message=str(error))
        return 1
    server = make_server(App(role, settings), host=settings.bind_host, port=settings.port, drain_s=settings.drain_s)
    boot.ready()
    asyncio.run(server.serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
