"""SageMaker's formats on `/invocations`, and on `/predict`: JSON lines, CSV and NumPy in, and what `Accept` asks for out."""

import csv
import io
import json
import struct
from contextlib import contextmanager

import boto3
import numpy as np
import pytest

from handlers.functions.problems import NotAcceptable
from handlers.server.contracts import formats_written
from handlers.server.contracts.npy import dumped as dumped_array
from tests.parts.handlers.contracts.conftest import address, problem
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import running

TEXTS = ["cold start", 'warm, "cloud"', "sleep\ncall"]
LINES = "application/jsonlines"
NPY = "application/x-npy"


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, np.array(array))
    return buffer.getvalue()


def table(texts):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([text] for text in texts)
    return buffer.getvalue().encode()


def ask(server, content, content_type, accept=None, route="/invocations"):
    headers = {"content-type": content_type} | ({"accept": accept} if accept else {})
    return server.client.post(route, content=content, headers=headers)


@pytest.fixture(scope="module")
def vectors(embedder):
    return embedder.predict({"inputs": TEXTS}).json()["outputs"]


@pytest.mark.parametrize("route", ["/invocations", "/predict"])
@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (table(TEXTS), "text/csv"),
        (table(["text", *TEXTS]), "text/csv; charset=UTF-8; header=present"),
        (b"\n".join(json.dumps(text).encode() for text in TEXTS), LINES),
        (b"\r\n\n".join(json.dumps({"inputs": text}).encode() for text in TEXTS), "application/x-ndjson"),
        (b"\xef\xbb\xbf" + table(TEXTS), "text/csv"),
        (b"\xef\xbb\xbf" + b"\n".join(json.dumps(text).encode() for text in TEXTS), LINES),
        (npy(TEXTS), NPY),
        (npy([[text] for text in TEXTS]), NPY),
        (npy([text.encode() for text in TEXTS]), NPY),
        (npy(np.array(TEXTS, dtype=">U20")), NPY),
    ],
    ids=[
        "csv",
        "csv with header",
        "lines of texts",
        "lines of objects",
        "csv of Excel",
        "lines with a mark",
        "npy",
        "npy column",
        "npy of bytes",
        "npy big-endian",
    ],
)
def test_texts_come_in_every_format(embedder, vectors, route, content, content_type):
    answer = ask(embedder, content, content_type, route=route)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"outputs": vectors}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (LINES, LINES),
        ("text/csv;q=0.5, application/jsonl", "application/jsonl"),
        ("image/png, text/*;q=0.1", "text/csv"),
        (f"{NPY}, */*;q=0.1", NPY),
        ("application/*", "application/json"),
        ("text/csv;q=0, application/json;q=0.1", "application/json"),
        ("*/*", "application/json"),
        ("*/*, application/json;q=0", LINES),
        ("application/*, application/json;q=0, application/jsonlines;q=0", "application/jsonl"),
        ("*/*;q=0.1, application/*;q=0", "text/csv"),
        ("application/*;q=0, application/json", "application/json"),
        ("*/*, application/json;q=0.5, text/csv", "text/csv"),
        ("application/json;q=0.1, text/*;q=0.5, */*;q=0.05", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.5", "text/csv"),
        ("*/*, text/csv", "application/json"),
    ],
)
def test_the_wanted_format_is_answered(embedder, vectors, accept, content_type):
    answer = ask(embedder, json.dumps({"inputs": TEXTS}), "application/json", accept)
    assert answer.headers["content-type"] == content_type
    read = {
        NPY: lambda: np.load(io.BytesIO(answer.content), allow_pickle=False),
        "text/csv": lambda: np.array(list(csv.reader(io.StringIO(answer.text))), dtype=np.float32),
        "application/json": lambda: np.array(answer.json()["outputs"], dtype=np.float32),
    }
    found = read.get(content_type, lambda: np.array([json.loads(line) for line in answer.text.splitlines()], dtype=np.float32))()
    assert np.array_equal(found, np.array(vectors, dtype=np.float32))


def test_a_single_text_is_one_row(embedder):
    vector = embedder.predict({"inputs": "cold"}).json()["outputs"]
    body = json.dumps({"inputs": "cold"})
    assert [json.loads(line) for line in ask(embedder, body, "application/json", LINES).text.splitlines()] == [vector]
    assert len(ask(embedder, body, "application/json", "text/csv").text.splitlines()) == 1
    assert np.load(io.BytesIO(ask(embedder, body, "application/json", NPY).content)).shape == (64,)


