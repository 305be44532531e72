"""`python -m pilotlight.twin --home FOLDER`: run the twin in the foreground until a signal or `pilotlight down` ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from pilotlight.twin.daemon import Daemon
from pilotlight.twin.emulators import EmulatorError
from pilotlight.twin.state import TwinError, home_folder


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 after a wished end, 1 where the twin can't run (the reason is printed)."""
    parser = argparse.ArgumentParser(prog="python -m pilotlight.twin", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="folder of the twin's state (default: PILOTLIGHT_HOME, else the user's)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line for every call of every service would drown what matters.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(Daemon(home_folder(options.home))))
    except (TwinError, EmulatorError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(daemon: Daemon) -> None:
    """Run it, then leave at once: everything is stopped and on disk, and Python would wait for threads of creations that were cut off."""
    await daemon.run()
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
