"""Reads a request's body within a size and a time, chunked or not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from handlers.functions.problems import BodyTooLarge, BodyTooSlow, MediaTypeUnsupported

Receive = Callable[[], Awaitable[Any]]
# What is read and thrown away of a body that is too large: a client that still sends does not look for an answer, and a
# connection that is closed under it loses the answer on its way.
_DRAIN_FACTOR = 4
_DRAIN_S = 5.0


class ClientGone(Exception):
    """The client left before its request was complete: there is nobody to answer."""


async def read_body(
    receive: Receive, headers: Mapping[str, str], *, limit: int, timeout_s: float, whole: Callable[[], bytes] | None = None
) -> bytes:
    """The whole body, at most `limit` bytes; where it has come already `whole` gives it.

    Raises BodyTooLarge, BodyTooSlow after `timeout_s` seconds, MediaTypeUnsupported for a compressed body, ClientGone.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise MediaTypeUnsupported("Content-Encoding is set: send the body as it is, not compressed.")
    # A timer costs as much as the rest of a short request's way to its model.
    body = whole() if whole is not None else await _read(receive, headers, limit, timeout_s)
    if body is None or len(body) > limit:
        raise BodyTooLarge(f"The body is larger than the {limit} bytes that are allowed.")
    return body


async def _read(receive: Receive, headers: Mapping[str, str], limit: int, timeout_s: float) -> bytes | None:
    """The body as it comes, None for one that is too large."""
    body, more = bytearray(), True
    too_large = int(headers.get("content-length") or 0) > limit
    try:
        async with asyncio.timeout(timeout_s):
            while more and not too_large:
                chunk, more = await _chunk(receive)
                body += chunk
                too_large = len(body) > limit
    except TimeoutError as error:
        raise BodyTooSlow(f"The body was not complete after {timeout_s:g} s.") from error
    if too_large and more:
        await _drain(receive, limit * _DRAIN_FACTOR)
    return None if too_large else bytes(body)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _drain(receive: Receive, allowance: int) -> None:
    try:
        async with asyncio.timeout(_DRAIN_S):
            more = True
            while more and allowance > 0:
                chunk, more = await _chunk(receive)
                allowance -= len(chunk)
    except TimeoutError:
        return
