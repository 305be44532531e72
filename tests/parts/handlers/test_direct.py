"""Short requests that are offered past ASGI: which they are, and what becomes of them."""

import asyncio
import gc
import socket
import time
import weakref
from contextlib import asynccontextmanager

import pytest

from handlers.web.exchange import SHORT_BYTES
from tests.parts.handlers.test_connections import GET, POST, answered, fine, served


class Taking:
    """Answers what it is offered, or keeps it."""

    def __init__(self, answer=True, take=True):
        self.exchanges, self._answers, self._takes = [], answer, take
        self.gone, self.bodies = asyncio.Event(), []

    def __call__(self, exchange):
        self.exchanges.append(exchange)
        self.bodies.append((exchange.body, exchange.head.headers))
        exchange.leaving = self.gone.set
        if self._takes and self._answers:
            exchange.answer(200, {"content-length": "5"}, b"taken")
        return self._takes


@asynccontextmanager
async def offered(take, program=fine):
    async with served(program, take) as (server, connect):
        yield server, connect


def asked(connect, *parts, pause_s=0.02, answers=1):
    async def work():
        reader, writer = await connect()
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_s)
        return [(await asyncio.wait_for(answered(reader), 5))[1] for _ in range(answers)]

    return work()


def post(body=b"first", *headers):
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return b"POST /a?b=c HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n" % (lines, len(body)), body


def test_a_short_post_is_offered_as_it_came():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            head, body = post(b"first", b"X-Some-Thing:  Of Mine")
            assert await asked(connect, head + body) == [b"taken"]
            # Its body a moment behind its head, and in three parts.
            assert await asked(connect, head, body, pause_s=0) == [b"taken"]
            assert await asked(connect, head[:20], head[20:] + body[:1], body[1:], pause_s=0.001) == [b"taken"]

    asyncio.run(work())
    assert {each.head.path for each in take.exchanges} == {"/a?b=c"}
    # Kept no longer than it takes to answer them.
    assert take.bodies == [(b"first", {"host": "a", "x-some-thing": "Of Mine"})] * 3


LONG = b"a" * (SHORT_BYTES + 1)
CHUNKED = POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"5\r\nfirst\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((GET,), b""),
        ((POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"first",), b"first"),
        ((b"".join(post(LONG)),), LONG),
        (post(LONG), LONG),
        ((b"".join(post(b"first", b"X-Long: " + LONG)),), b"first"),
        ((post(b"first", b"Expect: 100-continue")[0] + b"first",), b"first"),
    ],
    ids=["get", "1.0", "long body", "long body apart", "long head", "expects"],
)
def test_what_is_special_is_asgis_from_the_start(parts, body):
    take, seen = Taking(), []

    async def told(scope, receive, send):
        received, more = b"", True
        while more:
            message = await receive()
            received, more = received + message["body"], message["more_body"]
        seen.append(received)
        await fine(scope, receive, send)

    async def work():
        async with offered(take, told) as (_, connect):
            reader, writer = await connect()
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            assert b"fine" in await asyncio.wait_for(reader.readuntil(b"fine"), 5)

    asyncio.run(work())
    assert take.exchanges == []
    assert seen == [body]


UPGRADE = (b"Connection: keep-alive, Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB")


@pytest.mark.parametrize("parts", ["one", "two", "bytes"])
def test_a_wish_for_another_protocol_is_passed_over(parts):
    take = Taking()
    # A body that could be taken for a request, if it were not read as one's own.
    hidden = b"PUT /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    head, body = post(hidden, *UPGRADE)
    sent = {"one": [head + body], "two": [head, body], "bytes": [bytes([each]) for each in head + body]}[parts]

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            for again in range(2):
                for part in sent:
                    writer.write(part)
                    await asyncio.sleep(0)
                assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken", again
            # Nothing of it is left: what comes next is the next request.
            writer.write(b"".join(post(b"next")))
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"

    asyncio.run(work())
    assert take.bodies == [(hidden, {"host": "a", "connection": "keep-alive"})] * 2 + [(b"next", {"host": "a"})]


