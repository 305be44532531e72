"""`clock.json`: where the twin's clock was moved to, so that a twin that is started again goes on at the moment where it would be."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict
from pathlib import Path

from pilotlight.twin.clock import Clock, Reading
from pilotlight.twin.state import TwinError

FILE = "clock.json"
# Every line is as long as the longest, so that a shorter one leaves nothing of it.
_BYTES = 128


def clock_of(home: Path) -> Clock:
    """The clock that a home remembers, the machine's where it was never moved; each move is remembered before it is told.

    TwinError where the file is damaged.
    """
    path, lock = home / FILE, threading.Lock()
    clock = _remembered(path)

    def remember() -> None:
        # A fast-forward moves the clock thousands of times: one write over the last one, which a kill leaves whole.
        with lock:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, json.dumps(asdict(clock.reading())).ljust(_BYTES).encode(), 0)
            finally:
                os.close(descriptor)

    clock.listen(remember)
    return clock


def _remembered(path: Path) -> Clock:
    try:
        return Clock.resumed(Reading(**{name: float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}))
    except FileNotFoundError:
        return Clock()
    except (ValueError, TypeError, AttributeError) as error:
        raise TwinError(f"{path} is damaged ({error}). Delete the file: the twin's clock is then the machine's again.") from None
