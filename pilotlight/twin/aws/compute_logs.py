"""The log stream of one worker: lines gathered for a moment, then written under the worker's role."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

GATHER_S = 0.05
TAIL_LINES = 40


class LogStream:
    """`write` never fails for its caller: what the role may not write is lost, as on AWS. `tail` keeps the latest lines."""

    def __init__(self, twin: Twin, group: str, stream: str, role_arn: str) -> None:
        self.group = group
        self.stream = stream
        self.tail: list[str] = []
        self._twin = twin
        self._role_arn = role_arn
        self._waiting: list[tuple[float, str]] = []
        self._scheduled = False

    def write(self, line: str) -> None:
        if not line:
            return
        self.tail = [*self.tail[-TAIL_LINES + 1 :], line]
        # By now, not by when it is written down: in a fast-forward the twin's clock may be hours further then.
        self._waiting.append((self._twin.clock.now(), line))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(GATHER_S, self.flush)

    def flush(self) -> None:
        """Write now what has been gathered."""
        self._scheduled = False
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            moments, lines = zip(*waiting, strict=True)
            self._twin.logs.write(self.group, self.stream, lines, self._role_arn, moments)