def test_requests_behind_such_a_wish_are_answered_too():
    async def work():
        async with offered(Taking()) as (_, connect):
            reader, writer = await connect()
            get = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % b"\r\n".join(UPGRADE)
            # Far more than could be told in turns that lie within each other.
            writer.write(get * 300 + CHUNKED.replace(b"Host: a", b"Host: a\r\n" + b"\r\n".join(UPGRADE)) + get)
            bodies = [(await asyncio.wait_for(answered(reader), 5))[1] for _ in range(302)]
            assert bodies == [b"fine"] * 302

    asyncio.run(work())


def test_a_body_in_chunks_is_offered_too():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            assert await asked(connect, CHUNKED) == [b"taken"]

    asyncio.run(work())
    assert take.bodies[0][0] == b"first"


def test_what_is_not_taken_becomes_asgis_as_it_came():
    take, seen = Taking(take=False), []

    async def told(scope, receive, send):
        seen.append((scope["method"], scope["path"], scope["query_string"], scope["headers"], await receive()))
        await fine(scope, receive, send)

    async def work():
        async with offered(take, told) as (_, connect):
            head, body = post(b"first", b"X-Thing: 1")
            assert await asked(connect, head + body) == [b"fine"]

    asyncio.run(work())
    headers = [(b"host", b"a"), (b"x-thing", b"1"), (b"content-length", b"5")]
    assert seen == [("POST", "/a", b"b=c", headers, {"type": "http.request", "body": b"first", "more_body": False})]


def test_a_body_that_does_not_come_soon_is_waited_for_by_asgi():
    take, began = Taking(), []

    async def told(scope, receive, send):
        began.append(time.monotonic())
        message = await receive()
        while message["more_body"]:
            message = await receive()
        await fine(scope, receive, send)

    async def work():
        async with offered(take, told) as (_, connect):
            head, body = post()
            sent = time.monotonic()
            assert await asked(connect, head + body[:1], body[1:], pause_s=0.4) == [b"fine"]
            assert 0.03 < began[0] - sent < 0.3

    asyncio.run(work())
    assert take.exchanges == []


def test_answers_keep_their_order_where_requests_are_piped():
    take = Taking(answer=False)

    async def told(scope, receive, send):
        await receive()
        await fine(scope, receive, send)

    async def work():
        async with offered(take, told) as (_, connect):
            request = b"".join(post())
            later = asyncio.create_task(asked(connect, request * 3, answers=3))
            while not take.exchanges:  # noqa: ASYNC110  (what the server is offered makes no event here)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert len(take.exchanges) == 1
            take.exchanges[0].answer(200, {"content-length": "5"}, b"taken")
            assert await later == [b"taken", b"fine", b"fine"]

    asyncio.run(work())


@pytest.mark.parametrize("behind", [b"", GET], ids=["alone", "another behind it"])
def test_who_took_it_hears_that_the_client_leaves(behind):
    async def work():
        take = Taking(answer=False)
        async with offered(take) as (_, connect):
            _, writer = await connect()
            writer.write(b"".join(post()) + behind)
            await asyncio.sleep(0.1)
            assert not take.gone.is_set()
            writer.transport.abort()
            await asyncio.wait_for(take.gone.wait(), 5)
            # To nobody.
            (exchange,) = take.exchanges
            exchange.answer(200, {"content-length": "5"}, b"taken")

    asyncio.run(work())


def test_a_client_that_leaves_in_the_middle_is_asgis():
    seen = []

    async def told(scope, receive, send):
        message = await receive()
        while message["type"] == "http.request":
            message = await receive()
        seen.append(message["type"])

    async def work():
        async with offered(Taking(), told) as (_, connect):
            _, writer = await connect()
            writer.write(post()[0])
            await asyncio.sleep(0.01)
            writer.transport.abort()
            await asyncio.sleep(0.1)

    asyncio.run(work())
    assert seen == ["http.disconnect"]


def test_bytes_that_are_no_http_behind_a_head_are_refused_once():
    seen, take = [], Taking()

    async def told(scope, receive, send):
        seen.append(scope)

    async def work():
        async with offered(take, told) as (_, connect):
            reader, writer = await connect()
            writer.write(CHUNKED.replace(b"5\r\nfirst", b"what"))
            received = await asyncio.wait_for(reader.read(), 5)
            assert received.startswith(b"HTTP/1.1 400 ")
            assert received.count(b"HTTP/1.1 400 ") == 1

    asyncio.run(work())
    assert (seen, take.exchanges) == ([], [])


