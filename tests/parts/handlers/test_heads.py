"""Heads that are kept for the next request of a connection: never another one than the parser would have made of what came."""

import asyncio
import itertools

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.web.heads import Head
from tests.parts.handlers.test_connections import answered
from tests.parts.handlers.test_direct import Taking, offered, post

FIRST = b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Of: mine\r\n\r\nfirst"


def kept(request=FIRST, body=b"first"):
    head = Head("/a?b=c", {})
    assert head.keep(request, body)
    return head


def body_of(head, request):
    known = head.known(request)
    if known is None:
        return None
    assert known[0] is head
    return known[1]


@pytest.mark.parametrize("body", [b"", b"1", b"other", b"a" * 99_999, b"\r\n\r\nPOST / HTTP/1.1\r\n\r\n", b"\0\xff"])
def test_the_same_head_with_any_body_is_known(body):
    request = FIRST.replace(b"Length: 5", b"Length: %d" % len(body)).removesuffix(b"first") + body
    assert body_of(kept(), request) == body


@pytest.mark.parametrize(
    "other",
    [
        FIRST[:-1],
        FIRST + b"!",
        FIRST + FIRST,
        FIRST.replace(b"mine", b"mind"),
        FIRST.replace(b"X-Of", b"x-of"),
        FIRST.replace(b"/a?b=c", b"/a?b=d"),
        FIRST.replace(b"POST", b"PUT"),
        FIRST.replace(b"1.1", b"1.0"),
        FIRST.replace(b" 5\r", b" \r"),
        FIRST.replace(b" 5\r", b" +5\r"),
        FIRST.replace(b" 5\r", b" 05\r"),
        FIRST.replace(b" 5\r", b" 0x5\r"),
        FIRST.replace(b" 5\r", b" 5 \r"),
        FIRST.replace(b" 5\r", b" 5,5\r"),
        FIRST.replace(b" 5\r", b" 000005\r"),
        FIRST.replace(b" 5\r", b" 5\n\r"),
        FIRST.replace(b" 5\r\n", b" 5\r\nContent-Length: 5\r\n"),
        FIRST.replace(b" 5\r\n", b" 5\r\nTransfer-Encoding: chunked\r\n"),
        FIRST.replace(b"5" + b"\r", b"\xd9\xa5" + b"\r"),
        b"",
        b"POST",
        b"\r\n" + FIRST,
    ],
)
def test_what_differs_goes_to_the_parser(other):
    assert body_of(kept(), other) is None


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (FIRST + FIRST, b"first"),
        (FIRST + b"G", b"first"),
        (FIRST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"first"),
        (FIRST.replace(b"Content-Length: 5", b"X-Content-Length: 5"), b"first"),
        (FIRST.replace(b" 5\r", b" 6\r"), b"first"),
        (b"\r\n\r\n" + FIRST, b"first"),
    ],
)
def test_what_is_no_whole_request_of_a_told_length_is_not_kept(request_, body):
    assert not Head("/", {}).keep(request_, body)


IDS = b"POST /a HTTP/1.1\r\nX-Request-Id: one\r\nContent-Length: %d\r\nHost: a\r\nTraceParent:\tfirst\r\n\r\n%b"


@pytest.mark.parametrize("length", [0, 5, 9, 10, 99, 12_345])
def test_a_head_with_other_ids_is_known_and_has_them(length):
    head = Head("/a", {"x-request-id": "one", "host": "a", "traceparent": "first"})
    head.found = object()
    assert head.keep(IDS % (5, b"first"), b"first")
    other, body = head.known((IDS % (length, b"a" * length)).replace(b": one", b": two").replace(b"\tfirst", b"\tother"))
    assert (other.path, dict(other.headers)) == ("/a", {"x-request-id": "two", "host": "a", "traceparent": "other"})
    assert (other.found, body) == (head.found, b"a" * length)
    assert head.headers["x-request-id"] == "one"
    assert body_of(head, IDS % (length, b"a" * length)) == b"a" * length


@pytest.mark.parametrize(
    "other",
    [
        (b": one", b": o\xffe"),
        (b": one", b": o e"),
        (b": one", b": \tne"),
        (b": one", b": o\rn"),
        (b": one", b": o\nn"),
        (b": one", b": o\0e"),
        (b": one", b": four"),
        (b"Host: a", b"Host: b"),
        (b"/a ", b"/b "),
        (b"\tfirst", b"\tfirs "),
        (b"\tfirst", b"\tfirs\t"),
        (b"X-Request-Id", b"X-Request-If"),
    ],
)
def test_what_is_no_other_id_goes_to_the_parser(other):
    head = Head("/a", {})
    assert head.keep(IDS % (5, b"first"), b"first")
    assert head.known((IDS % (5, b"first")).replace(*other)) is None


class Parsed:
    def __init__(self, data):
        self.url, self.headers, self.body, self.whole = b"", [], b"", 0
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.whole = -1
        self.method = parser.get_method()

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name, value))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.whole += 1

    @property
    def others(self):
        return [(name, value) for name, value in self.headers if name.lower() != b"content-length"]


