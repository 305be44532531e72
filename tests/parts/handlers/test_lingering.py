"""Answers to clients that still send: read whole, for a bounded time and size, and without a word that asks for what is refused."""

import asyncio
import gc
import json
import socket
import time
import weakref

import pytest

from handlers.web import lingering
from tests.parts.handlers.test_connections import GET, POST, answered, at_once, narrow, served, until, whole

PIECE, PIECES = b"a" * 16_384, 512
LONG = len(PIECE) * PIECES
TYPED = b"Host: a\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % LONG
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def answer_while_sending(port, head, piece, pieces, pause_s=0.2):
    """Status and document of the answer to whoever looks for one only once everything is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        # Until it is answered, and an end of the connection could not have been told otherwise than by a reset.
        time.sleep(pause_s)
        for _ in range(pieces):
            connection.sendall(piece)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    told, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in told
    assert b"\r\ncontent-length: %d\r\n" % len(body) in told + b"\r\n"
    return int(told.split()[1]), json.loads(body)


EARLY = {
    "404": (404, b"POST /nothing", LENGTH),
    "404 chunked": (404, b"POST /nothing", CHUNKED),
    "405": (405, b"POST /ping", LENGTH),
    "415": (415, b"POST /predict", b"Content-Encoding: gzip\r\n" + LENGTH),
    "413": (413, b"POST /predict", LENGTH),
    "413 chunked": (413, b"POST /predict", CHUNKED),
    "431": (431, b"POST /predict", b"X-Long: %b\r\n" % (b"a" * 40_000) + LENGTH),
    "431 without end": (431, b"POST /predict", b"X-Long: %b\r\n" % (b"a" * 140_000) + LENGTH),
    "400": (400, b"POST /predict", LENGTH + CHUNKED),
    "200": (200, b"GET /health/live", LENGTH),
}


@pytest.mark.parametrize("early", EARLY)
def test_an_answer_that_comes_early_is_read_whole_by_whoever_still_sends(server, early):
    status, line, headers = EARLY[early]
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if CHUNKED in headers else PIECE
    found, document = answer_while_sending(server.port, b"%b HTTP/1.1\r\n%b%b\r\n" % (line, TYPED, headers), piece, PIECES)
    assert found == status
    assert document["status"] == (status if status >= 400 else "alive")
    assert server.client.get("/ping").status_code == 200


def test_a_body_that_is_too_slow_is_answered_as_well(server):
    head = b"POST /predict HTTP/1.1\r\n%bContent-Length: 4000\r\n\r\n{" % TYPED
    assert answer_while_sending(server.port, head, b"a", 3999, pause_s=0.8)[0] == 408


@pytest.mark.parametrize("behind", [b"", GET], ids=["a request", "requests"])
def test_who_waits_for_its_answer_may_send_behind_the_request(behind):
    async def last(scope, receive, send):
        await asyncio.sleep(0.2)
        assert whole(scope, connection="close")

    async def work():
        async with served(last) as (_, connect):
            reader, writer = await connect()
            writer.write(GET + behind)
            await asyncio.sleep(0.05)
            writer.write(POST.replace(b"5", b"%d" % LONG))
            writer.write(PIECE * PIECES)
            await asyncio.sleep(0.5)
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"fine"
            await asyncio.wait_for(writer.drain(), 5)
            assert await asyncio.wait_for(reader.read(), 5) == b""

    asyncio.run(work())


@pytest.mark.parametrize("at_once", [True, False])
def test_only_an_answer_before_the_end_of_its_body_ends_the_connection(at_once):
    async def told(scope, receive, send):
        if scope["path"] == "/read":
            while (await receive())["more_body"]:
                pass
        if at_once:
            assert whole(scope)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"fine"})

    async def work():
        async with served(told) as (_, connect):
            reader, writer = await connect()
            for path in (b"/read", b"/read", b"/early"):
                writer.write(POST.replace(b"/ ", path + b" ", 1))
                await asyncio.sleep(0.05)
                if path == b"/read":
                    writer.write(b"first")
                head, body = await asyncio.wait_for(answered(reader), 5)
                assert (body, b"connection: close" in head) == (b"fine", path == b"/early")
            assert await asyncio.wait_for(reader.read(), 5) == b""

    asyncio.run(work())


async def early(scope, receive, send):
    assert whole(scope)


async def until_reset(writer, every_s=0.02):
    """Seconds until what is sent arrives nowhere."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while loop.time() - began < 10:
            writer.write(PIECE)
            await writer.drain()
            await asyncio.sleep(every_s)
    except ConnectionError:
        return loop.time() - began
    raise AssertionError("It is heard without end.")


