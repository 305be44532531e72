"""What becomes of a connection: kept while it is used, ended when it is not or its server leaves; whole answers on it."""

import asyncio
import gc
import socket
import weakref
from contextlib import asynccontextmanager

import pytest

from handlers.web import running
from handlers.web.protocol import ANSWER, LEAVING, WHOLE
from pilotlight.twin.ports import port_for_later

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
KEPT_S = 0.6


@asynccontextmanager
async def served(program, take=None, drain_s=2):
    """A server of this program; gives it and what opens connections to it."""
    port = port_for_later()
    server = running.make_server(program, host="127.0.0.1", port=port, drain_s=drain_s, arrival_s=2, take=take)
    serving = asyncio.create_task(server.serve())
    # Looked at: uvicorn tells of it no other way.
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield server, lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        server.should_exit = True
        await serving


async def answered(reader):
    """Head and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head, await reader.readexactly(length)


def whole(scope, body=b"fine", **headers):
    return scope["extensions"][ANSWER]["send"](200, {"content-length": str(len(body)), **headers}, body)


async def fine(scope, receive, send):
    assert whole(scope)


def test_a_connection_is_kept_for_a_time_after_its_last_answer(monkeypatch):
    monkeypatch.setattr(running, "_KEEP_ALIVE_S", KEPT_S)

    async def work():
        async with served(fine) as (_, connect):
            loop = asyncio.get_running_loop()
            began = loop.time()
            (silent, _), (used, asking) = await connect(), await connect()
            await asyncio.sleep(KEPT_S / 2)
            asking.write(GET)
            assert (await answered(used))[1] == b"fine"
            last = loop.time()
            assert await asyncio.wait_for(silent.read(), 5) == b""
            assert loop.time() - began >= KEPT_S - 0.05
            assert await asyncio.wait_for(used.read(), 5) == b""
            assert loop.time() - last >= KEPT_S - 0.05

    asyncio.run(work())


def test_a_connection_whose_answer_takes_long_is_kept(monkeypatch):
    monkeypatch.setattr(running, "_KEEP_ALIVE_S", 0.2)

    async def slow(scope, receive, send):
        await asyncio.sleep(0.7)
        assert whole(scope)

    async def work():
        async with served(slow) as (_, connect):
            reader, writer = await connect()
            writer.write(GET)
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"fine"

    asyncio.run(work())


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nset-cookie: b", "\u20ac"])
def test_what_is_no_header_is_not_sent(value):
    async def broken(scope, receive, send):
        whole(scope, told=value)

    async def work():
        async with served(broken) as (_, connect):
            reader, writer = await connect()
            writer.write(GET)
            received = await asyncio.wait_for(reader.read(), 5)
            assert received.startswith(b"HTTP/1.1 500 ")
            assert b"set-cookie" not in received

    asyncio.run(work())


def test_whoever_does_not_read_gets_the_rest_later():
    body, taken = b"a" * 30_000_000, []

    async def large(scope, receive, send):
        taken.append(whole(scope, body))
        if not taken[-1]:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
            await send({"type": "http.response.body", "body": body})

    async def work():
        async with served(large) as (_, connect):
            reader, writer = await connect()
            writer.write(GET * 3)
            await asyncio.sleep(0.3)
            for _ in range(3):
                assert (await asyncio.wait_for(answered(reader), 20))[1] == body

    asyncio.run(work())
    assert taken[0]
    assert False in taken


def test_a_body_that_came_with_its_head_is_there_at_once():
    seen = []

    async def told(scope, receive, send):
        seen.append(scope["extensions"][WHOLE]["take"]())
        assert whole(scope)

    async def work():
        async with served(told) as (_, connect):
            reader, writer = await connect()
            for body in (b"first", b"other"):
                writer.write(POST + body)
                await asyncio.wait_for(answered(reader), 5)

    asyncio.run(work())
    assert seen == [b"first", b"other"]


@pytest.mark.parametrize("behind", [b"", GET], ids=["alone", "another behind it"])
def test_a_client_that_leaves_is_noticed_whatever_it_has_sent(behind):
    body, gone = b"a" * 200_000, asyncio.Event()

    async def waiting(scope, receive, send):
        if scope["method"] == "GET":
            assert whole(scope)
            return
        taken = b""
        while len(taken) < len(body):
            taken += (await receive())["body"]
        scope["extensions"][LEAVING]["tell"](gone.set)
        await gone.wait()

    async def work():
        async with served(waiting) as (_, connect):
            _, writer = await connect()
            writer.write(POST.replace(b"5", b"%d" % len(body)) + body + behind)
            await writer.drain()
            await asyncio.sleep(0.2)
            writer.transport.abort()
            await asyncio.wait_for(gone.wait(), 5)

    asyncio.run(work())


@pytest.mark.parametrize("at_once", [True, False])
def test_nothing_of_a_request_waits_for_the_garbage_collector(at_once):
    seen = []

    class Noted(dict):
        """A dict that can be watched."""

    async def told(scope, receive, send):
        noted = scope["extensions"]["noted"] = Noted()
        seen.append(weakref.ref(noted))
        if at_once:
            assert whole(scope)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"fine"})

    async def work():
        async with served(told) as (_, connect):
            reader, writer = await connect()
            for _ in range(3):
                writer.write(POST + b"first")
                await asyncio.wait_for(answered(reader), 5)
            await asyncio.sleep(0.05)
            assert [noted() is None for noted in seen] == [True, True, True]

    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()


def test_a_whole_answer_tells_its_date_as_every_other():
    async def work():
        async with served(fine) as (_, connect):
            reader, writer = await connect()
            writer.write(GET)
            head, _ = await asyncio.wait_for(answered(reader), 5)
            # RFC 9110, section 6.6.1.
            assert b"\r\ndate: " in head

    asyncio.run(work())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_server_that_leaves_ends_each_connection_with_its_answer(at_once):
    async def work():
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def waiting(scope, receive, send):
            if scope["path"] == "/slow":
                begun.set()
                await go_on.wait()
            if at_once:
                assert whole(scope)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"fine"})

        async with served(waiting) as (server, connect):
            (slow, asking), (idle, later) = await connect(), await connect()
            later.write(GET)
            assert b"connection: close" not in (await answered(idle))[0]
            asking.write(GET.replace(b"/ ", b"/slow ", 1))
            await begun.wait()
            server.should_exit = True
            # It is seen within a tenth of a second.
            await asyncio.sleep(0.2)
            # Sent before its client could know.
            later.write(GET)
            for reader in (idle, slow):
                head, body = await asyncio.wait_for(answered(reader), 5)
                assert (b"connection: close" in head, body) == (True, b"fine")
                assert await asyncio.wait_for(reader.read(), 5) == b""
                go_on.set()

    asyncio.run(work())


def test_of_what_comes_behind_each_other_little_is_read_ahead():
    times = 20_000

    async def slow(scope, receive, send):
        await asyncio.sleep(0)
        assert whole(scope)

    async def work():
        most = 0
        async with served(slow) as (server, connect):
            reader, writer = await connect()

            async def watch():
                nonlocal most
                while True:
                    most = max([most, *(len(each.pipeline) for each in server.server_state.connections)])
                    await asyncio.sleep(0)

            watching = asyncio.create_task(watch())
            asking = asyncio.create_task(send_all(writer, GET * times))
            for _ in range(times):
                assert (await answered(reader))[1] == b"fine"
            await asking
            watching.cancel()
        return most

    # What comes with one read, and what waits when no more is read.
    assert 16 < asyncio.run(work()) <= 65_536 // len(GET) + 17


async def send_all(writer, sent):
    writer.write(sent)
    await writer.drain()


MUCH = bytes(8_000_000)


async def in_pieces(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(MUCH))]})
    for _ in range(8):
        await send({"type": "http.response.body", "body": MUCH[: len(MUCH) // 8], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def at_once(scope, receive, send):
    assert whole(scope, MUCH)


def narrow(server_port, sent=GET):
    """A connection that the system holds little for."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.connect(("127.0.0.1", server_port))
    asking.sendall(sent)
    asking.setblocking(False)
    return asking


