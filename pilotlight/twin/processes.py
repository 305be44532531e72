"""Processes of the twin: each in a group of its own, watched for memory, its lines handed on, gone when the twin is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pilotlight.twin import sandbox
from pilotlight.twin.lines import LineReader

KEEPER = Path(__file__).with_name("keeper.py")
MEMORY_CHECK_S = 0.1
CHILDREN_CHECK_S = 1.0
STARTS_PER_SECOND = 40
MIB = 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Children:
    """Who descends from whom, read for the whole machine at once: to ask for each process apart reads all of them each time."""

    def __init__(self) -> None:
        self._of: dict[int, list[int]] = {}
        self._read = 0.0

    def below(self, pid: int) -> list[int]:
        """The descendants of a process, as they were within the last second."""
        if time.monotonic() - self._read > CHILDREN_CHECK_S:
            self._read = time.monotonic()
            self._of = {}
            for name in filter(str.isdigit, os.listdir("/proc")):
                # proc(5): the name of the program, which may hold anything, ends with the last bracket; the parent is the second after it.
                behind = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
                if len(behind) > 1:
                    self._of.setdefault(int(behind[1]), []).append(int(name))
        found, waiting = [], [pid]
        while waiting:
            children = self._of.get(waiting.pop(), [])
            found += children
            waiting += children
        return found


def _read(path: str) -> bytes:
    """A file of the kernel's; empty where the process is gone."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _resident_bytes(pid: int) -> int:
    """0 for a process that is gone or has ended. One read: a hundred looks a second at every process add up."""
    pages = _read(f"/proc/{pid}/statm").split()
    return int(pages[1]) * _PAGE_BYTES if pages else 0


class Process:
    """One running process group. `returncode` is negative for a signal, None while it runs; `out_of_memory` says who killed it."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, memory_mb: int | None, lines: LineReader, children: Children) -> None:
        self.name = name
        self.pid = popen.pid
        self.memory_mb = memory_mb
        self.started = time.monotonic()
        self.returncode: int | None = None
        self.out_of_memory = False
        self.peak_bytes = 0
        self._popen = popen
        self._lines = lines
        self._children = children
        self._ended = asyncio.Event()

    @property
    def running(self) -> bool:
        return self.returncode is None

    def pids(self) -> list[int]:
        """The process and what descends from it, as it was within the last second."""
        return [self.pid, *self._children.below(self.pid)]

    def drain(self) -> None:
        """Hand on every line that the process has written until now."""
        self._lines.drain()

    def measure(self) -> int:
        """Resident bytes of the group now; raises the recorded peak. 0 once the process has ended."""
        total = _resident_bytes(self.pid)
        if total:
            total += sum(map(_resident_bytes, self._children.below(self.pid)))
        self.peak_bytes = max(self.peak_bytes, total)
        return total

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def wait(self) -> int:
        """Its exit status, negative for a signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    async def stop(self, grace_s: float = 5.0) -> int:
        """SIGTERM to the group, SIGKILL after `grace_s` seconds; returns the exit status."""
        if self.running:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    return await self.wait()
            self.signal(signal.SIGKILL)
        return await self.wait()

    async def kill(self) -> int:
        if self.running:
            self.signal(signal.SIGKILL)
        return await self.wait()

    def ended(self, status: int) -> None:
        """Called by `Processes` when the leader has been waited for: its group goes with it."""
        self.signal(signal.SIGKILL)
        self._lines.drain()
        self._lines.close()
        self.returncode = status
        self._ended.set()


class Processes:
    """Starts processes and keeps account of them. One per twin; every method runs in the twin's loop."""

    def __init__(self, starts_per_second: float = STARTS_PER_SECOND) -> None:
        self._running: dict[int, Process] = {}
        self._children = Children()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._pace_s = 1 / starts_per_second
        self._next_start = 0.0
        self._closed = False

    def running(self) -> list[Process]:
        return list(self._running.values())

    async def spawn(
        self,
        spec: sandbox.LaunchSpec,
        env: Mapping[str, str],
        *,
        name: str,
        on_line: Callable[[str], None],
        memory_mb: int | None = None,
    ) -> Process:
        """Start `spec` with exactly the variables `env`.

        `on_line` gets each line of its two output streams. Above `memory_mb` MiB resident the group is killed and reported as
        out of memory. Raises RuntimeError once `stop_all` was called.
        """
        now = time.monotonic()
        self._next_start = max(now, self._next_start + self._pace_s)
        if self._next_start > now:
            await asyncio.sleep(self._next_start - now)
        if self._closed:
            raise RuntimeError("The twin is stopping: no process is started any more.")
        reader, writer = os.pipe()
        try:
            # In the loop's own thread: the kernel ends the child with the thread that started it.
            popen = subprocess.Popen(  # noqa: ASYNC220
                spec.command(), env=dict(env), stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True, cwd="/"
            )
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        process = Process(popen, name, memory_mb, LineReader(asyncio.get_running_loop(), reader, on_line), self._children)
        self._running[process.pid] = process
        self._tell_keeper(f"+{process.pid}\n")
        threading.Thread(
            target=self._reap, args=(process, popen, asyncio.get_running_loop()), name=f"wait-{process.pid}", daemon=True
        ).start()
        if memory_mb is not None and (self._watch is None or self._watch.done()):
            self._watch = asyncio.get_running_loop().create_task(self._watch_memory())
        return process

    async def run(self, argv: Sequence[str], env: Mapping[str, str], *, name: str, cwd: str, on_line: Callable[[str], None]) -> Process:
        """Start a program of this machine (an emulator) as it is: the twin's user, no sandbox, no memory limit."""
        spec = sandbox.LaunchSpec(argv=tuple(argv), cwd=cwd, parent=os.getpid(), locale="LC_CTYPE" in env)
        return await self.spawn(spec, env, name=name, on_line=on_line)

    async def stop_all(self, grace_s: float = 5.0) -> None:
        """Stop everything that runs and start nothing more."""
        self._closed = True
        await asyncio.gather(*(process.stop(grace_s) for process in self.running()))
        if self._watch is not None:
            self._watch.cancel()
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
            await asyncio.get_running_loop().run_in_executor(None, self._keeper.wait)
            self._keeper = None

    def _tell_keeper(self, line: str) -> None:
        if self._keeper is None or self._keeper.poll() is not None:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER)], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
            )
            line = "".join(f"+{pid}\n" for pid in self._running) + ("" if line[0] == "+" else line)
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(line.encode())
        self._keeper.stdin.flush()

    def _reap(self, process: Process, popen: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        status = popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the twin is gone, and the group with it
            loop.call_soon_threadsafe(self._gone, process, status)

    def _gone(self, process: Process, status: int) -> None:
        process.ended(status)
        self._running.pop(process.pid, None)
        if not self._closed:
            self._tell_keeper(f"-{process.pid}\n")

    async def _watch_memory(self) -> None:
        while watched := [process for process in self.running() if process.memory_mb is not None]:
            for process in watched:
                assert process.memory_mb is not None
                if process.measure() > process.memory_mb * MIB and process.running:
                    process.out_of_memory = True
                    process.signal(signal.SIGKILL)
            await asyncio.sleep(MEMORY_CHECK_S)