def test_labels_are_rows_of_labels_and_scores(labeller):
    body = {"inputs": ["cold", "warm"], "parameters": {"top_k": 2}}
    rows = list(csv.reader(io.StringIO(ask(labeller, json.dumps(body), "application/json", "text/csv").text)))
    outputs = labeller.predict(body).json()["outputs"]
    assert [row[::2] for row in rows] == [[each["label"] for each in output] for output in outputs]
    assert [[float(score) for score in row[1::2]] for row in rows] == [[each["score"] for each in output] for output in outputs]
    single = ask(labeller, b"cold\n", "text/csv", "text/csv").text.split(",")
    assert single[0] == labeller.predict({"inputs": ["cold"]}).json()["outputs"][0]["label"]


@pytest.mark.parametrize(
    "output", [[], [{"label": "a"}], [{"label": "a", "score": 1.0}, None], "a", 7, [[1.0]], {"sequence": "a"}], ids=str
)
def test_what_is_no_row_is_refused_as_csv(output):
    with pytest.raises(NotAcceptable, match="a vector or labels a row"):
        formats_written._row(output)


@pytest.mark.parametrize(
    ("accept", "said"),
    [
        ("image/png", "answers are written as application/json"),
        ("application/json;q=0", "answers are written as"),
        ("text/csv;q=much", "a weight is a number"),
        ("text/csv;q=nan", "answers are written as"),
        ("text/*, text/csv;q=0", "answers are written as"),
        (",;,", "answers are written as"),
    ],
)
def test_a_format_that_is_not_written_is_refused(embedder, accept, said):
    answer = ask(embedder, b'{"inputs": "cold"}', "application/json", accept)
    assert problem(answer) == (406, "not-acceptable")
    assert said in answer.json()["detail"]


def test_outputs_that_a_format_can_not_hold_are_refused(server, labeller):
    body = b'{"inputs": ["cold", "cold start"]}'
    for asked, accept in ((server, NPY), (server, "text/csv"), (labeller, NPY)):
        answer = ask(asked, body, "application/json", accept)
        assert problem(answer) == (406, "not-acceptable")
        assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "value",
    [["007", "1e3"], [None, 1.0], [[1.0], [1.0, 2.0]], [{"a": 1}], [2**24 + 1], [2**70], [1e39], [1, -1e300], [], [[], []]],
    ids=str,
)
def test_what_is_no_array_of_numbers_is_not_made_one(value):
    with pytest.raises(NotAcceptable, match="ask for application/json"):
        dumped_array(value)


@pytest.mark.parametrize(
    "value", [[1, 2], [[0.5], [1.5]], [True, False], [np.float32([1, 2]), np.float32([3, 4])], [-(2**24)], 2.5], ids=str
)
def test_numbers_are_one_array(value):
    read = np.load(io.BytesIO(dumped_array(value)), allow_pickle=False)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.asarray(value, dtype=np.float32))


def header(text, version=b"\x01\x00"):
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\x00" else "<I", len(text)) + text


def described(descr, shape):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode())


