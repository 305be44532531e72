"""Callers that cost little: connections that are kept, requests as bytes, on one event loop."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.record import BenchmarkError


@dataclass(frozen=True, slots=True)
class Call:
    """One answered request: which of the bodies it was, seconds until its answer, when that was there (seconds since the first was
    asked), and that body as it came."""

    place: int
    seconds: float
    ended_s: float
    answer: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.answer)


def saturate(port: int, path: str, bodies: Sequence[bytes], *, connections: int, seconds: float) -> list[Call]:
    """Each connection asks again as soon as it is answered, the bodies in turn. BenchmarkError for an answer that is none."""
    return asyncio.run(_all(port, path, bodies, connections, seconds, rate=None))


def pace(port: int, path: str, bodies: Sequence[bytes], *, connections: int, seconds: float, rate: float) -> list[Call]:
    """So many requests a second, whatever is answered; each one's seconds run from when it was due."""
    return asyncio.run(_all(port, path, bodies, connections, seconds, rate=rate))


async def _all(port: int, path: str, bodies: Sequence[bytes], connections: int, seconds: float, *, rate: float | None) -> list[Call]:
    requests = [_request(path, body) for body in bodies]
    turns, calls = itertools.count(), list[Call]()
    began = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            turn = next(turns)
            due = time.perf_counter() if rate is None else began + turn / rate
            if due - began >= seconds:
                break
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            place = turn % len(requests)
            writer.write(requests[place])
            answer = await _answer(reader)
            now = time.perf_counter()
            calls.append(Call(place, now - due, now - began, answer))
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return calls


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), None)
    if length is not None:
        body = await reader.readexactly(length)
    elif any(line.startswith("transfer-encoding:") and "chunked" in line for line in lines):
        body = await _chunks(reader)
    else:
        raise BenchmarkError(f"An answer came without its length:\n{head.decode('latin-1')}")
    if not lines[0].startswith("http/1.1 200"):
        raise BenchmarkError(f"A server under load answered {lines[0]}: {body[:300]!r}")
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A body of chunks without trailers (RFC 9112, 7.1)."""
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:size]
    await reader.readexactly(2)
    return bytes(body)
