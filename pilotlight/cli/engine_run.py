"""One run of the real engine: started in a session of its own, followed event by event, interrupted step by step."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

POLL_S = 0.05
# The engine ends within a second of a second interrupt; if it hangs, everything it started is killed.
KILL_AFTER_S = 3.0
GUARD = Path(__file__).with_name("guard.py")

Say = Callable[[str], None]
OnEvent = Callable[[Mapping[str, Any]], None]


class EngineRun:
    """A started engine. `status` after `follow` is its exit status; `interrupts` counts the signals that were passed on."""

    def __init__(self, command: list[str], *, folder: Path, environment: Mapping[str, str], scratch: Path, say: Say) -> None:
        self.interrupts = 0
        self.status = -1
        self._say = say
        self._log = scratch / "events.json"
        self._output = scratch / "output.txt"
        self._kill_at: float | None = None
        report, write = os.pipe()
        with self._output.open("wb") as output:
            self._guard = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(GUARD),
                    str(write),
                    str(scratch),
                    str(os.getpid()),
                    *command,
                    "--event-log",
                    str(self._log),
                ],
                cwd=folder,
                env=dict(environment) | {"PULUMI_DEBUG_COMMANDS": "true"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                start_new_session=True,
            )
        os.close(write)
        with os.fdopen(report, "rb") as answer:
            identity = answer.read()
        self._engine = int(identity) if identity else None

    def follow(self, on_event: OnEvent) -> None:
        """Hand every event on as it comes until the engine has ended; Ctrl-C and SIGTERM are passed on to the engine."""
        with self._signals(), _Lines(self._log) as lines:
            while self._guard.poll() is None:
                _deliver(lines, on_event)
                if self._kill_at is not None and time.monotonic() > self._kill_at:
                    self._kill()
                time.sleep(POLL_S)
            _deliver(lines, on_event)
        self.status = self._guard.wait()
        if self._guard.stdin:
            self._guard.stdin.close()

    def output(self) -> str:
        """What the engine wrote to its terminal: the only source of errors from before the first event."""
        return self._output.read_text(errors="replace")

    def interrupt(self) -> None:
        """First: creations in flight end, nothing new starts. Second: the engine gives up at once. Third: everything is killed."""
        self.interrupts += 1
        if self.interrupts == 1:
            self._say("Interrupted: what is in flight is finished, nothing new is started. Ctrl-C again stops at once.")
        if self.interrupts > 2 or self._engine is None:
            self._kill()
            return
        if self.interrupts == 2:
            self._say("Stopping at once: the next `up` completes what is half done.")
            self._kill_at = time.monotonic() + KILL_AFTER_S
        try:
            os.kill(self._engine, signal.SIGINT)
        except ProcessLookupError:
            return

    def _kill(self) -> None:
        """The guard, the engine and all they started, plugins in groups of their own included."""
        import psutil

        try:
            guard = psutil.Process(self._guard.pid)
            family = [*guard.children(recursive=True), guard]
        except psutil.NoSuchProcess:
            return
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self.interrupt()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Lines:
    """Whole lines of a file that another process is writing and may not have made yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] | None = None
        self._rest = b""

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()

    def read(self) -> list[bytes]:
        if self._stream is None:
            if not self._path.exists():
                return []
            self._stream = self._path.open("rb")
        *whole, self._rest = (self._rest + self._stream.read()).split(b"\n")
        return whole


def _deliver(lines: _Lines, on_event: OnEvent) -> None:
    for line in lines.read():
        # A killed engine may leave half a line; debug events are nine in ten and nobody reads them.
        if b'"severity":"debug"' in line:
            continue
        try:
            on_event(json.loads(line))
        except json.JSONDecodeError:
            continue


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A private folder for one run, removed at its end."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="run-", dir=parent) as folder:
        yield Path(folder)
