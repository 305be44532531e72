"""Spans: what a request took here, and what was asked of others for it, told to whoever collects them. Without a collector a request's
trace is passed on as it came, and nothing is kept."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from handlers.functions import traces
from handlers.functions.traces import Trace


def _digits(size: int) -> str:
    """A new id of so many bytes, in hexadecimal digits."""
    return os.urandom(size).hex()


@dataclass(kw_only=True, slots=True)
class Span:
    """`asked` tells whether it is a request of somebody else's to this process, else it is one to `target`. `began` is in seconds since
    1970, `code` the answer's status, empty where there was none."""

    asked: bool
    name: str
    trace: str
    parent: str | None
    target: str = ""
    id: str = field(default_factory=lambda: _digits(8))
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    code: str = ""
    success: bool = False
    request_id: str | None = None

    def answered(self, status: int, request_id: str | None = None) -> None:
        """Note the answer's status, and the correlation id where one is known by now."""
        self.code, self.success = str(status), status < 400
        self.request_id = request_id or self.request_id


class Collector(Protocol):
    """Where spans go. Both are called by any thread."""

    def add(self, span: Span) -> None:
        """Take it, at once."""

    def flush(self, within_s: float) -> None:
        """Send what is still here, as far as the time allows."""


_collectors: list[Collector] = []
# Written to and never read, so that no request makes one where nobody collects.
_UNHEARD = nullcontext(Span(asked=True, name="", trace="", parent=None))


def collect(collector: Collector | None) -> None:
    """Hand every span to this one from now on; None: to nobody."""
    _collectors[:] = [] if collector is None else [collector]


def flush(within_s: float) -> None:
    """Send what has been collected, before the process ends."""
    for collector in _collectors:
        collector.flush(within_s)


def serving(
    of: Mapping[str, Any] | str, headers: Mapping[str, str], *, quiet: bool = False, request_id: str | None = None
) -> AbstractContextManager[Span]:
    """The span of a request with these headers (lower-case names), in the trace that they tell or in a new one; nobody hears of a `quiet`
    one. `of` is its name, or its ASGI scope."""
    traces.follow(headers)
    if quiet or not _collectors:
        return _UNHEARD
    return _serving(of if isinstance(of, str) else _name(of), request_id)


@contextmanager
def _serving(name: str, request_id: str | None) -> Iterator[Span]:
    """The sampled flag is passed over: Application Insights' own clients have it off in what they record
    (microsoft/ApplicationInsights-dotnet issue 2835)."""
    came = traces.current.get()
    span = Span(asked=True, name=name, trace=came.id if came else _digits(16), parent=came.span if came else None, request_id=request_id)
    traces.current.set(Trace(span.trace, span.id, True))
    try:
        with _timed(span):
            yield span
    finally:
        # A thread takes another message next.
        traces.current.set(came)


def calling(name: str, target: str, request_id: str) -> AbstractContextManager[Span]:
    """The span of a request to `target`, within the current one: what is made of `traces.current` meanwhile belongs to it."""
    return _calling(name, target, request_id) if _collectors else _UNHEARD


@contextmanager
def _calling(name: str, target: str, request_id: str) -> Iterator[Span]:
    around = traces.current.get()
    span = Span(
        asked=False,
        name=name,
        target=target,
        trace=around.id if around else _digits(16),
        parent=around.span if around else None,
        request_id=request_id,
    )
    before = traces.current.set(Trace(span.trace, span.id, True))
    try:
        with _timed(span):
            yield span
    finally:
        traces.current.reset(before)


@contextmanager
def _timed(span: Span) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        span.seconds = time.perf_counter() - started
        for collector in _collectors:
            collector.add(span)


def _name(scope: Mapping[str, Any]) -> str:
    """What a request of HTTP is called: method, and the path as far as it has no id of anything."""
    return f"{scope['method']} /{scope['path'].split('/')[1][:40] if '/' in scope['path'] else ''}"
