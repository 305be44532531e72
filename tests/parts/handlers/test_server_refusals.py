"""What the model server does with bad input and bad clients: a documented problem, never a 500, and it stays up."""

import json
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parts.handlers.processes import running
from tests.support.size import examples

JSON = {"content-type": "application/json"}
LIMIT = 4096


def assert_problem(answer, status, name):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document = answer.json()
    assert document["type"] == f"urn:pilotlight:problem:{name}"
    assert document["status"] == status
    assert document["instance"].endswith(answer.headers["x-request-id"])
    assert document["title"]
    assert document["detail"]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 400, "malformed-body"),
        (b"{", 400, "malformed-body"),
        (b'{"inputs": "\xff\xfe"}', 400, "malformed-body"),
        ('{"inputs": "a"}'.encode("utf-16"), 400, "malformed-body"),
        (b'{"inputs": NaN}', 400, "malformed-body"),
        (b'{"inputs": "a", "parameters": {"x": Infinity}}', 400, "malformed-body"),
        (b'{"inputs": ' + b"[" * 2000 + b"]" * 2000 + b"}", 400, "malformed-body"),
        (b'{"inputs": ' + b"9" * 4000 + b"}", 422, "input-refused"),
        (b"null", 422, "input-refused"),
        (b'["a"]', 422, "input-refused"),
        (b"{}", 422, "input-refused"),
        (b'{"inputs": null}', 422, "input-refused"),
        (b'{"inputs": 7}', 422, "input-refused"),
        (b'{"inputs": true}', 422, "input-refused"),
        (b'{"inputs": {"text": "a"}}', 422, "input-refused"),
        (b'{"inputs": []}', 422, "input-refused"),
        (b'{"inputs": ["a", 1]}', 422, "input-refused"),
        (b'{"inputs": [["a"]]}', 422, "input-refused"),
        (b'{"inputs": ' + json.dumps(["a"] * 9).encode() + b"}", 422, "input-refused"),
        (b'{"inputs": "\\ud800"}', 422, "input-refused"),
        (b'{"inputs": "a", "options": {}}', 422, "input-refused"),
        (b'{"inputs": "a", "parameters": []}', 422, "input-refused"),
        (b'{"inputs": "a", "parameters": {"no_such": 1}}', 422, "input-refused"),
        (json.dumps({"inputs": ["cold " * 90] * 8}).encode(), 422, "answer-too-large"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_body_gets_its_problem(server, body, status, name):
    assert_problem(server.client.post("/predict", content=body, headers=JSON), status, name)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "multipart/form-data"]
)
def test_another_media_type_is_refused(server, content_type):
    assert_problem(server.client.post("/predict", content=b"{}", headers={"content-type": content_type}), 415, "media-type-unsupported")


def test_a_compressed_body_is_refused_unread(server):
    answer = server.client.post("/predict", content=b"\x1f\x8b", headers=JSON | {"content-encoding": "gzip"})
    assert_problem(answer, 415, "media-type-unsupported")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8", "application/vnd.api+json"])
def test_json_by_any_of_its_names_is_taken(server, content_type):
    answer = server.client.post("/predict", content=b'{"inputs": "cold"}', headers={"content-type": content_type})
    assert answer.status_code == 200


def body_of(size):
    return json.dumps({"inputs": "c" * (size - len('{"inputs": ""}'))}).encode()


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(LIMIT - 1, 200), (LIMIT, 200), (LIMIT + 1, 413), (LIMIT * 100, 413)])
def test_the_size_limit_holds_to_the_byte(server, size, status, chunked):
    content = body_of(size)
    assert len(content) == size
    answer = server.client.post("/predict", content=iter([content]) if chunked else content, headers=JSON)
    if status == 413:
        assert_problem(answer, 413, "body-too-large")
    else:
        assert answer.status_code == status


def test_routes_and_methods_that_are_not_there_say_what_is(server):
    missing = server.client.get("/nothing")
    assert_problem(missing, 404, "route-unknown")
    assert "/predict" in missing.json()["detail"]
    wrong = server.client.get("/predict")
    assert_problem(wrong, 405, "method-not-allowed")
    assert wrong.headers["allow"] == "POST"
    assert_problem(server.client.post("/ping"), 405, "method-not-allowed")


