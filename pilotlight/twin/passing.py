"""A request handed on to a container, and its answer as it comes."""

from __future__ import annotations

import asyncio

from pilotlight.twin.asgi import Request, Send
from pilotlight.twin.container import Container
from pilotlight.twin.upstream import Answer, UpstreamError

# HTTP/1.1: what holds for one connection alone.
HOP = frozenset({"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"})
# Besides, what whoever hands a request on says anew.
NOT_SENT_ON = HOP | {"host", "content-length", "expect"}


class Late(Exception):
    """There was no answer in time."""


class Broken(Exception):
    """The container left, or what it said is no answer. `sent` tells whether it may have acted on the request."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


async def passed_on(
    container: Container, request: Request, send: Send, *, target: str, headers: list[tuple[str, str]], body: bytes, timeout_s: float
) -> None:
    """Send the container's answer to the caller. Late and Broken where there is none; ConnectionError for one that is cut off."""
    answer: Answer | None = None
    try:
        async with asyncio.timeout(timeout_s):
            answer = await container.send(request.method, target, headers, body)
            await _streamed(answer, send)
    except (TimeoutError, UpstreamError) as error:
        if answer is not None:
            # Too late for a status: an answer cut short is what the client must see, not one that looks whole.
            raise ConnectionError("the answer was cut off") from error
        if isinstance(error, UpstreamError):
            raise Broken(str(error), sent=error.sent) from None
        raise Late from None
    finally:
        if answer is not None:
            answer.close()


def bearer(given: str | None) -> str:
    """The token of an Authorization header; empty where it has none."""
    kind, _, token = (given or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


async def _streamed(answer: Answer, send: Send) -> None:
    headers = [pair for pair in answer.headers if pair[0].decode("latin-1") not in HOP]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for chunk in answer.chunks():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