@pytest.mark.parametrize("bound", ["seconds", "bytes"])
def test_it_is_heard_no_longer_than_its_bounds(monkeypatch, bound):
    if bound == "seconds":
        monkeypatch.setattr(lingering, "_MOST_S", 0.4)
    else:
        monkeypatch.setattr(lingering, "_MOST_BYTES", 2 * len(PIECE))

    async def work():
        async with served(early) as (server, connect):
            reader, writer = await connect()
            writer.write(POST.replace(b"5", b"%d" % LONG))
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"fine"
            (heard,) = server.server_state.connections
            assert isinstance(heard, lingering.Lingering)
            lasted = await until_reset(writer)
            assert lasted < 4, "less than it is heard without that bound"
            assert lasted >= 0.35 or bound == "bytes"
            assert not server.server_state.connections

    asyncio.run(work())


@pytest.mark.parametrize("leaves", [False, True])
def test_who_reads_nothing_of_an_answer_ends_it_too(monkeypatch, leaves):
    monkeypatch.setattr(lingering, "_MOST_S", 0.2)
    monkeypatch.setattr(lingering, "_MOST_UNREAD_S", 0.2)

    async def work():
        async with served(at_once) as (server, _):
            with narrow(server.config.port, POST) as client:
                connections = server.server_state.connections
                await until(lambda: any(isinstance(each, lingering.Lingering) for each in connections))
                if leaves:
                    # Whatever it sent first.
                    client.setblocking(True)
                    client.shutdown(socket.SHUT_WR)
                await until(lambda: not connections)

    asyncio.run(work())


def test_nothing_of_the_request_is_kept_meanwhile():
    seen = []

    class Noted(dict):
        """A dict that can be watched."""

    async def told(scope, receive, send):
        noted = scope["extensions"]["noted"] = Noted()
        seen.append(weakref.ref(noted))
        assert whole(scope)

    async def work():
        async with served(told) as (server, connect):
            reader, writer = await connect()
            writer.write(POST.replace(b"5", b"%d" % LONG) + PIECE)
            await asyncio.wait_for(answered(reader), 5)
            seen.extend(map(weakref.ref, server.server_state.connections))
            await asyncio.sleep(0.05)
            noted, connection = (each() for each in seen)
            assert noted is None
            assert isinstance(connection, lingering.Lingering)
            writer.close()
            del connection
            await asyncio.sleep(0.05)
            assert seen[1]() is None

    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()


def test_a_server_that_leaves_does_not_wait_for_it():
    async def work():
        loop = asyncio.get_running_loop()
        async with served(early, drain_s=10) as (_, connect):
            reader, writer = await connect()
            writer.write(POST.replace(b"5", b"%d" % LONG))
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"fine"
            began = loop.time()
        assert loop.time() - began < 3
        writer.close()

    asyncio.run(work())


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 no request\r\n\r\n", POST.replace(b"5", b"99") + b"ab"], ids=["malformed", "early"])
def test_a_client_that_is_gone_before_its_answer_leaves_nothing(sent):
    async def work():
        loop = asyncio.get_running_loop()
        async with served(early, drain_s=10) as (server, connect):
            _, writer = await connect()
            port = writer.get_extra_info("peername")[1]
            writer.close()
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.sendall(sent)
                    # What is still under way is answered by a reset.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.sendall(sent)
            await asyncio.sleep(0.2)
            assert not server.server_state.connections
            began = loop.time()
        assert loop.time() - began < 3

    asyncio.run(work())


