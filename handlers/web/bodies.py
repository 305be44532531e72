"""Reads a request's body within a size and a time, chunked or not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from handlers.functions.problems import BodyTooLarge, BodyTooSlow, MediaTypeUnsupported

Receive = Callable[[], Awaitable[Any]]


class ClientGone(Exception):
    """The client left before its request was complete: there is nobody to answer."""


async def read_body(
    receive: Receive,
    headers: Mapping[str, str],
    *,
    limit: int,
    timeout_s: float,
    whole: Callable[[], bytes] | None = None,
    hold: Callable[[int], None] = lambda count: None,
) -> bytes:
    """The whole body, at most `limit` bytes; where it has come already `whole` gives it. `hold` is told of bytes as they come, and may
    refuse them.

    Raises BodyTooLarge, BodyTooSlow after `timeout_s` seconds, MediaTypeUnsupported for a compressed body, ClientGone.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise MediaTypeUnsupported("Content-Encoding is set: send the body as it is, not compressed.")
    # A timer costs as much as the rest of a short request's way to its model.
    body = whole() if whole is not None else await _read(receive, headers, limit, timeout_s, hold)
    if body is None or len(body) > limit:
        raise BodyTooLarge(f"The body is larger than the {limit} bytes that are allowed.")
    return body


async def _read(receive: Receive, headers: Mapping[str, str], limit: int, timeout_s: float, hold: Callable[[int], None]) -> bytes | None:
    """The body as it comes, None for one that is too large, of which no more is asked for: what still comes of it is the connection's."""
    if int(headers.get("content-length") or 0) > limit:
        return None
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(timeout_s):
            while more and len(body) <= limit:
                chunk, more = await _chunk(receive)
                hold(len(chunk))
                body += chunk
    except TimeoutError as error:
        raise BodyTooSlow(f"The body was not complete after {timeout_s:g} s.") from error
    return bytes(body) if len(body) <= limit else None


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)
