"""Requests past ASGI and through it: nobody can tell from an answer, a line of the log or a figure which way one went."""

import json
import re
import socket
import time

import pytest

from tests.parts.handlers.contracts.conftest import NAME
from tests.parts.handlers.processes import running

LEFT = "x-request-timeout-ms"
TRACE = "00-11111111111111111111111111111111-2222222222222222-01"


def send(client, head, body, pause_s):
    if pause_s:
        client.sendall(head)
        time.sleep(pause_s)
        client.sendall(body)
    else:
        client.sendall(head + body)


def answers(server, head, body, late_s):
    """The same request, once more on its connection where that is kept, and with its body so long behind: status, headers and body of each,
    and whether it came whole."""
    found = []
    for pause_s, times in ((0, 2), (late_s, 1)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.settimeout(10)
            reader = client.makefile("rb")
            for _ in range(times):
                send(client, head, body, pause_s)
                status = int(reader.readline().split()[1])
                headers = dict(line.decode().rstrip("\r\n").split(": ", 1) for line in iter(reader.readline, b"\r\n"))
                found.append((status, headers, reader.read(int(headers["content-length"])), not pause_s or not body))
                if headers.get("connection") == "close":
                    break
    return found


def requests():
    """Path, headers and body of requests that go past ASGI where they come whole, and of such that don't."""
    good, vectors = b'{"inputs": "cold"}', json.dumps({"input": "cold", "model": NAME}).encode()
    for body in (good, b'{"inputs": ["cold", "warm"], "parameters": {}}', b' {"inputs": "\\u00e4"}\n'):
        yield True, "/predict", {}, body
    # Who is read is taken, whatever the model says of it.
    yield True, "/predict", {}, b'{"inputs": "a", "parameters": {"no": 1}}'
    yield True, "/predict", {"x-request-id": "mine"}, good
    yield True, "/predict", {"traceparent": TRACE}, good
    yield True, "/predict", {LEFT: "5000"}, good
    yield True, "/predict", {LEFT: "0"}, good
    yield True, "/predict", {"content-type": "text/csv", "accept": "text/csv"}, b"cold\nwarm\n"
    yield True, "/predict", {"accept": "application/x-npy"}, good
    # Two lines of it each.
    yield True, "/predict", {"accept": "application/x-npy\r\nAccept: text/html"}, good
    yield True, "/predict", {"accept": "application/json;q=0.5\r\nAccept: application/x-npy"}, good
    yield True, "/predict", {"x-request-id": "first\r\nX-Request-Id: mine"}, good
    yield True, "/invocations", {"x-amzn-sagemaker-custom-attributes": "request-id=mine;timeout-ms=4000"}, good
    yield True, "/", {}, good
    yield True, "/", {}, b'{"inputs": "cold", "normalize": true}'
    yield True, "/v1/embeddings", {}, vectors
    yield True, "/v1/embeddings", {}, vectors.replace(NAME.encode(), b"another")
    for body in (
        b"",
        b"{",
        b'"cold"',
        b'{"inputs": 1}',
        b'{"inputs": "a", "b": 1}',
        b'{"inputs": NaN}',
        b"\xff",
        b'{"inputs": []}',
        b"[" * 9000,
    ):
        yield False, "/predict", {}, body
    yield False, "/predict", {}, json.dumps({"inputs": ["cold"] * 9}).encode()
    yield False, "/predict", {"traceparent": TRACE}, b"{"
    yield False, "/predict", {LEFT: "soon"}, good
    yield False, "/predict", {"content-type": "text/html"}, good
    yield False, "/predict", {"accept": "text/html"}, good
    yield False, "/predict", {"accept": "text/html\r\nAccept: image/png"}, good
    yield False, "/predict", {"content-type": "application/json\r\nContent-Type: application/json"}, good
    yield False, "/predict", {"content-encoding": "gzip"}, good
    yield False, "/predict?a=b", {}, good
    yield False, "/pre%64ict", {}, good
    yield False, "/nothing", {}, good
    yield False, "/invocations", {"x-amzn-sagemaker-custom-attributes": "ping=0.1;request-id=mine"}, b'{"inputs": "ping"}'
    yield False, "/", {"content-type": "image/png"}, b"no image"
    yield False, "/", {}, b'{"inputs": "cold", "stream": true}'
    yield False, "/v1/completions", {}, b'{"model": "a", "prompt": "b", "stream": true}'
    yield False, "/score", {}, b'{"inputs": "cold"}'


OWN = {"date", "x-request-id", "x-ms-request-id"}
LINE_OWN = {"timestamp", "ms", "request_id", "_aws"}


@pytest.fixture(scope="module")
def told(sentences, workshop):
    with running(workshop, module=("tests.parts.handlers.watched_server",), MODEL_DIR=str(sentences), MAX_INPUTS="8") as started:
        # Its answer tells of the cold start.
        assert started.predict({"inputs": "cold"}).status_code == 200
        yield started


@pytest.mark.parametrize("place", range(len(list(requests()))))
def test_both_ways_answer_and_log_the_same(told, place):
    taken, path, headers, body = list(requests())[place]
    lines = "".join(f"{name}: {value}\r\n" for name, value in ({"content-type": "application/json"} | headers).items())
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    # The last of them has not come whole in time, so that nobody was asked, unless it has no body. A server that had no processor for as
    # long has it whole as well: then once more, later.
    for late_s in (0.08, 0.5, 2.0):
        before = len(told.log)
        found = answers(told, head, body, late_s)
        ways = [json.loads(line)["taken"] for line in told.log[before:].split("\n") if '"way"' in line]
        if len(ways) == sum(whole for *_, whole in found):
            break
    assert ways == [taken] * sum(whole for *_, whole in found)
    ids = [headers["x-request-id"] for _, headers, *_ in found]
    assert len({status for status, *_ in found}) == 1
    assert same({name: value for name, value in headers.items() if name not in OWN} for _, headers, *_ in found)
    assert same(re.sub(re.escape(own).encode(), b"ID", content) for own, (_, _, content, _) in zip(ids, found, strict=True))
    logged = lines_of(told, before, *ids, count=len(found))
    assert len(logged) == len(found)
    assert same({name: value for name, value in line.items() if name not in LINE_OWN} for line in logged)


def same(each):
    first, *others = each
    return all(other == first for other in others)


def lines_of(told, before, *ids, count):
    """Their lines, which are written after the answers."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        logged = [json.loads(line) for line in told.log[before:].split("\n")[:-1]]
        found = [line for line in logged if line.get("request_id") in ids]
        if len(found) >= count:
            return found
        time.sleep(0.01)
    raise AssertionError(told.log[before:])


def test_both_ways_count_the_same(told):
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\n"

    def counted():
        rows = (line.rpartition(" ") for line in told.client.get("/metrics").text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    with socket.create_connection(("127.0.0.1", told.port)) as client:
        grown = []
        for pause_s in (0.0, 0.1):
            before = counted()
            for body in (b'{"inputs": "cold"}', b'{"inputs": "cold" '):
                send(client, head, body, pause_s)
                assert client.recv(65_536)
            after = counted()
            # How many lay below a bound, and sums, are of seconds.
            grown.append({name: after[name] - before[name] for name in after if "_sum" not in name and "_bucket" not in name})
    assert grown[0] == grown[1]
    assert grown[0]['pilotlight_answers_total{status="200"}'] >= 1


def test_the_time_of_one_runs_from_its_headers(told):
    body, before = b'{"inputs": "cold"}', len(told.log)
    with socket.create_connection(("127.0.0.1", told.port)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nX-Request-Id: late\r\nX-Request-Timeout-Ms: 20\r\nContent-Length: 18\r\n\r\n")
        # Within what is waited for a body, and beyond what its caller has.
        time.sleep(0.03)
        client.sendall(body)
        assert client.recv(65_536).startswith(b"HTTP/1.1 504 ")
    (line,) = lines_of(told, before, "late", count=1)
    assert line["ms"] >= 25