@pytest.mark.parametrize("program", [at_once, in_pieces])
def test_who_reads_nothing_of_an_answer_is_let_go(monkeypatch, program):
    monkeypatch.setattr(running, "_KEEP_ALIVE_S", 0.2)

    async def work():
        async with served(program) as (server, _):
            asking = narrow(server.config.port)
            with asking:
                connections = server.server_state.connections
                await until(lambda: connections)
                await until(lambda: not connections)

    asyncio.run(work())


@pytest.mark.parametrize("program", [at_once, in_pieces])
def test_who_reads_slowly_has_it_all(monkeypatch, program):
    monkeypatch.setattr(running, "_KEEP_ALIVE_S", 0.2)

    async def work():
        loop = asyncio.get_running_loop()
        async with served(program) as (server, _):
            with narrow(server.config.port) as asking:
                came, began = b"", loop.time()
                while len(came) < len(MUCH):
                    if loop.time() - began < 1.5:
                        await asyncio.sleep(0.02)
                    part = await loop.sock_recv(asking, 65_536)
                    assert part, len(came)
                    came += part
                assert came.partition(b"\r\n\r\n")[2] == MUCH[: len(came.partition(b"\r\n\r\n")[2])]

    asyncio.run(work())


async def until(condition):
    end = asyncio.get_running_loop().time() + 10
    while not condition():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.02)


def test_who_leaves_is_noticed_with_requests_behind_one():
    async def work():
        left = asyncio.Event()

        async def program(scope, receive, send):
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        async with served(program) as (_, connect):
            _, writer = await connect()
            writer.write(GET * 3)
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()
            await asyncio.wait_for(left.wait(), 5)

    asyncio.run(work())


def test_who_has_come_before_the_end_is_answered():
    async def work():
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
            place = listening.getsockname()
            server = running.make_server(fine, host=place[0], port=place[1], drain_s=2, arrival_s=2)
            serving = asyncio.create_task(server.serve([listening]))
            await until(lambda: server.started)
            # The system takes them; the loop has no turn before it is told to leave.
            clients = [socket.create_connection(place) for _ in range(20)]
            for each in clients[:15]:
                each.sendall(GET)
            server.should_exit = True
            await server.shutdown([listening])
            await serving
            for each in clients[:15]:
                each.settimeout(5)
                answer = b"".join(iter(lambda each=each: each.recv(4096), b""))
                assert answer.startswith(b"HTTP/1.1 200 ")
                assert b"connection: close" in answer
            for each in clients:
                each.close()

    asyncio.run(work())
