"""This process: when it was started, and how it leaves."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

# A start longer ago than this is not believed: the clock of a restored snapshot, or of another time namespace.
_LONGEST_BOOT_S = 600.0
# A platform that starts an instance for a request hands the request over once the instance is ready. One that was ready this long
# before its first request was started ahead of it: nobody waited.
AHEAD_S = 5.0


# Whether whoever listens is about to look for signals itself, and has been told to leave meanwhile.
_holds = _told = False


def leave_on_signals() -> None:
    """End with status 0 on SIGTERM and SIGINT; uvicorn raises the one that ended it once more when its requests are done."""
    release()
    signal.signal(signal.SIGTERM, _signalled)
    signal.signal(signal.SIGINT, _signalled)


def leave() -> NoReturn:
    """At once, without Python's own way out: it would pull the interpreter from under a thread that loads or predicts, which aborts."""
    for stream in (sys.stdout, sys.stderr):
        # Nobody may read it any more.
        with suppress(OSError):
            stream.flush()
    os._exit(0)


def hold() -> None:
    """Only note signals from now on: before a socket listens, on which somebody may wait for an answer until its server runs."""
    global _holds
    _holds = True


def release() -> bool:
    """Leave on signals again, and tell whether one has come."""
    global _holds, _told
    told, _holds, _told = _told, False, False
    return told


def _signalled(number: int, frame: object) -> None:
    global _told
    if not _holds:
        leave()
    _told = True


def seconds_since_start() -> float:
    """Since the kernel started this process; 0 where it does not tell."""
    try:
        # Field 22 of proc(5)'s stat is the start in clock ticks since boot; the fields before it can hold blanks, up to the `)`.
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        passed = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return passed if 0 <= passed <= _LONGEST_BOOT_S else 0.0


class Boot:
    """How long this process took until it was ready: for the first answer alone, and only when its request waited for it."""

    def __init__(self) -> None:
        self._milliseconds: list[float] = []
        self._ready = time.monotonic()
        self._came: float | None = None

    def ready(self) -> None:
        """Say that requests can come from now on."""
        self._milliseconds.append(round(seconds_since_start() * 1000, 1))
        self._ready = time.monotonic()

    def came(self) -> None:
        """Say that a request has come."""
        if self._came is None:
            self._came = time.monotonic()

    def take(self) -> dict[str, float]:
        """`function-init` in milliseconds; nothing for a later answer, or when the process was started ahead of the first request."""
        try:
            milliseconds = self._milliseconds.pop()
        except IndexError:
            return {}
        return {} if (self._came or self._ready) - self._ready > AHEAD_S else {"function-init": milliseconds}
