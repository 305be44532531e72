"""The requests of pushes against servers of this machine, by either client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pilotlight.twin.gcp.pubsub_post import Poster

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


def posted(work: Callable[[Poster, int], Awaitable[Any]], answer: bytes = ANSWER) -> tuple[Any, list[bytes], int]:
    """What `work` gives with a server's port, the requests that came there, and over how many connections."""
    seen: list[bytes] = []
    connections = 0

    async def run() -> Any:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    seen.append(head.lower() + await reader.readexactly(4))
                    writer.write(answer)
                    await writer.drain()
            except asyncio.IncompleteReadError:
                writer.close()

        server, poster = await asyncio.start_server(connected, "127.0.0.1", 0), Poster()
        try:
            async with asyncio.timeout(10):
                return await work(poster, server.sockets[0].getsockname()[1])
        finally:
            await poster.close()
            server.close()

    return asyncio.run(run()), seen, connections


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_push_arrives_as_it_was_given_and_connections_are_kept(host: str) -> None:
    async def work(poster: Poster, port: int) -> list[int]:
        address = f"http://{host}:{port}/a b?c=ä"
        return [await poster.post(address, {"ce-id": "1", "Content-Type": "text/plain"}, b"body", 5) for _ in range(2)]

    statuses, seen, connections = posted(work)
    assert (statuses, connections) == ([204, 204], 1)
    for request in seen:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert first == b"post /a%20b?c=%c3%a4 http/1.1"
        assert {b"ce-id: 1", b"content-type: text/plain", b"content-length: 4"} <= set(lines)
        assert sum(line.startswith(b"host: ") for line in lines) == 1
        assert body == b"body"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("header", [("x", "a\r\nauthorization: mine"), ("x", "é"), ("a b", "x"), ("", "x"), ("x:y", "z")])
def test_an_attribute_that_is_no_header_is_not_sent(host: str, header: tuple[str, str]) -> None:
    async def work(poster: Poster, port: int) -> None:
        with pytest.raises(Exception) as raised:  # noqa: PT011 (each client has errors of its own)
            await poster.post(f"http://{host}:{port}/", dict([header]), b"body", 5)
        assert not isinstance(raised.value, TimeoutError)

    assert posted(work)[1] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_answer_that_is_not_whole_in_time_is_none(host: str) -> None:
    async def work(poster: Poster, port: int) -> None:
        with pytest.raises(Exception, match=r"(?i)timeout|^$"):
            await poster.post(f"http://{host}:{port}/", {}, b"body", 0.2)

    assert len(posted(work, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")[1]) == 1
