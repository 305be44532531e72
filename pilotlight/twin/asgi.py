"""The little of ASGI that the front needs: a request with a limited body, a response."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.sigv4 import query_pairs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# AWS's front ends give up on a client that goes quiet in the middle of a body; S3 documents 20 s without traffic (RequestTimeout).
QUIET_S = 20


@dataclass(kw_only=True)
class Request:
    """One HTTP request. Header names are lower case (repeated ones joined by a comma); `raw_path` is as it was sent."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    header_pairs: list[tuple[str, str]]
    source_ip: str
    receive: Receive
    # The two ports of its connection, the other end's first, and `http` or `https`.
    ports: tuple[int, int] = (0, 0)
    scheme: str = "http"
    body_asked: bool = False
    _query: list[tuple[str, str]] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Request:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers: dict[str, str] = {}
        for name, value in pairs:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        client, server = scope.get("client"), scope.get("server")
        return cls(
            method=scope["method"],
            raw_path=scope["raw_path"].decode("latin-1"),
            raw_query=scope["query_string"].decode("latin-1"),
            headers=headers,
            header_pairs=pairs,
            source_ip=client[0] if client else "127.0.0.1",
            receive=receive,
            ports=(client[1] if client else 0, (server[1] if server else 0) or 0),
            scheme=scope.get("scheme", "http"),
        )

    @property
    def query(self) -> list[tuple[str, str]]:
        if self._query is None:
            self._query = query_pairs(self.raw_query)
        return self._query

    @property
    def declared_length(self) -> int | None:
        text = self.headers.get("content-length", "")
        return int(text) if text.isdigit() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Refusal (RequestTimeout) where the client goes quiet, or leaves."""
        self.body_asked = True
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    message = await self.receive()
            except TimeoutError:
                raise Refusal(
                    "RequestTimeout", "Your socket connection to the server was not read from or written to in time.", 408
                ) from None
            if message["type"] == "http.disconnect":
                raise Refusal("RequestTimeout", "The client left before its request was complete.", 408)
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return

    async def body(self, limit: int, too_large: Refusal) -> bytes:
        """The whole body; `too_large` is raised as soon as more than `limit` bytes are declared or have come."""
        if (self.declared_length or 0) > limit:
            raise too_large
        parts, size = [], 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise too_large
            parts.append(chunk)
        return b"".join(parts)


class Answering:
    """A `send` that knows whether the answer has begun and with which status, and ends a connection whose next bytes would be unclear."""

    def __init__(self, request: Request, send: Send) -> None:
        self._request = request
        self._send = send
        self.started = False
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, int(message["status"])
            if "expect" in self._request.headers and not self._request.body_asked:
                # A client that was not told to go on may leave its body out: what follows would be read as that body.
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await self._send(message)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def respond(send: Send, response: AwsResponse, *, extra: list[tuple[str, str]] | None = None) -> None:
    """Send a whole response; `extra` holds headers that repeat (Set-Cookie)."""
    headers = [(name.lower().encode("latin-1"), header_value(value)) for name, value in response.headers.items()]
    headers += [(name.lower().encode("latin-1"), header_value(value)) for name, value in extra or []]
    if not any(name == b"date" for name, _ in headers):
        headers.append((b"date", formatdate(usegmt=True).encode()))
    if not any(name == b"content-length" for name, _ in headers) and response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def header_value(value: str) -> bytes:
    # A line break in a header's value would let an answer's author write further headers.
    return value.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")