def test_headers_that_are_too_large_are_refused(server):
    assert_problem(server.client.get("/ping", headers={"x-big": "a" * 40_000}), 431, "headers-too-large")


def raw(server, *parts, pause=0.0):
    """Send bytes as they are and return everything that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def test_a_body_that_does_not_arrive_in_time_gets_408_and_the_connection_is_closed(server):
    started = time.monotonic()
    answer = raw(server, HEAD + b"Content-Length: 20\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body-too-slow" in answer
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Content-Length: 18\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 18\r\nContent-Length: 19\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1e3\r\n\r\n",
        b"POST /predict HTTP/1.1\nHost: a\n\n",
        b"NONSENSE\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["length and chunks", "two lengths", "negative length", "float length", "bare line feeds", "no request line", "bad chunk size"],
)
def test_a_request_that_two_parsers_could_read_differently_is_refused(server, request_bytes):
    assert raw(server, request_bytes).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_in_the_middle_leaves_no_trace_but_a_log_line(server):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
    assert server.predict({"inputs": "cold"}).status_code == 200
    assert "server_fault" not in server.log


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["inputs", "parameters", "x"]), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(40, 150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_no_body_at_all_is_answered_with_500(server, body):
    answer = server.client.post("/invocations", content=body, headers=JSON)
    assert answer.status_code in (200, 400, 413, 422)
    if answer.status_code != 200:
        assert answer.json()["status"] == answer.status_code


def test_a_full_queue_refuses_at_once_with_retry_after_and_the_rest_is_answered(tiny, workshop):
    limits = {"MAX_QUEUE": "1", "MODEL_THREADS": "1", "MAX_INPUTS": "256", "MAX_ANSWER_BYTES": "100000000"}
    with running(workshop, MODEL_DIR=str(tiny), **limits) as started, ThreadPoolExecutor(16) as pool:
        body = {"inputs": ["cold " * 60] * 200}
        answers = list(pool.map(lambda _: started.predict(body), range(16)))
        refused = [answer for answer in answers if answer.status_code != 200]
        assert len(refused) < 16
        assert refused
        for answer in refused:
            assert_problem(answer, 503, "overloaded")
            assert answer.headers["retry-after"] == "1"
        assert started.predict({"inputs": "cold"}).status_code == 200


def test_bodies_that_are_here_at_once_have_room_for_32_of_the_largest(tiny, workshop):
    """However many connections bring them: each is refused while it comes, and what is answered or given up makes room."""
    size = 200_000
    begun = HEAD + b"Content-Length: %d\r\n\r\n" % size + b"[" * (size - 1000)
    with running(workshop, MODEL_DIR=str(tiny), MAX_BODY_BYTES=str(size)) as started, ExitStack() as opened:
        connections = [opened.enter_context(socket.create_connection(("127.0.0.1", started.port), timeout=10)) for _ in range(40)]
        for connection in connections:
            connection.sendall(begun)
        refused, _, _ = select.select(connections, [], [], 10)
        while len(refused) < 8 and (more := select.select(set(connections) - set(refused), [], [], 2)[0]):
            refused += more
        answers = [connection.recv(65536) for connection in refused]
        # 32 of them less a kilobyte each, and a bit of one more.
        assert len(answers) == 8
        for answer in answers:
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer.lower()
        assert 'pilotlight_shed_total{reason="full"} 8' in started.client.get("/metrics").text
        opened.close()
        until = time.monotonic() + 10
        while started.client.post("/predict", content=body_of(size), headers=JSON).status_code == 503:
            assert time.monotonic() < until
        # Of those that were answered nothing is counted any more.
        for _ in range(40):
            assert started.client.post("/predict", content=body_of(size), headers=JSON).status_code != 503


def test_a_prediction_past_its_deadline_gets_504_and_frees_the_model(tiny, workshop):
    limits = {"REQUEST_TIMEOUT_S": "0.2", "MAX_INPUTS": "100000", "MAX_ANSWER_BYTES": "1000000000"}
    with running(workshop, MODEL_DIR=str(tiny), **limits) as started:
        before = time.monotonic()
        assert_problem(started.predict({"inputs": ["cold " * 60] * 12_000}), 504, "deadline-exceeded")
        assert time.monotonic() - before < 5
        # Computed to its end the request would hold the model for seconds: this one gets through since it was given up.
        assert started.predict({"inputs": "cold"}).status_code == 200
