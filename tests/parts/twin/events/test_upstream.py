"""The client of emulators and containers against servers that behave and servers that don't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pilotlight.twin import upstream
from pilotlight.twin.upstream import Answer, Upstream, UpstreamError

Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def with_server(served: Served, work: Callable[[Upstream], Awaitable[Any]], **options: float) -> Any:
    """What `work` gives with a client of a server that treats each connection with `served`. `options` are the client's."""

    async def run() -> Any:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await served(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        client = Upstream(server.sockets[0].getsockname()[1], **options)
        try:
            async with asyncio.timeout(10):
                return await work(client)
        finally:
            client.close()
            server.close()

    return asyncio.run(run())


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def whole(client: Upstream, content: bytes | AsyncIterator[bytes] = b"", method: str = "POST", **headers: str) -> Answer:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return await client.send(method, b"/x?y=%20z", pairs, content)


def test_a_request_arrives_as_it_was_given_and_the_connection_is_kept() -> None:
    seen: list[bytes] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            seen.append(await head_of(reader) + await reader.readexactly(4))
            writer.write(b"HTTP/1.1 201 Created\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()

    async def work(client: Upstream) -> list[Any]:
        answers = []
        for _ in range(2):
            answer = await whole(client, b"body", host="h")
            answers.append((answer.status, answer.headers, await answer.read()))
        return answers

    (first, second) = with_server(served, work)
    assert first == (201, [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"5")], b"hello")
    assert second == first
    assert seen == [b"POST /x?y=%20z HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody"] * 2


def test_a_body_without_a_length_is_sent_in_chunks() -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await head_of(reader)
        body = await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (head, body):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def content() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b""
        yield b"cde"

    async def work(client: Upstream) -> bytes:
        return await (await whole(client, content())).read()

    assert with_server(served, work).endswith(b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")


def test_the_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
            await writer.drain()

    async def work(client: Upstream) -> list[tuple[str, bytes]]:
        answers = [await whole(client, method="HEAD") for _ in range(2)]
        return [(answer.header(b"content-length"), await answer.read()) for answer in answers]

    assert with_server(served, work) == [("99", b""), ("99", b"")]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"nonsense\r\n\r\n"])
def test_a_server_that_leaves_in_the_middle_is_told(said: bytes) -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(said)
        await writer.drain()

    async def work(client: Upstream) -> None:
        await (await whole(client)).read()

    with pytest.raises(UpstreamError) as raised:
        with_server(served, work)
    assert raised.value.sent


def test_a_server_that_is_not_there_is_told_as_such() -> None:
    async def work() -> None:
        await whole(Upstream(1))

    with pytest.raises(UpstreamError) as raised:
        asyncio.run(work())
    assert not raised.value.sent


def test_a_server_that_never_answers_is_given_up() -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def work(client: Upstream) -> None:
        await whole(client)

    with pytest.raises(UpstreamError, match=r"no answer within 0\.1 s"):
        with_server(served, work, answer_s=0.1)


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        for part in (b"hel", b"lo"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)

    async def work(client: Upstream) -> list[bytes]:
        return [await (await whole(client)).read() for _ in range(2)]

    assert with_server(served, work) == [b"hello", b"hello"]


def test_a_length_is_told_where_a_body_is_expected() -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await head_of(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
            await writer.drain()

    async def work(client: Upstream) -> list[bool]:
        return [b"content-length" in await (await whole(client, method=method)).read() for method in ("POST", "PUT", "GET", "DELETE")]

    assert with_server(served, work) == [True, True, False, False]


def test_a_connection_that_rested_too_long_is_not_used_again() -> None:
    connections = 0

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await head_of(reader):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async def work(client: Upstream) -> list[int]:
        seen = []
        for pause_s in (0, 0, 0.3):
            await asyncio.sleep(pause_s)
            await (await whole(client)).read()
            seen.append(connections)
        return seen

    assert with_server(served, work, rest_s=0.2) == [1, 1, 2]


def test_a_body_that_fails_leaves_the_request_unfinished() -> None:
    got: list[bytes] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        got.append(await reader.read())

    async def content() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ValueError("it was not what it said")

    async def work(client: Upstream) -> None:
        try:
            await whole(client, content(), **{"content-length": "100"})
        finally:
            await asyncio.sleep(0.05)

    with pytest.raises(ValueError, match="not what it said"):
        with_server(served, work)
    assert got in ([b"begun"], [b""])


def test_a_large_answer_waits_for_its_reader() -> None:
    size = 48 * upstream.HIGH_WATER
    sent = 0

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async def work(client: Upstream) -> tuple[int, int]:
        answer = await whole(client)
        await asyncio.sleep(0.3)
        before = sent
        return before, len(await answer.read())

    before, received = with_server(served, work)
    assert received == size
    # What the reader has not asked for stays with the server, but for buffers on the way.
    assert before < size


def test_an_answer_that_was_not_read_to_its_end_ends_its_connection() -> None:
    connections = 0

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await head_of(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"abc")
            await writer.drain()

    async def work(client: Upstream) -> list[bytes]:
        first = await whole(client)
        first.close()
        return [await (await whole(client)).read() for _ in range(2)]

    assert with_server(served, work) == [b"abc", b"abc"]
    assert connections == 2
