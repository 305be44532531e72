"""Answers that leave by another thread than the loop's: one for each request, in order, whatever the loop does meanwhile."""

import asyncio
import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.web import running, taking
from handlers.web.exchange import Sooner as Sent
from tests.parts.handlers.test_connections import GET, answered, fine
from tests.parts.handlers.test_direct import offered, post

LINES = b"content-length: 5\r\n"
ANSWER = {"content-length": "5"}
PLENTY_S = 10


class Sooner:
    """Answers what it is offered from a thread of its own, after it was told to where it waits for that."""

    def __init__(self, *, waits=False, body=b"taken"):
        self.exchanges, self.sent, self.settled, self.counted = [], [], [], []
        self.gone = threading.Event()
        self.go_on, self.body = threading.Event(), body
        self.came = asyncio.Event()
        if not waits:
            self.go_on.set()
        self._pool = ThreadPoolExecutor(1)

    def __call__(self, exchange):
        self.exchanges.append(exchange)
        exchange.leaving = self.gone.set
        self.came.set()
        self._pool.submit(self._answer, exchange)
        return True

    def _answer(self, exchange):
        self.go_on.wait(PLENTY_S)
        self.sent.append(self.sooner(exchange))
        if not self.sent[-1]:
            exchange.connection and exchange.connection.loop.call_soon_threadsafe(exchange.answer, 200, ANSWER, b"later")

    def sooner(self, exchange):
        lines = b"content-length: %d\r\n" % len(self.body)
        counted, settled = self.counted.append, self.settled.append
        return exchange.answer_sooner(Sent(200, lines, self.body, lambda: counted(exchange), lambda: settled(exchange)))

    async def done(self, count=1):
        end = time.monotonic() + PLENTY_S
        # Looked at: what it waits for happens in another thread.
        while len(self.sent) < count and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert len(self.sent) == count


async def read(reader):
    return (await asyncio.wait_for(answered(reader), PLENTY_S))[1]


def test_a_lone_client_is_answered_as_often_as_it_asks():
    async def work():
        take = Sooner()
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            for count in range(200):
                writer.write(b"".join(post(b"%d" % count)))
                assert await read(reader) == b"taken"
        assert take.sent == [True] * 200
        # The loop did its part of each, the last one's when the connection ended.
        assert take.settled == take.counted == take.exchanges
        assert [each.connection for each in take.exchanges] == [None] * 200
        assert [each.body for each in take.exchanges] == [b""] * 200

    asyncio.run(work())


def test_where_there_is_another_connection_the_loop_settles_what_it_answers_itself():
    async def work():
        take = Sooner(waits=True)
        async with offered(take) as (_, connect):
            (reader, writer), _ = await connect(), await connect()
            await asyncio.sleep(0.05)
            writer.write(b"".join(post()))
            await take.came.wait()
            (exchange,) = take.exchanges
            assert not exchange.alone
            exchange.answer(200, ANSWER, b"loops")
            assert await read(reader) == b"loops"
            take.go_on.set()
            await take.done()
            assert take.sent == [False]

    asyncio.run(work())


def test_where_there_is_another_connection_no_other_thread_answers():
    """Of which the loop would not know: whatever comes behind it would wait for ever."""

    async def work():
        take = Sooner()
        async with offered(take) as (_, connect):
            (reader, writer), other = await connect(), await connect()
            await asyncio.sleep(0.05)
            for _ in range(3):
                writer.write(b"".join(post()))
                assert await read(reader) == b"later"
            other[1].close()
        assert take.sent == [False] * 3

    asyncio.run(work())


@pytest.mark.parametrize("sent_first", [True, False])
@pytest.mark.parametrize("behind", [b"".join(post(b"again")), GET, GET[:9]], ids=["another", "one of ASGI's", "a part"])
def test_what_comes_behind_it_is_answered_after_it(sent_first, behind):
    async def work():
        take = Sooner(waits=not sent_first)

        async def program(scope, receive, send):
            await fine(scope, receive, send)

        async with offered(take, program) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            if sent_first:
                await take.done()
            writer.write(behind)
            await asyncio.sleep(0.05)
            take.go_on.set()
            assert await read(reader) in (b"taken", b"later")
            if behind == GET[:9]:
                writer.write(GET[9:])
            assert await read(reader) in (b"taken", b"later", b"fine")
            await asyncio.sleep(0.01)
            assert not reader._buffer

    asyncio.run(work())


