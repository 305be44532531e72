"""A container that serves HTTP: the process of an image behind a port of its own, whatever cloud's service it is an instance of."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.twin.ports import port_for_later
from pilotlight.twin.processes import Process
from pilotlight.twin.upstream import Answer, Headers, Upstream

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# A connection is not used again later than this: servers close idle ones after a few seconds (uvicorn: 5), and a request that meets
# the closing would be lost.
KEEP_ALIVE_S = 2.0
_TAIL_LINES = 40
_END_HEARD_S = 1.0
_TOLD_LINES = 3
# What a container that asks for a GPU is told here: it computes on the CPU, whatever its image has, or this machine.
_WITHOUT_GPU = {"REQUIRE_GPU": "0", "CUDA_VISIBLE_DEVICES": ""}


class Container:
    """Made, then launched once.

    name     of the process in the twin's account of them
    mounts   path in the image -> folder of this machine that is shown there, read-only
    on_line  gets each line that it writes
    """

    def __init__(
        self,
        twin: Twin,
        *,
        name: str,
        image: str,
        memory_mb: int,
        command: Sequence[str] = (),
        args: Sequence[str] = (),
        mounts: Mapping[str, Path] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.port = port_for_later()
        self._twin = twin
        self._name = name
        self._image = image
        self._memory_mb = memory_mb
        self._command = tuple(command)
        self._args = tuple(args)
        self._mounts = mounts or {}
        self._on_line = on_line
        self._host = (b"host", f"127.0.0.1:{self.port}".encode())
        self._tail: list[str] = []
        self._scratch = twin.home / "run" / "tmp" / secrets.token_hex(8)
        self._process: Process | None = None
        self._leaving = False
        # How long an answer may take is for the caller to say.
        self._upstream = Upstream(self.port, answer_s=None, rest_s=KEEP_ALIVE_S)

    @property
    def process(self) -> Process | None:
        """None until it was launched."""
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def usable(self) -> bool:
        """Whether it runs and nobody has asked it to end."""
        return self.running and not self._leaving

    async def launch(self, declared: Mapping[str, str], given: Mapping[str, str]) -> None:
        """Start the process with what the program declared and, before that, what the platform gives. ImageRefused."""
        env = {
            **declared,
            **(_WITHOUT_GPU if "REQUIRE_GPU" in declared else {}),
            **given,
            # Containers share this machine's ports, so that each gets another than the declared one, and no other interface.
            "PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
        }
        self._process = await self._twin.images.launch(
            self._image,
            env=env,
            mounts=self._mounts,
            memory_mb=self._memory_mb,
            on_line=self._said,
            name=self._name,
            argv=(*self._command, *self._args) if self._command else None,
            argv_suffix=self._args,
            scratch=self._scratch,
            scratch_mb=self._memory_mb,
        )

    async def send(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """The container's answer, its body not read yet; how long it may take is the caller's to say. UpstreamError when there is none."""
        # Headers may be of any bytes.
        raw: Headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return await self._upstream.send(method, target.encode("latin-1"), [self._host, *raw], body)

    async def listens(self) -> bool:
        """True once it takes a connection; OSError until then."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()
        return True

    async def has_ended(self) -> bool:
        """Whether its process has ended, asked when a connection broke: the end of a process is heard of after that of its connections."""
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_HEARD_S):
                    await self._process.wait()
        return not self.running

    def kill(self) -> None:
        """End its process at once, with all that it has under way."""
        self._leaving = True
        if self._process is not None and self._process.running:
            self._process.signal(signal.SIGKILL)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and that many seconds for what it has under way."""
        self._leaving = True
        if self._process is not None:
            await self._process.stop(grace_s)
        self._upstream.close()
        await asyncio.get_running_loop().run_in_executor(None, lambda: shutil.rmtree(self._scratch, ignore_errors=True))

    def ended_how(self) -> str:
        """What became of one that does not run, to complete "The container …"."""
        if self._process is not None and self._process.out_of_memory:
            return f"needs more than its {self._memory_mb} MiB of memory"
        return "exited"

    def last_said(self) -> str:
        """The last lines that it wrote, as a sentence that begins with a space; empty where it said nothing."""
        if self._process is not None:
            self._process.drain()
        return f" It said: {' | '.join(self._tail[-_TOLD_LINES:])}" if self._tail else ""

    def _said(self, line: str) -> None:
        self._tail = [*self._tail[-_TAIL_LINES + 1 :], line]
        self._on_line(line)
