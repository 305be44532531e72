"""Spans: what a request took here, and what was asked of others for it, told to whoever collects them. Without a collector a request's
trace is passed on as it came, and nothing is kept."""

import contextvars
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from handlers.functions import traces
from handlers.functions.traces import Trace

Value = str | bool | int | float
# RFC 9110 and 5789; whatever else somebody sends is no name of a span (OpenTelemetry, semantic conventions for HTTP spans).
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_LONGEST_PATH = 256


def new_id(size: int) -> str:
    """One of so many bytes, in hexadecimal digits."""
    return os.urandom(size).hex()


@dataclass(kw_only=True, slots=True)
class Span:
    """`asked` tells whether it is a request of somebody else's to this process, else it is one to `target`, or a part of what happened
    `inside`. `began` is in seconds since 1970, `code` the answer's status, empty where there was none; `links` are spans of other traces
    that have to do with it. Attributes have the names of OpenTelemetry's semantic conventions."""

    asked: bool
    name: str
    trace: str
    parent: str | None
    target: str = ""
    inside: bool = False
    id: str = field(default_factory=lambda: new_id(8))
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    code: str = ""
    success: bool = False
    request_id: str | None = None
    state: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)
    links: list[Trace] = field(default_factory=list)

    def answered(self, status: int, request_id: str | None = None) -> None:
        """Note the answer's status, and the correlation id where one is known by now."""
        self.code, self.success = str(status), status < 400
        self.request_id = request_id or self.request_id


class Collector(Protocol):
    """Where spans go. Called by any thread."""

    def samples(self, came: Trace | None, trace: str) -> bool:
        """Whether a span is to be told, in a trace with this id; `came` is what its caller says of it, None where it begins here."""

    def add(self, span: Span) -> None:
        """Take it, at once."""

    def flush(self, within_s: float) -> None:
        """Send what is still here, as far as the time allows."""

    def counts(self) -> Mapping[str, int]:
        """How many were `sent`, and how many `dropped`."""


_collectors: list[Collector] = []
# Written to and never read, so that no request makes one where nobody collects.
_UNHEARD = nullcontext(Span(asked=True, name="", trace="", parent=None))
_serving_now: contextvars.ContextVar[Span | None] = contextvars.ContextVar("span", default=None)


def collect(collector: Collector | None) -> None:
    """Hand every span to this one from now on; None: to nobody."""
    _collectors[:] = [] if collector is None else [collector]


def collected() -> bool:
    """Whether somebody hears of spans."""
    return bool(_collectors)


def flush(within_s: float) -> None:
    """Send what has been collected, before the process ends."""
    for collector in _collectors:
        collector.flush(within_s)


def counts() -> Mapping[str, int]:
    """How many were `sent` and `dropped`; nothing where nobody collects."""
    return {kind: count for collector in _collectors for kind, count in collector.counts().items()}


def serving(
    of: Mapping[str, Any] | str, headers: Mapping[str, str], *, quiet: bool = False, request_id: str | None = None
) -> AbstractContextManager[Span]:
    """The span of a request with these headers (lower-case names), in the trace that they tell or in a new one; nobody hears of a `quiet`
    one. `of` is its name, or its ASGI scope."""
    traces.follow(headers)
    if quiet or not _collectors:
        return _UNHEARD
    return _serving(of, request_id)


@contextmanager
def _serving(of: Mapping[str, Any] | str, request_id: str | None) -> Iterator[Span]:
    came = traces.current.get()
    span, here = _within(came, asked=True, name=of if isinstance(of, str) else _name(of), request_id=request_id)
    if not isinstance(of, str):
        span.attributes = _http(of)
    traces.current.set(here)
    told = _serving_now.set(span if here.sampled else None)
    try:
        with _timed(span, here):
            yield span
    finally:
        # A thread takes another message next.
        traces.current.set(came)
        _serving_now.reset(told)


def calling(name: str, target: str, request_id: str) -> AbstractContextManager[Span]:
    """The span of a request to `target`, within the current one: what is made of `traces.current` meanwhile belongs to it."""
    return _calling(name, target, request_id) if _collectors else _UNHEARD


@contextmanager
def _calling(name: str, target: str, request_id: str) -> Iterator[Span]:
    span, here = _within(traces.current.get(), asked=False, name=name, target=target, request_id=request_id)
    before = traces.current.set(here)
    try:
        with _timed(span, here):
            yield span
    finally:
        traces.current.reset(before)


def note(attributes: Mapping[str, Value], links: Sequence[Trace] = ()) -> None:
    """Add to the span of the request that is being answered, where somebody hears of it."""
    if span := _serving_now.get():
        span.attributes.update(attributes)
        span.links.extend(links)


def heard() -> Trace | None:
    """The current trace with the span that is under way, None where nobody hears of it."""
    if not _collectors:
        return None
    here = traces.current.get()
    return here if here is not None and here.sampled else None


def beginning() -> Trace | None:
    """A new trace whose first span has an id already; None where nobody would hear of it."""
    trace = new_id(16)
    return Trace(trace, new_id(8), True) if _collectors and _collectors[0].samples(None, trace) else None


def inside(name: str, around: Trace, began: float, seconds: float, **told: Any) -> None:
    """Tell of a part of what happened within the span of `around`, now that it is over; what else is `told` are fields of Span."""
    within: dict[str, Any] = {"trace": around.id, "parent": around.span, "state": around.state}
    _add(Span(asked=False, inside=True, name=name, began=began, seconds=seconds, **within, **told))


def first(name: str, here: Trace, began: float, seconds: float, **told: Any) -> None:
    """Tell of the whole that a trace `beginning` here is of."""
    inside(name, here._replace(span=None), began, seconds, id=here.span, **told)


def _within(around: Trace | None, **told: Any) -> tuple[Span, Trace]:
    """A new span, and what is current while it is under way."""
    trace = around.id if around else new_id(16)
    state = around.state if around else ""
    span = Span(trace=trace, parent=around.span if around else None, state=state, **told)
    return span, Trace(trace, span.id, _collectors[0].samples(around, trace), state)


@contextmanager
def _timed(span: Span, here: Trace) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        span.seconds = time.perf_counter() - started
        if here.sampled:
            _add(span)


def _add(span: Span) -> None:
    for collector in _collectors:
        collector.add(span)


def _name(scope: Mapping[str, Any]) -> str:
    """What a request of HTTP is called: method, and the path as far as it has no id of anything."""
    return f"{scope['method']} /{scope['path'].split('/')[1][:40] if '/' in scope['path'] else ''}"


def _http(scope: Mapping[str, Any]) -> dict[str, Value]:
    """What is told of any request of HTTP: neither its query nor who sent it."""
    told: dict[str, Value] = {
        "http.request.method": scope["method"] if scope["method"] in _METHODS else "_OTHER",
        "url.path": scope["path"][:_LONGEST_PATH],
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    if server := scope.get("server"):
        told |= {"server.address": server[0], "server.port": server[1]} if server[1] else {}
    return told