def test_what_does_not_fit_into_the_socket_is_sent_by_the_loop():
    async def work():
        take = Sooner(body=bytes(30_000_000))
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.done()
            assert await read(reader) == bytes(30_000_000)
            # The loop was woken for it, and keeps none of it.
            assert take.settled == take.exchanges
            assert take.exchanges[0].rest == b""
            take.body = b"taken"
            writer.write(b"".join(post()))
            assert await read(reader) == b"taken"

    asyncio.run(work())


def test_who_leaves_before_it_is_noted_and_who_leaves_behind_it_is_not():
    async def work():
        take = Sooner(waits=True)
        async with offered(take) as (_, connect):
            _, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            writer.transport.abort()
            assert await asyncio.to_thread(take.gone.wait, PLENTY_S)
            take.go_on.set()
            await take.done()
            assert (take.sent, take.settled) == ([False], [])
            take.gone.clear()
            reader, writer = await connect()
            writer.write(b"".join(post()))
            assert await read(reader) == b"taken"
            writer.transport.abort()
            await asyncio.sleep(0.1)
            assert not take.gone.is_set()
            assert take.settled == take.exchanges[1:]

    asyncio.run(work())


def test_a_socket_that_is_closed_is_never_written_to(monkeypatch):
    """Its number may be another connection's by then, whose client would read what is none of its business."""
    written = []
    write = os.write

    def noted(descriptor, data):
        written.append(descriptor)
        return write(descriptor, data)

    async def work():
        take = Sooner(waits=True)
        async with offered(take) as (_, connect):
            _, writer = await connect()
            writer.write(b"".join(post(b"secret")))
            await take.came.wait()
            writer.transport.abort()
            assert await asyncio.to_thread(take.gone.wait, PLENTY_S)
            await asyncio.sleep(0.05)
            reader, writer = await connect()
            await asyncio.sleep(0.05)
            monkeypatch.setattr(taking.os, "write", noted)
            take.go_on.set()
            await take.done()
            # Its own reference to the connection is gone, and even by the connection itself nothing is sent.
            (exchange,) = take.exchanges
            assert exchange.connection is None
            assert written == []
            writer.write(GET)
            assert await read(reader) == b"fine"

    asyncio.run(work())


def test_the_loop_and_a_thread_never_both_answer():
    """A time that is over, and a model that is done, in the same moment."""

    async def work():
        answers = []

        class Both(Sooner):
            def __call__(self, exchange):
                self.exchanges.append(exchange)
                barrier = threading.Barrier(2)

                def there():
                    barrier.wait()
                    time.sleep(random.random() / 5000)
                    answers.append(self.sooner(exchange))

                def here():
                    barrier.wait()
                    exchange.answer(200, ANSWER, b"loops")

                self._pool.submit(there)
                asyncio.get_running_loop().call_soon(here)
                return True

        take = Both()
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            heard = []
            for _ in range(300):
                writer.write(b"".join(post()))
                heard.append(await read(reader))
            await asyncio.sleep(0.05)
            assert not reader._buffer
            assert [each == b"taken" for each in heard] == answers

    asyncio.run(work())


@pytest.fixture
def slow_write(monkeypatch):
    """The moment of a send, made long: what is called in its middle, with the number of the socket."""
    write, middle = os.write, []

    def slowly(descriptor, data):
        if data.startswith(b"HTTP/1.1 "):
            for each in middle:
                each(descriptor)
            time.sleep(0.1)
        return write(descriptor, data)

    monkeypatch.setattr(taking.os, "write", slowly)
    return middle


def test_an_answer_of_the_loops_in_the_middle_of_a_send_is_none(slow_write):
    async def work():
        take = Sooner()
        async with offered(take) as (_, connect):
            loop = asyncio.get_running_loop()
            slow_write.append(lambda _: loop.call_soon_threadsafe(take.exchanges[0].answer, 504, ANSWER, b"loops"))
            reader, writer = await connect()
            writer.write(b"".join(post()))
            assert await read(reader) == b"taken"
            await asyncio.sleep(0.2)
            assert not reader._buffer
            writer.write(GET)
            assert await read(reader) == b"fine"

    asyncio.run(work())