def test_a_server_that_leaves_is_not_kept_by_who_lingers_then():
    async def read(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async def work():
        loop = asyncio.get_running_loop()
        async with served(read, drain_s=10) as (server, connect):
            reader, writer = await connect()
            writer.write(POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
            await asyncio.sleep(0.05)
            server.should_exit = True
            # Behind uvicorn's look at its connections.
            await asyncio.sleep(0.6)
            writer.write(b"no chunk\r\n")
            assert (await asyncio.wait_for(answered(reader), 5))[0].startswith(b"HTTP/1.1 400 ")
            began = loop.time()
        assert loop.time() - began < 3
        writer.close()

    asyncio.run(work())


def test_what_came_whole_is_closed_behind_its_answer():
    async def told(scope, receive, send):
        assert whole(scope, connection="close")

    async def work():
        async with served(told) as (server, connect):
            reader, writer = await connect()
            for part in (POST, b"first"):
                writer.write(part)
                await writer.drain()
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"fine"
            assert await asyncio.wait_for(reader.read(), 5) == b""
            await asyncio.sleep(0.05)
            assert not server.server_state.connections
            writer.close()

    asyncio.run(work())


def test_a_body_that_ends_while_the_server_leaves_keeps_no_connection():
    async def read(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        assert whole(scope)

    async def work():
        async with served(read) as (server, connect):
            reader, writer = await connect()
            writer.write(POST)
            await asyncio.sleep(0.05)
            server.should_exit = True
            await asyncio.sleep(0.2)
            writer.write(b"first")
            head, body = await asyncio.wait_for(answered(reader), 5)
            assert (body, b"connection: close" in head) == (b"fine", True)

    asyncio.run(work())


@pytest.mark.parametrize("behind", [b"zz", b"5\r\nabcdef"], ids=["no size", "no end"])
def test_whoever_reads_a_body_that_turns_out_to_be_none_is_told_and_writes_to_nobody(behind):
    over = asyncio.Event()

    async def read(scope, receive, send):
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
        assert message["type"] == "http.disconnect"
        assert whole(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        over.set()

    async def work():
        async with served(read) as (_, connect):
            reader, writer = await connect()
            writer.write(POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
            await asyncio.sleep(0.05)
            writer.write(behind + b"\r\n\r\n" + PIECE)
            received = await asyncio.wait_for(reader.read(), 5)
            assert received.startswith(b"HTTP/1.1 400 ")
            assert received.count(b"HTTP/1.1 ") == 1
            await asyncio.wait_for(over.wait(), 5)

    asyncio.run(work())


WAITS = b"Expect: 100-continue\r\n"
REFUSED = {
    "413": (413, b"POST /predict", LENGTH),
    "404": (404, b"POST /nothing", LENGTH),
    "404 of a version": (404, b"POST /v2/models/a/versions/9/infer", b"Content-Length: 9\r\n"),
    "405": (405, b"POST /ping", LENGTH),
    "415 by its coding": (415, b"POST /predict", b"Content-Encoding: gzip\r\nContent-Length: 9\r\n"),
    "415 by its type": (415, b"POST /predict", b"Content-Type: text/plain\r\nContent-Length: 9\r\n"),
    "415 by its type, elsewhere": (415, b"POST /score", b"Content-Type: text/plain\r\nContent-Length: 9\r\n"),
    "406": (406, b"POST /predict", b"Accept: text/html\r\nContent-Length: 9\r\n"),
    "400": (400, b"POST /predict", b"X-Request-Timeout-Ms: soon\r\nContent-Length: 9\r\n"),
    "431": (431, b"POST /predict", b"X-Long: %b\r\n" % (b"a" * 40_000) + LENGTH),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_who_waits_with_the_body_is_refused_without_it(server, refused):
    status, line, headers = REFUSED[refused]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"%b HTTP/1.1\r\nHost: a\r\n%b%b\r\n" % (line, WAITS, headers))
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 %d " % status), received
    assert b"connection: close" in received
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [b"/predict", b"/score"])
def test_who_is_not_refused_is_asked_for_the_body(server, path):
    body = b'{"inputs": "cold"}'
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (path, TYPED, WAITS, len(body)))
        reader = connection.makefile("rb")
        assert [reader.readline() for _ in range(2)] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
        connection.sendall(body)
        assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
