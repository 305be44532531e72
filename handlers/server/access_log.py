"""Of every answer a log line and its place in the figures: of all that one turn of the loop answers at once."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from handlers.functions import logs, traces
from handlers.functions import metrics as line_metrics
from handlers.server.metrics import Metrics

_MOST_OF_A_PATH = 80


class _Line(NamedTuple):
    """An answer: `at` is in seconds since 1970."""

    at: float
    trace: traces.Trace | None
    request_id: str
    path: str
    status: int
    sent: int
    seconds: float


class AccessLog:
    def __init__(self, service: str | None, metrics: Metrics) -> None:
        """`service` names the dimension of the metric that a line tells (handlers/functions/metrics.py)."""
        self._service = service
        self._metrics = metrics
        self._lines: list[_Line] = []

    def add(self, request_id: str, path: str, status: int, sent: int, seconds: float) -> None:
        """In the loop: a request was answered after so long, which is counted now, and told with all others of this turn."""
        self._metrics.answered([(status, seconds)])
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._lines.append(_Line(time.time(), traces.current.get(), request_id, path, status, sent, seconds))

    def write_now(self, request_id: str, path: str, status: int, sent: int, seconds: float) -> None:
        """In any thread: tell of one that is counted already."""
        self._write([_Line(time.time(), traces.current.get(), request_id, path, status, sent, seconds)])

    def _write_all(self) -> None:
        lines, self._lines = self._lines, []
        self._write(lines)

    def _write(self, lines: Sequence[_Line]) -> None:
        logs.write_together("request", [(line.at, line.trace, self._fields(line)) for line in lines])

    def _fields(self, line: _Line) -> dict[str, object]:
        told = {"request_id": line.request_id, "route": line.path[:_MOST_OF_A_PATH], "status": line.status, "bytes": line.sent}
        return {**told, **line_metrics.latency(self._service, line.seconds * 1000)}
