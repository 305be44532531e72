"""Whatever comes, to whichever contract: a documented status, never a 500, soon, and the server stays as it was."""

import contextlib
import gzip
import json
import struct
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.functions.problems import RequestProblem
from handlers.functions.requests import VALUES, PredictionRequest, decoded, parse
from handlers.server import contracts
from handlers.server.contracts import azure_ml, cog, formats_read, formats_written, hugging_face, open_inference, openai, openai_texts
from handlers.server.forms import FORMATS
from tests.parts.handlers.contracts.conftest import NAME
from tests.parts.handlers.contracts.writing_server import MODEL
from tests.support.size import examples

JSON = {"content-type": "application/json"}
TENSOR = {"name": "inputs", "shape": [1], "datatype": "BYTES", "data": ["cold"], "parameters": {}}
BINARY = {"binary_data_output": False}
# A body of each contract that is taken, with every field it knows: by a model of vectors, and by one that writes.
OF_VECTORS = {
    "/predict": {"inputs": ["cold"], "parameters": {}},
    "/": {"inputs": ["cold"], "parameters": {}, "options": {"use_cache": True}, "truncate": True, "normalize": True},
    "/v1/embeddings": {"input": ["cold"], "model": NAME, "encoding_format": "float", "dimensions": 64, "user": "me"},
    f"/v2/models/{NAME}/infer": {
        "id": "a",
        "inputs": [TENSOR],
        "outputs": [{"name": "outputs"}],
        "parameters": {"binary_data_output": False},
    },
    "/score": {"input_data": {"columns": ["text"], "index": [0], "data": [["cold"]]}, "params": {}},
    "/predictions": {"input": {"inputs": ["cold"]}, "id": "a", "webhook_events_filter": ["start"], "context": {}},
}
SAID = {"temperature": 0, "top_p": 1, "seed": 0, "stop": ["z"], "max_tokens": 2, "user": "me", "stream": False, "stream_options": {}}
NEUTRAL = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": None, "store": False}
PARTS = [{"type": "text", "text": "a"}]
WRITTEN = {
    "/v1/completions": {
        **{"model": MODEL, "prompt": ["a"], "echo": True, "best_of": 1, "logprobs": None, "suffix": None},
        **SAID,
        **NEUTRAL,
    },
    "/v1/chat/completions": {
        "model": MODEL,
        "messages": [{"role": "system", "content": "a", "name": "me"}, {"role": "user", "content": PARTS, "refusal": None}],
        **SAID,
        **{"max_completion_tokens": 2, "response_format": {"type": "text"}, "logprobs": False, "top_logprobs": None},
        **NEUTRAL,
    },
}
TAKEN = OF_VECTORS | WRITTEN
DECODERS = {
    "/predict": lambda body: parse(body, None, max_inputs=8, references=True),
    "/": lambda body: hugging_face.translated(decoded(body, None), max_inputs=8),
    "/v1/embeddings": lambda body: openai.translated(decoded(body, None), max_inputs=8),
    f"/v2/models/{NAME}/infer": lambda body: open_inference.translated(body, {}, max_inputs=8),
    "/score": lambda body: azure_ml.translated(decoded(body, None), max_inputs=8),
    "/predictions": lambda body: cog.translated(decoded(body, None), max_inputs=8, webhooks_uri="https://example.com/hooks/"),
    "/v1/completions": lambda body: openai_texts.translated(decoded(body, None), max_inputs=8),
    "/v1/chat/completions": lambda body: openai_texts.translated_chat(decoded(body, None)),
}

# Of a model of one's own, and of one that is not there yet: route -> what is taken, and the decoder for a kind of inputs.
OF_VALUES = {
    "/": ({"inputs": [{"rooms": 1}], "parameters": {"a": 1}}, hugging_face.translated),
    "/score": ({"input_data": {"columns": ["rooms", "b"], "index": [0], "data": [[1, [2]]]}, "params": {"a": 1}}, azure_ml.translated),
    "/predictions": ({"input": {"inputs": [{"rooms": 1}], "a": 1}}, partial(cog.translated, webhooks_uri=None)),
}