def test_a_server_without_time_tells_who_took_it():
    take, ended = Taking(answer=False), []

    async def work():
        async with offered(take) as (server, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            while not take.exchanges:  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.01)
            (exchange,) = take.exchanges

            def end():
                ended.append(time.monotonic())
                exchange.answer(503, {"content-length": "5"}, b"ended")

            exchange.ending = end
            server.should_exit = True
            head, body = await asyncio.wait_for(answered(reader), 8)
            assert (body, b"connection: close" in head) == (b"ended", True)
            assert await asyncio.wait_for(reader.read(), 5) == b""

    asyncio.run(work())
    assert len(ended) == 1


def test_nothing_of_one_waits_for_the_garbage_collector():
    seen = []

    class Noted(dict):
        """A dict that can be watched."""

    def take(exchange):
        exchange.body = Noted()
        seen.append(weakref.ref(exchange.body))

        def leaving():
            return exchange

        exchange.leaving = exchange.ending = leaving
        if len(seen) < 3:
            exchange.answer(200, {"content-length": "5"}, b"taken")
        return True

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            for _ in range(2):
                writer.write(b"".join(post()))
                await asyncio.wait_for(answered(reader), 5)
            writer.write(b"".join(post()))
            await asyncio.sleep(0.05)
            # The first is replaced on its connection, the last one's client leaves.
            assert [noted() is None for noted in seen[:2]] == [True, True]
            writer.transport.abort()
            await asyncio.sleep(0.05)
            assert seen[2]() is None

    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()


def test_trailers_are_not_of_the_head():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            parts = CHUNKED.replace(b"0\r\n\r\n", b"0\r\nX-Request-Id: other\r\n\r\n").partition(b"5\r\nfirst")
            assert await asked(connect, parts[0], b"".join(parts[1:]), pause_s=0.001) == [b"taken"]

    asyncio.run(work())
    assert take.bodies == [(b"first", {"host": "a", "transfer-encoding": "chunked"})]


@pytest.mark.parametrize("target", [b"http://host", b"http://a:99999/x"])
def test_a_target_that_is_none_is_refused_at_once_also_before_its_body(target):
    async def work():
        async with offered(Taking()) as (server, connect):
            reader, writer = await connect()
            writer.write(post()[0].replace(b"/a?b=c", target))
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
            writer.close()
            await asyncio.sleep(0.05)
            assert not server.server_state.connections

    asyncio.run(work())


def test_what_comes_behind_one_that_takes_long_is_not_read_without_end():
    take = Taking(answer=False)

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()) + POST.replace(b"5", b"99999999"))
            await asyncio.sleep(0.05)
            sent = 0
            while sent < 60:
                writer.write(b"a" * 1_000_000)
                try:
                    await asyncio.wait_for(writer.drain(), 0.5)
                except TimeoutError:
                    break
                sent += 1
            # What the kernel holds for both ends is far below.
            assert sent < 30
            assert len(take.exchanges) == 1
            take.exchanges[0].answer(200, {"content-length": "5"}, b"taken")
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"
            writer.transport.abort()

    asyncio.run(work())


def test_one_is_answered_also_where_what_is_before_it_is_not_read_yet():
    take, size = Taking(answer=False), 8_000_000

    async def large(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"y" * size})

    async def work():
        async with offered(take, large) as (server, _):
            # What the kernel takes of an answer that nobody reads, it takes by this.
            narrow = socket.socket()
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            narrow.connect(("127.0.0.1", server.config.port))
            reader, writer = await asyncio.open_connection(sock=narrow)
            writer.write(GET)
            await asyncio.sleep(0.2)
            (connection,) = server.server_state.connections
            # As when it pauses between the look at it and the answer.
            connection.flow.write_paused, paused = False, connection.flow.write_paused
            assert paused
            writer.write(b"".join(post()))
            await asyncio.sleep(0.1)
            connection.flow.write_paused = True
            take.exchanges[0].answer(200, {"content-length": "5"}, b"taken")
            assert len((await asyncio.wait_for(answered(reader), 5))[1]) == size
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"

    asyncio.run(work())


def test_a_connection_without_a_request_keeps_nothing_of_the_last_one_but_its_head():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            assert await asked(connect, b"".join(post())) == [b"taken"]
            assert (take.exchanges[0].body, take.exchanges[0].connection) == (b"", None)

    asyncio.run(work())
