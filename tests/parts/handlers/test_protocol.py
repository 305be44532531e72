"""What comes on a connection before, behind and instead of a request: bounded in bytes and in time, refused with a document."""

import json
import socket
import time

import pytest

from tests.parts.handlers.test_server_refusals import HEAD, raw

GET = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


def problem(received):
    """Status and name of an answer that closes its connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head, received[:300]
    assert b"connection: close" in head
    told = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {told['status']} ".encode())
    return told["status"], told["type"].removeprefix("urn:pilotlight:problem:")


def flooded(server, *parts):
    """What comes back, once these are sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


FLOODS = {
    "one header": (GET + b"x: ", *[b"a" * 50_000] * 40),
    "many headers": (GET, *[b"x: y\r\n" * 8000] * 40),
    "a path": (b"GET /", *[b"a" * 50_000] * 40),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", *[b"x: y\r\n" * 8000] * 40),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nx: ", *[b"a" * 50_000] * 40),
    "a chunk's extension": (CHUNKED + b"2;x=", *[b"a" * 50_000] * 40),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_what_has_no_end_is_refused_long_before_it_fills_the_memory(server, flood):
    assert problem(flooded(server, *FLOODS[flood])) == (431, "headers-too-large")
    lines = [line for line in server.log.splitlines() if "connection_refused" in line]
    assert '"status":431' in lines[-1]
    assert server.client.get("/ping").status_code == 200


def test_trailers_that_pause_where_the_request_becomes_asgis_are_counted_on(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(CHUNKED + b"2\r\n{}\r\n0\r\nx: ")
        time.sleep(0.01)
        connection.sendall(b"a" * 120_000)
        # Longer than a body behind its head is waited for.
        time.sleep(0.3)
        connection.sendall(b"a" * 80_000)
        assert problem(connection.recv(65_536)) == (431, "headers-too-large")


@pytest.mark.parametrize("start", [b"G", GET + b"x-a: "], ids=["method", "header"])
def test_a_head_that_does_not_come_in_time_is_refused(server, start):
    started = time.monotonic()
    received = raw(server, start)
    assert problem(received) == (408, "headers-too-slow")
    assert time.monotonic() - started < 5


def test_many_who_are_slow_keep_nobody_waiting_and_are_gone_soon(server):
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(GET + b"x-a: ")
        started = time.monotonic()
        assert server.predict({"inputs": "cold"}).status_code == 200
        assert time.monotonic() - started < 1
        assert all(connection.recv(65_536).startswith(b"HTTP/1.1 408 ") for connection in slow)
    finally:
        for connection in slow:
            connection.close()


def test_a_connection_that_is_kept_may_rest_between_requests(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for _ in range(2):
            time.sleep(0.7)
            connection.sendall(GET + b"\r\n")
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65_536)
            assert received.startswith(b"HTTP/1.1 200 ")


def test_head_and_body_of_an_answer_leave_as_one(server):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65_536).endswith(b'\r\n\r\n{"status":"alive"}')


def test_requests_behind_each_other_are_answered_in_order(server):
    body = b'{"inputs": "cold"}'
    predict = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    received = raw(server, predict + GET + b"\r\n" + predict + GET + b"Connection: close\r\n\r\n")
    answers = received.split(b"HTTP/1.1 200 OK")[1:]
    assert [b'"outputs"' in answer for answer in answers] == [True, False, True, False]


def test_thousands_behind_each_other_are_all_answered(server):
    received = raw(server, (GET + b"\r\n") * 2000 + GET + b"Connection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK") == 2001


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: identity\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\x0bchunked",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: 0x5",
        b"Content-Length : 5",
        b"Content-Length: 5\r\n ",
        b"Content-Length:\x00 5",
        b"Content-Length: 99999999999999999999",
    ],
    ids=str,
)
def test_a_length_that_two_readers_could_take_for_another_ends_the_connection(server, head):
    received = raw(server, HEAD + head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    assert problem(received) == (400, "request-malformed")
    assert received.count(b"HTTP/1.1 ") == 1, "what is behind it is not read"


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nhOST: a\r\n"], ids=str)
@pytest.mark.parametrize("line", [b"GET /ping", b"POST /predict"], ids=str)
def test_a_request_names_its_host_once(server, line, hosts):
    received = raw(server, line + b" HTTP/1.1\r\n" + hosts + b"Content-Length: 0\r\n\r\n" + SMUGGLED)
    assert problem(received) == (400, "request-malformed")
    assert b"has one header Host: this one has %d." % hosts.count(b"\n") in received
    assert received.count(b"HTTP/1.1 ") == 1, "what is behind it is not read"


def test_who_named_its_host_before_names_it_again(server):
    """The head of the request before is known."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for head in (HEAD, HEAD, HEAD.replace(b"Host: a\r\n", b"")):
            connection.sendall(head + b"Content-Length: 2\r\n\r\n{}")
            received = connection.recv(65_536)
            assert b"has one header Host" in received if head != HEAD else received.startswith(b"HTTP/1.1 422 "), received


def test_before_http_1_1_a_request_may_name_no_host(server):
    assert raw(server, b"GET /ping HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("line", [b"GET /ping HTTP/9.9", b"GET http://[ HTTP/1.1", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0"], ids=str)
def test_what_is_no_request_gets_a_document(server, line):
    assert problem(raw(server, line + b"\r\nHost: a\r\n\r\n"))[0] == 400