@pytest.mark.parametrize(
    ("content", "content_type", "status", "name"),
    [
        (b"", "text/csv", 422, "input-refused"),
        (b"a,b\n", "text/csv", 422, "input-refused"),
        (b'"a', "text/csv", 400, "malformed-body"),
        (b"\xff", "text/csv", 400, "malformed-body"),
        (b"a\n" * 9, "text/csv", 422, "input-refused"),
        # What comes behind one too many is not looked at any more.
        (b"a\n" * 9 + b'"a', "text/csv", 422, "input-refused"),
        (b"a\n" * 10 + b'"a', "text/csv; header=present", 422, "input-refused"),
        (b"\n" * 50, "text/csv", 422, "input-refused"),
        (b'"a"\n' * 9 + b"{", LINES, 422, "input-refused"),
        (b"a", "text/csv; charset=latin-1", 415, "media-type-unsupported"),
        (b'"a"\n{', LINES, 400, "malformed-body"),
        (b'"a"\nNaN', LINES, 400, "malformed-body"),
        (b"7", LINES, 422, "input-refused"),
        (b'["a"]', LINES, 422, "input-refused"),
        (b'{"inputs": "a", "parameters": {"top_k": 1}}', LINES, 422, "input-refused"),
        (b"\n\n", LINES, 422, "input-refused"),
        (b"[" * 60_000, LINES, 400, "malformed-body"),
        (b"", NPY, 400, "malformed-body"),
        (npy(TEXTS)[:-1], NPY, 400, "malformed-body"),
        (npy([1.0, 2.0]), NPY, 422, "input-refused"),
        (npy(np.array(["a", {"b": 1}], dtype=object)), NPY, 422, "input-refused"),
        (npy([b"\xff\xfe"]), NPY, 400, "malformed-body"),
        (npy(["a"] * 9), NPY, 422, "input-refused"),
        (npy([["a", "b"]]), NPY, 422, "input-refused"),
        (described("'<U1'", "(10000000000000000,)"), NPY, 422, "input-refused"),
        (described("'<U0'", "(10000000000000000,)"), NPY, 422, "input-refused"),
        (described("'<U1'", "(-1,)"), NPY, 400, "malformed-body"),
        (described("'<U1000000000'", "(1,)"), NPY, 400, "malformed-body"),
        (described("'<U1'", "(1,)") + b"\xff\xff\xff\x7f", NPY, 400, "malformed-body"),
        (described("'<U1'", "(1,)") + struct.pack("<I", 0xD800), NPY, 400, "malformed-body"),
        (described("'|O'", "(1,)") + b"cos\nsystem\n", NPY, 422, "input-refused"),
        (described("()", "(1,)"), NPY, 400, "malformed-body"),
        (described("('<U1',)", "(1,)"), NPY, 400, "malformed-body"),
        (described("[('a', ())]", "(1,)"), NPY, 400, "malformed-body"),
        (header(b"(" * 500), NPY, 400, "malformed-body"),
        (header(b"-" * 500 + b"1"), NPY, 400, "malformed-body"),
        (header(b"(" * 60_000, b"\x02\x00"), NPY, 400, "malformed-body"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_not_what_it_says_gets_its_problem(embedder, content, content_type, status, name):
    assert problem(ask(embedder, content, content_type)) == (status, name)


def test_a_line_that_is_wrong_is_named(embedder):
    for content, number in ((b'\n\n"a"\n[', 4), (b'"a"\n7', 2), (b' \n["a"]', 2)):
        assert ask(embedder, content, LINES).json()["detail"].startswith(f"Line {number}"), content


@contextmanager
def invoking(server):
    """Boto3's client of a server behind a front that has InvokeEndpoint's path."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    with front_of(address(server), "/endpoints/mine") as front:
        yield boto3.client("sagemaker-runtime", endpoint_url=front.address.removesuffix("/endpoints/mine"), **keys)


@pytest.fixture(scope="module")
def runtime(embedder):
    with invoking(embedder) as client:
        yield client


@pytest.mark.parametrize(
    ("content", "content_type", "accept"),
    [(table(TEXTS), "text/csv", "text/csv"), (npy(TEXTS), NPY, NPY), (json.dumps({"inputs": TEXTS}).encode(), "application/json", LINES)],
)
def test_boto3_sends_and_gets_every_format(runtime, vectors, content, content_type, accept):
    answer = runtime.invoke_endpoint(EndpointName="mine", Body=content, ContentType=content_type, Accept=accept)
    body = answer["Body"].read()
    assert answer["ContentType"] == accept
    if accept == NPY:
        found = np.load(io.BytesIO(body), allow_pickle=False)
    elif accept == LINES:
        found = [json.loads(line) for line in body.splitlines()]
    else:
        found = list(csv.reader(io.StringIO(body.decode())))
    assert np.array_equal(np.array(found, dtype=np.float32), np.array(vectors, dtype=np.float32))


def test_boto3_hands_the_id_in_and_gets_the_cold_start_out(sentences, workshop):
    with running(workshop, MODEL_DIR=str(sentences)) as started, invoking(started) as client:
        asked = {"EndpointName": "mine", "Body": b'{"inputs": "cold"}', "CustomAttributes": "request-id=mine-1"}
        first, second = (client.invoke_endpoint(ContentType="application/json", **asked) for _ in range(2))
        assert first["CustomAttributes"].startswith("cold-start=boot:")
        assert "CustomAttributes" not in second
        assert '"request_id":"mine-1"' in started.log