HEADS = st.sampled_from(
    [
        FIRST,
        FIRST.replace(b"Content-Length: 5", b"content-length:5"),
        FIRST.replace(b"Content-Length: 5", b"CONTENT-LENGTH: \t5  "),
        FIRST.replace(b"X-Of: mine", b"X-Of: Content-Length: 7"),
        FIRST.replace(b"Host: a\r\n", b""),
        FIRST.replace(b"X-Of: mine", b"X-Request-Id: 0af7"),
        FIRST.replace(b"Host: a", b"traceparent:00-1 "),
        FIRST.replace(b"Host: a", b"X-REQUEST-ID: \t0af7 \t").replace(b"X-Of: mine", b"x-amzn-trace-id: Root=1;a"),
        FIRST.replace(b"Host: a", b"x-request-id: 0af7").replace(b"X-Of: mine", b"x-request-id: 0af8"),
        FIRST.replace(b"X-Of: mine", b"x-request-id: two words"),
    ]
)
PIECES = [
    b"0af9",
    b"\x7f",
    b"\r\n ",
    b"x-request-id: 0af7\r\n",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"0",
    b"5",
    b"9",
    b"-",
    b":",
    b",",
    b"\0",
    b"a",
    b"Content-Length: 5\r\n",
    b"first",
]


@given(HEADS, st.lists(st.tuples(st.integers(0, 110), st.integers(0, 3), st.sampled_from(PIECES)), max_size=3))
@example(FIRST, [])
@example(FIRST.replace(b"X-Of: mine", b"X-Request-Id: 0af7"), [(FIRST.index(b"X-Of: mine") + 14, 4, b"0af9")])
def test_nothing_is_known_that_the_parser_reads_otherwise(request, changes):
    head = kept(request)
    other = request
    for place, length, piece in changes:
        other = other[:place] + piece + other[place + length :]
    known = head.known(other)
    if other == request:
        assert known == (head, b"first")
    if known is None:
        return
    told, first = Parsed(other), Parsed(request)
    assert (told.whole, told.body) == (1, known[1])
    assert (told.method, told.url) == (first.method, first.url)
    assert [name for name, _ in told.others] == [name for name, _ in first.others]
    ids = known[0].headers if known[0] is not head else {}
    assert told.others == [(name, ids.get(name.lower().decode(), value.decode()).encode()) for name, value in first.others]


def test_one_with_the_head_of_the_last_one_is_offered_by_it():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            others = post(b"third", b"X-Other: 1"), post(b"4", b"X-Other: 1")
            for sent in (post(b"first"), post(b"another"), *others, post(b"5", b"X-Request-Id: 1"), post(b"6", b"X-Request-Id: 2")):
                writer.write(b"".join(sent))
                assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"

    asyncio.run(work())
    assert [body for body, _ in take.bodies] == [b"first", b"another", b"third", b"4", b"5", b"6"]
    heads = [each.head for each in take.exchanges]
    assert [one is other for one, other in itertools.pairwise(heads)] == [True, False, True, False, False]
    assert [each.headers.get("x-request-id") for each in heads] == [None] * 4 + ["1", "2"]
    assert all(each.keep_alive for each in take.exchanges)


def test_empty_lines_between_requests_do_not_add_up():
    take = Taking()

    async def work():
        async with offered(take) as (server, connect):
            reader, writer = await connect()
            for _ in range(20):
                writer.write(b"".join(post()))
                assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"
                writer.write(b"\r\n")
                await asyncio.sleep(0.002)
            (connection,) = server.server_state.connections
            assert connection._unread_bytes <= 2

    asyncio.run(work())
    assert len({id(each.head) for each in take.exchanges}) == 1


def test_who_can_not_take_one_is_told_of_as_where_it_was_parsed():
    offers = []

    def take(exchange):
        offers.append(exchange)
        if len(offers) == 2:
            raise OSError("no room for a log")
        exchange.answer(200, {"content-length": "5"}, b"taken")
        return True

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post()))
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"
            writer.write(b"".join(post()))
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")

    asyncio.run(work())
    assert offers[0].head is offers[1].head


def test_what_is_not_taken_is_offered_once_and_answered_by_asgi():
    take = Taking(take=False)

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            for number in range(3):
                writer.write(b"".join(post(b"first"[: number + 1])))
                assert (await asyncio.wait_for(answered(reader), 5))[1] == b"fine"

    asyncio.run(work())
    assert [body for body, _ in take.bodies] == [b"f", b"fi", b"fir"]


def test_what_comes_in_parts_or_together_is_answered_as_well():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            (head, body), whole = post(), b"".join(post())
            for parts in ((whole,), (head, body), (whole + whole,), (whole + head, body), (whole[:30], whole[30:]), (whole,)):
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0.01)
                for _ in range(b"".join(parts).count(b"POST")):
                    assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"
            writer.write(whole.replace(b"/a", b"\xff"))
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")

    asyncio.run(work())
    assert [body for body, _ in take.bodies] == [b"first"] * 8


def test_who_closes_the_connection_is_not_known_again():
    take = Taking()

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post(b"first", b"Connection: close")) * 2)
            assert (await asyncio.wait_for(reader.read(), 5)).count(b"taken") == 1

    asyncio.run(work())
    assert [each.keep_alive for each in take.exchanges] == [False]


def test_a_second_one_waits_for_the_first():
    take = Taking(answer=False)

    async def work():
        async with offered(take) as (_, connect):
            reader, writer = await connect()
            writer.write(b"".join(post(b"one")))
            await asyncio.sleep(0.02)
            take.exchanges[0].answer(200, {"content-length": "5"}, b"taken")
            assert (await asyncio.wait_for(answered(reader), 5))[1] == b"taken"
            writer.write(b"".join(post(b"two")))
            await asyncio.sleep(0.02)
            writer.write(b"".join(post(b"three")))
            await asyncio.sleep(0.02)
            assert [body for body, _ in take.bodies] == [b"one", b"two"]
            take.exchanges[1].answer(200, {"content-length": "5"}, b"taken")
            assert [(await asyncio.wait_for(answered(reader), 5))[1] for _ in range(2)] == [b"taken", b"fine"]

    asyncio.run(work())
