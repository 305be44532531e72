"""Spans of what happens inside of the server: where its start went, and a request's way through queue and batch."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from handlers.functions import spans
from handlers.functions.traces import Trace
from handlers.server.waiting import Job


def started(stages: Mapping[str, float], provider: str, over_at: float) -> Trace | None:
    """Tell of a start that was over then (the clock on the wall), by its stages in milliseconds, which follow each other; the trace that
    they are, None where nobody hears of it."""
    start = spans.beginning()
    if start is None:
        return None
    seconds = sum(stages.values()) / 1000
    at = began = over_at - seconds
    for stage, milliseconds in stages.items():
        spans.inside(stage, start, at, milliseconds / 1000, success=True)
        at += milliseconds / 1000
    spans.first("cold start", start, began, seconds, success=True, attributes={"pilotlight.provider": provider})
    return start


class BatchSpans:
    """Of requests that are computed together: each has waited and is computed, within its own trace; the whole batch is a trace of its
    own, which they are linked to."""

    def __init__(self, jobs: Sequence[Job[Any, Any]], began: float) -> None:
        """`began` is by the monotonic clock."""
        self._heard = [job for job in jobs if job.span is not None]
        if not self._heard:
            return
        self._open = {id(job) for job in self._heard}
        self._since = began
        # What the clock on the wall is ahead by.
        self._ahead_s = time.time() - time.monotonic()
        self._told: dict[str, spans.Value] = {
            "pilotlight.batch.requests": len(jobs),
            "pilotlight.batch.inputs": sum(job.inputs for job in jobs),
        }
        self._batch = spans.beginning()

    def answered(self, job: Job[Any, Any], error: BaseException | None) -> None:
        """One of them has its answer, or fails."""
        if not self._heard or job.span is None or id(job) not in self._open:
            return
        self._open.remove(id(job))
        links = [self._batch] if self._batch else []
        spans.inside("queue", job.span, job.came + self._ahead_s, self._since - job.came, success=True)
        failed: dict[str, spans.Value] = {"error.type": type(error).__name__} if error else {}
        attributes = {**self._told, "pilotlight.inputs": job.inputs, **failed}
        seconds = time.monotonic() - self._since
        spans.inside("predict", job.span, self._since + self._ahead_s, seconds, success=error is None, attributes=attributes, links=links)

    def done(self) -> None:
        """All of them have."""
        if self._heard and self._batch:
            links = [job.span for job in self._heard if job.span is not None]
            seconds = time.monotonic() - self._since
            spans.first("batch", self._batch, self._since + self._ahead_s, seconds, success=True, attributes=self._told, links=links)
