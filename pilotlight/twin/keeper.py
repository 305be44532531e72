"""The twin's last will: one small process that ends every process group of the twin when the twin itself is gone.

Run as `python -I -S keeper.py` with a pipe on standard input. `+PGID` and `-PGID` lines tell it what runs; end of file means
that the twin ended, by whatever means, and whatever is still listed is killed. PR_SET_PDEATHSIG covers the direct children;
this covers theirs.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
