"""A model server as a process: started, asked until it gives the right answer, measured, stopped."""

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.record import BenchmarkError

_BETWEEN_TRIES_S = 0.005
_PATIENCE_S = 90
# Where programs and modules lie, which is another place on each machine.
_PLACES = ("HOME", "PATH", "PYTHONPATH")
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^/=\s]+/)*")


def _body(inputs: Any) -> Any:
    return {"inputs": inputs}


def _outputs(answer: Any) -> Any:
    return answer["outputs"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """How one server is started, and where it is asked, with what for one input, and where its answer has the output.

    The port is given to it as the variable PORT, and in place of `{port}` in its arguments and its other variables.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    path: str
    env: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[Any], Any] = _body
    outputs: Callable[[Any], Any] = _outputs
    # What it answers while it or its model is being started.
    not_yet: Sequence[int] = (503,)

    @property
    def command(self) -> str:
        """How it is started, its own variables ahead, with the last part of each path."""
        given = [f"{name}={value}" for name, value in sorted(self.env.items()) if name not in _PLACES]
        return shlex.join(_FOLDERS.sub("", each) for each in (*given, *self.argv))


@dataclass(frozen=True, kw_only=True)
class Start:
    """The process, seconds from exec to its first answer, resident MB after it, and that answer."""

    pid: int
    seconds: float
    resident_mb: float
    outputs: Any


def cold_start(server: Server, port: int, inputs: Any, expected: Any | None = None) -> Start:
    """Start a server, wait for its first answer, stop it. BenchmarkError where it is wrong or does not come."""
    with running(server, port, inputs) as start:
        pass
    if expected is not None and not same(start.outputs, expected):
        raise BenchmarkError(f"{server.name} gave another answer than the first server.")
    return start


@contextmanager
def running(server: Server, port: int, inputs: Any) -> Iterator[Start]:
    """A server that has given its first answer, stopped after the block. BenchmarkError where none comes."""
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            [argument.replace("{port}", str(port)) for argument in server.argv],
            cwd=server.cwd,
            env={name: value.replace("{port}", str(port)) for name, value in server.env.items()} | {"PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            outputs = _first(server, process, f"http://127.0.0.1:{port}{server.path}", server.body(inputs), started)
            yield Start(pid=process.pid, seconds=time.monotonic() - started, resident_mb=resident_mb(process.pid), outputs=outputs)
        except BenchmarkError as error:
            log.seek(0)
            raise BenchmarkError(f"{error}\n{log.read().decode(errors='replace')[-2000:]}") from None
        finally:
            _end(process)


def _members(pid: int) -> list[psutil.Process]:
    """A server's processes: it, what it began, and who else is of its session, since multi-model-server's Java has lost its parent."""
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        found = [process, *process.children(recursive=True)]
    for each in psutil.process_iter():
        with suppress(OSError):
            if os.getsid(each.pid) == pid and each not in found:
                found.append(each)
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Servers with processes of their own leave them behind when they are killed. Returns when all have ended."""
    members = _members(process.pid)
    process.kill()
    process.wait()
    for each in members:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(members, timeout=5)


def _first(server: Server, process: subprocess.Popen[bytes], url: str, body: Any, started: float) -> Any:
    with httpx.Client(trust_env=False, timeout=_PATIENCE_S) as client:
        while time.monotonic() - started < _PATIENCE_S:
            if process.poll() is not None:
                raise BenchmarkError(f"{server.name} ended with {process.returncode} before it answered.")
            try:
                response = client.post(url, json=body)
            except httpx.TransportError:
                time.sleep(_BETWEEN_TRIES_S)
                continue
            if response.status_code == 200:
                return server.outputs(response.json())
            if response.status_code not in server.not_yet:
                raise BenchmarkError(f"{server.name} answered {response.status_code}: {response.text[:300]}")
            time.sleep(_BETWEEN_TRIES_S)
    raise BenchmarkError(f"{server.name} gave no answer within {_PATIENCE_S} s.")


def resident_mb(pid: int) -> float:
    """Resident memory of a server that `running` has started, with all its processes; mapped files count as far as they were touched,
    and what processes share counts for each of them."""
    total = 0
    for each in _members(pid):
        with suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total / 1e6


def same(one: Any, other: Any) -> bool:
    """Whether two nested lists of numbers agree within 1e-4, the project's tolerance."""
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return first.shape == second.shape and bool(np.allclose(first, second, rtol=0, atol=1e-4))
