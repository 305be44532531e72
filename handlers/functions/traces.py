"""The trace that a request belongs to, by its headers: W3C's, or Google's own from before there was one."""

import contextvars
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

# TRACE/SPAN;o=1, where the span is a decimal number (Cloud Trace, "Trace context").
_CLOUD = re.compile(r"(?!0{32})(?P<trace>[0-9a-f]{32})(?:/(?P<span>[0-9]{1,20}))?(?:;o=(?P<sampled>[01]))?")
# W3C Recommendation "Trace Context", sections 3.2 and 4.3: of a later version what this one has, ahead of what that one adds.
_W3C = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
# Section 3.3: what vendors keep for themselves, which has no meaning here. Longer ones need not be passed on.
_STATE = re.compile(r"[\x20-\x7e\t]{1,512}")


# Headers that tell of one.
TELLING = frozenset({"traceparent", "x-cloud-trace-context"})


class Trace(NamedTuple):
    """Ids in hexadecimal digits, 32 and 16; a span is not always told. `state` is the header `tracestate`."""

    id: str
    span: str | None
    sampled: bool
    state: str = ""

    @property
    def parent(self) -> str:
        """As the header `traceparent` of a request that is made on behalf of this one."""
        return f"00-{self.id}-{self.span or self.id[:16]}-{int(self.sampled):02x}"

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that is made on behalf of this one."""
        return {"traceparent": self.parent, **({"tracestate": self.state} if self.state else {})}


current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


def follow(headers: Mapping[str, str]) -> None:
    """Make the trace of a request with these headers the `current` one of this thread or task."""
    current.set(of(headers))


@contextmanager
def within(trace: Trace | None) -> Iterator[None]:
    """In the block this trace is the current one."""
    before = current.set(trace)
    try:
        yield
    finally:
        current.reset(before)


def of(headers: Mapping[str, str]) -> Trace | None:
    """The trace of a request with these headers (lower-case names), None where they tell of none."""
    if TELLING.isdisjoint(headers):
        return None
    if cloud := _CLOUD.fullmatch(headers.get("x-cloud-trace-context", "")):
        span = int(cloud["span"] or 0)
        # One that does not fit, or is none: the trace is told without it.
        return Trace(cloud["trace"], f"{span:016x}" if 0 < span < 1 << 64 else None, cloud["sampled"] == "1")
    w3c = _W3C.fullmatch(headers.get("traceparent", ""))
    if w3c is None or (w3c["version"] == "00" and w3c["more"]):
        return None
    state = headers.get("tracestate", "")
    return Trace(w3c["trace"], w3c["span"], bool(int(w3c["flags"], 16) & 1), state if _STATE.fullmatch(state) else "")
