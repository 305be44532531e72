"""Requests that ask for another protocol, which they are not given: a server may pass over the wish (RFC 9110, section 7.8)."""

from collections.abc import Sequence

import httptools

# What asks for another protocol, and names of such headers.
_UPGRADING = frozenset({b"upgrade", b"http2-settings"})


def head_without(parser: httptools.HttpRequestParser, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The head of a request that the parser has seen the end of, without the wish for another protocol."""
    lines = [b"%b %b HTTP/%b" % (parser.get_method(), url, parser.get_http_version().encode())]
    for name, value in headers:
        if name == b"connection":
            wishes = [wish for wish in map(bytes.strip, value.split(b",")) if wish.lower() not in _UPGRADING]
            value = b", ".join(wishes)
        if name not in _UPGRADING:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join((*lines, b"", b""))