def test_a_client_that_leaves_in_the_middle_of_a_send_leaves_its_socket_open_until_its_end(slow_write):
    async def work():
        take, seen = Sooner(), []
        async with offered(take) as (_, connect):
            loop = asyncio.get_running_loop()
            _, writer = await connect()

            def middle(descriptor):
                # Counted before anybody can ask for the figures.
                assert take.counted == take.exchanges
                before = os.fstat(descriptor).st_ino
                loop.call_soon_threadsafe(writer.transport.abort)
                time.sleep(0.1)
                seen.append(os.fstat(descriptor).st_ino == before)

            slow_write.append(middle)
            writer.write(b"".join(post()))
            await take.done()
            assert seen == [True]

    asyncio.run(work())


def test_what_comes_in_the_moment_before_a_send_is_answered_too(monkeypatch):
    """The loop reads it, and has not made a request of it yet when the answer to the one before leaves."""
    began = taking.TakingHttp.on_message_begin

    async def work():
        take = Sooner(waits=True)

        def begin(connection):
            if take.exchanges:
                take.go_on.set()
                end = time.monotonic() + PLENTY_S
                while not take.sent and time.monotonic() < end:
                    time.sleep(0.001)
            began(connection)

        monkeypatch.setattr(taking.TakingHttp, "on_message_begin", begin)
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            writer.write(GET)
            assert await read(reader) == b"taken"
            assert await read(reader) == b"fine"
            assert take.sent == [True]

    asyncio.run(work())


NO_HTTP = b"\0\0 what is this\r\n\r\n"


def statuses(received):
    return re.findall(rb"HTTP/1\.1 (\d+) ", received)


# Another thread answers a lone client only.
@pytest.mark.parametrize(("sent_first", "connections"), [(True, 1), (False, 1), (False, 2)])
def test_bytes_that_are_no_http_behind_one_are_refused_behind_its_answer_and_end_the_connection(sent_first, connections):
    async def work():
        take = Sooner(waits=not sent_first)
        async with offered(take) as (_, connect):
            others = [await connect() for _ in range(connections - 1)]
            await asyncio.sleep(0.05)
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            if sent_first:
                await take.done()
            writer.write(NO_HTTP)
            await asyncio.sleep(0.05)
            # What comes behind is nobody's.
            writer.write(GET + b"".join(post()))
            await asyncio.sleep(0.05)
            assert not take.gone.is_set()
            take.go_on.set()
            await take.done()
            received = await asyncio.wait_for(reader.read(), PLENTY_S)
            assert statuses(received) == [b"200", b"400"]
            assert (take.sent, len(others)) == ([sent_first], connections - 1)
            assert len(take.exchanges) == 1

    asyncio.run(work())


def test_so_they_are_behind_several_and_behind_one_whose_body_is_broken():
    broken = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nthis is no length\r\n"

    async def work(behind):
        take, began = Sooner(waits=True), []

        async def program(scope, receive, send):
            began.append(scope)
            await fine(scope, receive, send)

        async with offered(take, program) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            writer.write(GET + GET + behind)
            await asyncio.sleep(0.05)
            take.go_on.set()
            received = await asyncio.wait_for(reader.read(), PLENTY_S)
            assert statuses(received) == [b"200", b"200", b"200", b"400"]
            # What is broken is nobody's to answer.
            assert len(began) == 2

    asyncio.run(work(NO_HTTP))
    asyncio.run(work(broken))
    asyncio.run(work(broken + NO_HTTP))