texts = st.text(max_size=12) | st.sampled_from(["\ud800", "https://example.com/hooks/\ud800", "https://[", "https://example.com/hooks/%"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from([10**400, "9" * 400, [[]], {}])
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6)


@st.composite
def changed(draw, body):
    """The body with one of its values, wherever it stands, as something else, or gone, or with a field more."""
    body = json.loads(json.dumps(body))
    place = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys)) if keys else None
        if key is None or not isinstance(place[key], dict | list) or draw(st.booleans()):
            break
        place = place[key]
    how = draw(st.sampled_from(["other", "gone", "more"]))
    if how == "gone" and key is not None:
        del place[key]
    elif isinstance(place, dict):
        place[draw(texts) if how == "more" or key is None else key] = draw(values)
    elif how == "more" or key is None:
        place.append(draw(values))
    else:
        place[key] = draw(values)
    return body


@pytest.mark.parametrize("path", TAKEN)
def test_what_is_changed_is_taken_when_it_is_not(its_server, path):
    answer = its_server.client.post(path, json=TAKEN[path])
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", DECODERS)
@settings(max_examples=examples(80, 1500), deadline=None)
@given(data=st.data())
def test_a_decoder_gives_a_request_or_says_why_not(path, data):
    body = data.draw(changed(TAKEN[path]) | values)
    with contextlib.suppress(RequestProblem):
        DECODERS[path](json.dumps(body).encode())


@pytest.mark.parametrize("kind", [VALUES, None])
@pytest.mark.parametrize("path", OF_VALUES)
@settings(max_examples=examples(60, 1500), deadline=None)
@given(data=st.data())
def test_a_decoder_of_values_gives_a_request_that_can_be_handed_on_or_says_why_not(path, kind, data):
    taken, decode = OF_VALUES[path]
    body = json.dumps(data.draw(changed(taken) | values)).encode()
    try:
        found = decode(decoded(body, None), max_inputs=8, kind=kind)
    except RequestProblem:
        return
    request = found if isinstance(found, PredictionRequest) else found[0]
    assert 1 <= len(request.texts) <= 8
    json.dumps(request.texts, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("content_type", [*FORMATS, "text/csv; header=present; charset=utf-8"])
@settings(max_examples=examples(40, 600), deadline=None)
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")))
def test_a_format_gives_a_request_or_says_why_not(content_type, body):
    for content in (body, b"\x93NUMPY\x01\x00" + body, b'"a"\n' + body):
        try:
            found = formats_read.read(content, content_type, max_inputs=8)
        except RequestProblem:
            continue
        assert 1 <= len(found.texts) <= 8


sides = st.integers(-1, 3) | st.booleans() | st.none() | st.sampled_from([10**400, "1", 1.0])
descrs = st.recursive(
    st.sampled_from(["<U1", "|S3", "<f4", "|O", "<U", "", "a", "U1,U2", "=U1", "V2", "<M8[D]"]) | sides,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.just("names"), inner),
    max_leaves=5,
)


@settings(max_examples=examples(300, 5000), deadline=None)
@given(
    descr=descrs,
    shape=st.lists(sides, max_size=3).map(tuple) | descrs,
    order=st.booleans() | sides,
    data=st.binary(max_size=8),
    version=st.sampled_from([1, 2]),
)
def test_a_numpy_array_gives_texts_or_says_why_not(descr, shape, order, data, version):
    text = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    with contextlib.suppress(RequestProblem):
        formats_read.read(b"\x93NUMPY" + bytes([version, 0]) + length + text + data, "application/x-npy", max_inputs=8)


@settings(max_examples=examples(200, 2000), deadline=None)
@given(accept=st.text(max_size=40) | st.lists(st.sampled_from([*FORMATS, "*/*", ";q=", "0.5", ",", ";", "nan"]), max_size=6).map("".join))
def test_a_wish_for_a_format_gives_one_or_says_why_not(accept):
    with contextlib.suppress(RequestProblem):
        formats_written.form_of(accept)


