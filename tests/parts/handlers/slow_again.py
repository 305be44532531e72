"""The model server, whose processes load for half a minute where the file that SLOWLY names is there."""

import os
import time
from pathlib import Path
from typing import Any

from handlers.server import processes
from handlers.server.__main__ import main

_load = processes.load_proven


def _slowly(*arguments: Any) -> Any:
    if Path(os.environ["SLOWLY"]).exists():
        time.sleep(30)
    return _load(*arguments)


if __name__ == "__main__":
    processes.load_proven = _slowly
    raise SystemExit(main())