def test_an_answer_that_begins_in_the_moment_of_a_refusal_is_sent_to_its_end(monkeypatch):
    settle, released = taking.TakingHttp._settle, taking.TakingHttp._released

    async def work():
        take, refusing = Sooner(waits=True, body=bytes(30_000_000)), []

        def releasing(connection):
            refusing.append(True)
            return released(connection)

        def settled(connection):
            settle(connection)
            if refusing and not take.sent:
                take.go_on.set()
                end = time.monotonic() + PLENTY_S
                while not take.sent and time.monotonic() < end:
                    time.sleep(0.001)

        monkeypatch.setattr(taking.TakingHttp, "_released", releasing)
        monkeypatch.setattr(taking.TakingHttp, "_settle", settled)
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            refusing.clear()
            writer.write(NO_HTTP)
            received = await asyncio.wait_for(reader.read(), PLENTY_S)
            assert take.sent == [True]
            assert statuses(received) == [b"200", b"400"]
            assert received.partition(b"\r\n\r\n")[2].startswith(bytes(30_000_000) + b"HTTP/1.1 400 ")

    asyncio.run(work())


def test_a_connection_is_kept_for_its_time_from_when_the_answer_left(monkeypatch):
    monkeypatch.setattr(running, "_KEEP_ALIVE_S", 0.6)

    async def work():
        async with offered(Sooner()) as (_, connect):
            reader, writer = await connect()
            await asyncio.sleep(0.3)
            writer.write(b"".join(post()))
            assert await read(reader) == b"taken"
            left = time.monotonic()
            assert await asyncio.wait_for(reader.read(), PLENTY_S) == b""
            assert 0.55 <= time.monotonic() - left < 0.8

    asyncio.run(work())


def test_a_head_that_does_not_end_behind_one_is_refused_in_its_time():
    async def work():
        async with offered(Sooner()) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            assert await read(reader) == b"taken"
            began = time.monotonic()
            writer.write(GET[:10])
            received = await asyncio.wait_for(reader.read(), PLENTY_S)
            assert received.startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - began < 3.5

    asyncio.run(work())


def test_so_is_one_that_began_before_it_was_answered():
    async def work():
        take = Sooner(waits=True)
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            writer.write(GET[:10])
            await asyncio.sleep(0.05)
            take.go_on.set()
            assert await read(reader) == b"taken"
            assert (await asyncio.wait_for(reader.read(), PLENTY_S)).startswith(b"HTTP/1.1 408 ")

    asyncio.run(work())


@pytest.mark.parametrize("sent_first", [True, False])
def test_a_server_that_leaves_answers_and_ends(sent_first):
    async def work():
        take = Sooner(waits=not sent_first)
        async with offered(take) as (server, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            await take.came.wait()
            if sent_first:
                await take.done()
            began = time.monotonic()
            server.should_exit = True
            await asyncio.sleep(0.3)
            take.go_on.set()
            head, body = await asyncio.wait_for(answered(reader), PLENTY_S)
            # What left before was not to know.
            assert (body, b"connection: close" in head) == ((b"taken", False) if sent_first else (b"later", True))
            assert await asyncio.wait_for(reader.read(), PLENTY_S) == b""
            # Long before the end of the drain.
            assert time.monotonic() - began < running._LINGER_S + 0.6

    asyncio.run(work())


def test_whatever_comes_in_whatever_order_each_request_has_one_answer():
    """One client after the other, which asks, pipes, pauses and leaves at random."""
    chance = random.Random(7)

    async def program(scope, receive, send):
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        await fine(scope, receive, send)

    async def work():
        take = Sooner()
        async with offered(take, program) as (_, connect):
            for _ in range(120):
                reader, writer = await connect()
                due = 0
                for _ in range(chance.randrange(1, 12)):
                    request = b"".join(post(b"a" * chance.randrange(1, 40))) if chance.random() < 0.8 else GET
                    cut = chance.randrange(1, len(request)) if chance.random() < 0.3 else len(request)
                    writer.write(request[:cut])
                    if cut < len(request):
                        await asyncio.sleep(chance.random() / 500)
                        writer.write(request[cut:])
                    due += 1
                    while due and chance.random() < 0.6:
                        assert await read(reader) in (b"taken", b"later", b"fine")
                        due -= 1
                if chance.random() < 0.2:
                    writer.transport.abort()
                    continue
                while due:
                    assert await read(reader) in (b"taken", b"later", b"fine")
                    due -= 1
                assert not reader._buffer
                writer.close()
        assert sum(take.sent) > 200

    asyncio.run(work())
