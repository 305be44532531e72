"""Of every answer a log line and its place in the figures: of all that one turn of the loop answers at once."""

import asyncio
import time

from handlers.functions import logs, traces
from handlers.functions import metrics as line_metrics
from handlers.server.metrics import Metrics

# When it was (seconds since 1970), within which trace, and its fields: request id, route, status, bytes, seconds.
_Line = tuple[float, traces.Trace | None, str, str, int, int, float]
_MOST_OF_A_PATH = 80


class AccessLog:
    def __init__(self, service: str | None, metrics: Metrics) -> None:
        """`service` names the dimension of the metric that a line tells (handlers/functions/metrics.py)."""
        self._service = service
        self._metrics = metrics
        self._lines: list[_Line] = []

    def add(self, request_id: str, path: str, status: int, sent: int, seconds: float, *, soon: bool = True) -> None:
        """A request was answered after so long. The loop tells of it with all others of its turn; another thread than its own does so at
        once, where it is not to be `soon`."""
        line = time.time(), traces.current.get(), request_id, path, status, sent, seconds
        if not soon:
            self._write([line])
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._lines.append(line)

    def _write_all(self) -> None:
        lines, self._lines = self._lines, []
        self._write(lines)

    def _write(self, lines: list[_Line]) -> None:
        self._metrics.answered([(status, seconds) for _, _, _, _, status, _, seconds in lines])
        latency, service = line_metrics.latency, self._service
        logs.write_together(
            "request",
            [
                (
                    at,
                    trace,
                    {
                        "request_id": request_id,
                        "route": path[:_MOST_OF_A_PATH],
                        "status": status,
                        "bytes": sent,
                        **latency(service, seconds * 1000),
                    },
                )
                for at, trace, request_id, path, status, sent, seconds in lines
            ],
        )
