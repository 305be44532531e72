"""Runs the engine and outlives the command that asked for it: when that dies, the engine is told to stop, and killed if it does not.

    python -I -S guard.py REPORT_FD SCRATCH COMMAND_PID ENGINE ARGUMENT…      (standard input: a pipe that the command holds open)

`SCRATCH` is the run's folder, removed when nobody else will. `COMMAND_PID` is for others: who meets the engine finds the command by it.

Standard library only and no imports of ours: it starts with every engine run. Unlike Linux's parent-death signal it works everywhere.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time

# In-flight creations may end cleanly in this time; an engine that hangs longer is killed with everything in its group.
GRACE_S = 60.0
POLL_S = 0.05


def main(report: int, scratch: str, command: list[str]) -> int:
    """Run the command in this process's own session; its id goes to `report`. Returns its exit status, 128 + signal when it was killed."""
    engine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    os.write(report, str(engine.pid).encode())
    os.close(report)
    for number in (signal.SIGINT, signal.SIGTERM):
        # After the start: the engine must not inherit that they are ignored.
        signal.signal(number, signal.SIG_IGN)
    while engine.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if readable and not os.read(sys.stdin.fileno(), 1):
            return _abandoned(engine, scratch)
    return engine.returncode if engine.returncode >= 0 else 128 - engine.returncode


def _abandoned(engine: "subprocess.Popen[bytes]", scratch: str) -> int:
    """The command is gone: interrupt the engine once, then kill the whole group after the grace period."""
    engine.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE_S
    while engine.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    ended = engine.poll() is not None
    shutil.rmtree(scratch, ignore_errors=True)
    if not ended:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    return 130


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2], sys.argv[4:]))
