"""Whether a process has ended, for tests of what is left behind."""

import time

import psutil

PATIENCE_S = 15.0


def ended(pid: int) -> bool:
    """Whether it ends within the patience; one that nobody has reaped yet has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
