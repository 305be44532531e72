"""Spans as the protobuf of OTLP (opentelemetry-proto 1.x, trace/v1/trace.proto and collector/trace/v1/trace_service.proto).

Protobuf and not JSON, which not everybody takes (elastic/apm-server issue 12636; Dynatrace, "OpenTelemetry trace ingest API"). Written
here, since three kinds of fields are all there is (docs/decisions/0023-spans-over-otlp.md).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence

from handlers.functions.spans import Span, Value

SCOPE = "handlers.functions.spans"
# SpanKind and StatusCode.
_INTERNAL, _SERVER, _CLIENT, _ERROR = 1, 2, 3, 2
# SpanFlags: W3C's flag of a sampled trace, whether it is known that the parent is another process's, and that it is.
_SAMPLED, _HAS_IS_REMOTE, _IS_REMOTE = 0x001, 0x100, 0x200
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def request(resource: Mapping[str, Value], spans: Iterable[Span]) -> bytes:
    """An ExportTraceServiceRequest."""
    scope = _bytes(1, _text(1, SCOPE)) + b"".join(_bytes(2, _span(span)) for span in spans)
    return _bytes(1, _bytes(1, _attributes(1, resource)) + _bytes(2, scope))


def refused(answer: bytes) -> int:
    """How many spans were not taken, by an ExportTraceServiceResponse (partial_success.rejected_spans). ValueError for anything else."""
    partial = _field(answer, 1)
    count = _field(partial, 1) if isinstance(partial, bytes) else 0
    return count if isinstance(count, int) else 0


def _span(span: Span) -> bytes:
    began = round(span.began * 1e9)
    flags = _SAMPLED | _HAS_IS_REMOTE | (_IS_REMOTE if span.asked and span.parent else 0)
    kind = _INTERNAL if span.inside else _SERVER if span.asked else _CLIENT
    parts = [
        *_context(span.trace, span.id, span.state),
        _bytes(4, bytes.fromhex(span.parent)) if span.parent else b"",
        _text(5, _name(span)),
        _whole(6, kind),
        _head(7, _FIXED64) + struct.pack("<QBQ", began, 8 << 3 | _FIXED64, began + round(span.seconds * 1e9)),
        _attributes(9, _told(span)),
        *(_bytes(13, b"".join(_context(link.id, link.span or "", link.state))) for link in span.links),
        _bytes(15, _whole(3, _ERROR)) if _failed(span) else b"",
        _head(16, _FIXED32) + struct.pack("<I", flags),
    ]
    return b"".join(parts)


def _name(span: Span) -> str:
    """The route, not the path, of which there are as many as somebody likes (semantic conventions for HTTP spans, name)."""
    method = span.attributes.get("http.request.method")
    if method is None:
        return span.name
    method = "HTTP" if method == "_OTHER" else method
    return f"{method} {span.attributes['http.route']}" if "http.route" in span.attributes else str(method)


def _told(span: Span) -> Mapping[str, Value]:
    told = dict(span.attributes)
    if span.code.isdigit():
        told["http.response.status_code"] = int(span.code)
        if _failed(span):
            told["error.type"] = span.code
    if span.target:
        told["server.address"] = span.target
    if span.request_id is not None:
        told["pilotlight.request_id"] = span.request_id
    return told


def _failed(span: Span) -> bool:
    """What a caller did wrong is no fault of whoever is asked (the same conventions, status)."""
    return int(span.code) >= 500 if span.asked and span.code.isdigit() else not span.success


def _context(trace: str, span: str, state: str) -> Sequence[bytes]:
    """The fields that a span and a link begin with."""
    return _bytes(1, bytes.fromhex(trace)), _bytes(2, bytes.fromhex(span)), _text(3, state) if state else b""


def _attributes(number: int, told: Mapping[str, Value]) -> bytes:
    return b"".join(_bytes(number, _text(1, name) + _bytes(2, _value(value))) for name, value in told.items())


def _value(value: Value) -> bytes:
    """An AnyValue."""
    if isinstance(value, bool):
        return _whole(2, value)
    if isinstance(value, int):
        return _whole(3, value)
    if isinstance(value, float):
        return _head(4, _FIXED64) + struct.pack("<d", value)
    return _text(1, value)


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode(errors="replace"))


def _bytes(number: int, content: bytes) -> bytes:
    return _head(number, _BYTES) + _varint(len(content)) + content


def _whole(number: int, value: int) -> bytes:
    return _head(number, _VARINT) + _varint(value)


def _head(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _field(message: bytes, number: int) -> int | bytes | None:
    """One field of a message that has whole numbers and bytes only."""
    at = 0
    while at < len(message):
        head, at = _read(message, at)
        value, at = _read(message, at)
        found: int | bytes = value
        if head & 7 == _BYTES:
            found, at = message[at : at + value], at + value
        elif head & 7 != _VARINT:
            raise ValueError(f"a field of kind {head & 7}")
        if head >> 3 == number:
            return found
    return None


def _read(message: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number that does not end")
