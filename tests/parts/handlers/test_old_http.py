"""Clients of HTTP/1.0, who know neither chunks nor a word before the answer."""

import asyncio

import pytest

from handlers.web.bodies import read_body
from tests.parts.handlers.test_connections import POST, served

PIECES = (b"data: one\n\n", b"", b"data: two\n\n")


async def pieces(scope, receive, send):
    """An answer whose length nobody tells."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for piece in PIECES:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def received(program, request):
    async def work():
        async with served(program) as (_, connect):
            reader, writer = await connect()
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 5)

    head, _, body = asyncio.run(work()).partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("asked", [b"", b"Connection: keep-alive\r\n"], ids=["", "keep-alive"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_an_answer_of_no_known_length_ends_with_its_connection(method, asked):
    head, body = received(pieces, b"%b / HTTP/1.0\r\n%b\r\n" % (method, asked))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head
    assert body == (b"" if method == b"HEAD" else b"".join(PIECES))


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_other_versions_are_answered_like_it(version):
    head, body = received(pieces, b"GET / HTTP/%b\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" % version)
    assert head.startswith(b"HTTP/1.1 ")
    assert b"\r\nconnection: close" in head
    assert body == b"".join(PIECES)


def test_who_knows_chunks_gets_them():
    head, body = received(pieces, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in PIECES if piece) + b"0\r\n\r\n"


def test_an_answer_of_a_known_length_is_told_its_length():
    async def told(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"fi", "more_body": True})
        await send({"type": "http.response.body", "body": b"ne"})

    head, body = received(told, b"GET / HTTP/1.0\r\n\r\n")
    assert (b"\r\ncontent-length: 4" in head, b"transfer-encoding" in head, body) == (True, False, b"fine")


def test_an_expectation_is_passed_over():
    async def echoed(scope, receive, send):
        body = await read_body(receive, {}, limit=10, timeout_s=5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    head, body = received(echoed, POST.replace(b"1.1\r\n", b"1.0\r\nExpect: 100-continue\r\n") + b"first")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"first"
