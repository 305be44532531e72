"""Processes that the tests start, with their output in a file: nothing blocks on a pipe, nothing outlives its test."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import monotonic


class Process:
    """A started process. `started` is the clock's value just before."""

    def __init__(self, argv: Sequence[str], *, log: Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
        self._log = log
        self.started = monotonic()
        with log.open("wb") as output:
            self.popen = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd, env=env)

    def alive(self) -> bool:
        return self.popen.poll() is None

    def terminate(self) -> None:
        self.popen.terminate()

    def wait(self, timeout: float) -> int:
        return self.popen.wait(timeout)

    def logs(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


class ForegroundClient(Process):
    """The client of a container, which stays in the foreground and ends with the status of process 1."""

    def remove(self) -> None:
        """Remove the container, running or not."""
        raise NotImplementedError

    def close(self) -> None:
        self.remove()
        super().close()