@settings(max_examples=examples(200, 2000), deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", ""]),
    parts=st.lists(
        st.sampled_from(["v2", "models", "infer", "predictions", "cancel", "ready", "versions", "1", "", "{id}", "ä"]), max_size=8
    ),
)
def test_a_path_leads_to_a_route_or_to_what_is_there(method, parts):
    path = "/" + "/".join(parts)
    try:
        route, names = contracts.find(method, path)
    except RequestProblem:
        return
    assert route.path.format(**names) == path


@pytest.fixture(scope="module")
def described(embedder):
    return embedder.client.get("/openapi.json").json()["paths"]


def responses(described, path):
    path = path.replace(f"/v2/models/{NAME}/", "/v2/models/{model}/")
    return described[path]["post"]["responses"]


@pytest.mark.parametrize("path", TAKEN)
@settings(max_examples=examples(20, 250), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_status_is_documented_and_none_is_500(its_server, described, path, data):
    value = data.draw(changed(TAKEN[path]) | values)
    body = data.draw(st.just(json.dumps(value).encode()) | st.binary(max_size=100))
    headers = JSON | data.draw(st.fixed_dictionaries({}, optional={"accept": st.sampled_from(["text/csv", "image/png", "*/*"])}))
    answer = its_server.client.post(path, content=body, headers=headers)
    assert answer.status_code < 500, answer.text
    assert str(answer.status_code) in responses(described, path)
    if answer.status_code != 200:
        assert answer.json()["status"] == answer.status_code
        assert answer.headers["content-type"] == "application/problem+json"


def deep(depth):
    return b"[" * depth + b"]" * depth


def bombs(path):
    """Bodies of a route, each with what makes it one: in place of every field, and in place of the whole body."""
    kinds = {f"{depth} deep": deep(depth) for depth in (100, 500, 800, 900, 950, 980, 1000, 30_000)}
    kinds |= {"NaN": b"NaN", "infinity": b"-Infinity", "many digits": b"9" * 5000, "exponent": b"1e999", "UTF-8": b'"\xff"'}
    kinds |= {"surrogate": b'"\\ud800"', "many": b"[" + b"0," * 30_000 + b"0]", "long": b'"' + b"a" * 60_000 + b'"', "empty": b""}
    for name, bomb in kinds.items():
        yield name, bomb
        for key in TAKEN[path]:
            yield f"{name} as {key}", with_field(TAKEN[path], key, bomb)


def with_field(body, key, raw):
    """The body with these bytes as the value of a field."""
    others = json.dumps({other: value for other, value in body.items() if other != key}).encode()
    return others[:-1] + (b"," if len(others) > 2 else b"") + json.dumps(key).encode() + b":" + raw + b"}"


def resident_mb(server):
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@pytest.mark.parametrize("path", TAKEN)
def test_a_bomb_is_refused_soon_and_leaves_nothing(its_server, described, path):
    its_server.client.post(path, json=TAKEN[path])
    before = resident_mb(its_server)
    for name, body in bombs(path):
        # A machine that is busy with other tests may hold one up; what makes a body slow does so each time.
        for last in (False, False, True):
            started = time.monotonic()
            answer = its_server.client.post(path, content=body, headers=JSON)
            took = time.monotonic() - started
            if took < 1 or last:
                break
        assert took < 1, name
        assert answer.status_code < 500, (name, answer.text)
        assert str(answer.status_code) in responses(described, path), name
    assert resident_mb(its_server) - before < 40


def test_a_compressed_body_is_refused_unread(embedder):
    body = gzip.compress(bytes(60_000_000), compresslevel=1)
    for path in (*TAKEN, "/invocations"):
        answer = embedder.client.post(path, content=body, headers=JSON | {"content-encoding": "gzip"})
        assert answer.status_code == 415, path
        assert answer.json()["type"].endswith(":media-type-unsupported")


@pytest.mark.parametrize("path", DECODERS)
def test_no_depth_of_json_is_more_than_a_problem(path):
    for key in TAKEN[path]:
        # Around the depth that the parser takes what it gave must not break what reads it.
        for depth in range(850, 1010):
            with contextlib.suppress(RequestProblem):
                DECODERS[path](with_field(TAKEN[path], key, deep(depth)))
