"""What an object's bytes mean as inputs, how inputs share requests, and how answers are dealt out again."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions import merging, outputs
from handlers.functions.objects import Content, ObjectInputs, read
from handlers.functions.outcomes import Refused
from handlers.functions.problems import ModelFailed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(
    ("body", "content_type", "key", "inputs"),
    [
        ("cold start", None, "a", ObjectInputs(("cold start",), False, {})),
        ("cold\nstart\n", "text/plain; charset=UTF-8", "a.txt", ObjectInputs(("cold\nstart\n",), False, {})),
        ("\ufeffcold", "binary/octet-stream", "a.txt", ObjectInputs(("cold",), False, {})),
        ("schläft 服务", "text/html", "a.html", ObjectInputs(("schläft 服务",), False, {})),
        ("", "text/plain", "a", ObjectInputs(("",), False, {})),
        ('"cold"', "application/json", "a", ObjectInputs(("cold",), False, {})),
        ('["cold"]', "application/json", "a", ObjectInputs(("cold",), True, {})),
        ('{"inputs": "cold", "parameters": {"top_k": 2}}', None, "a.JSON", ObjectInputs(("cold",), False, {"top_k": 2})),
        ('{"inputs": ["a", "b"]}', "application/vnd.mine+json", "a", ObjectInputs(("a", "b"), True, {})),
        ('{"inputs": "a"}', "text/plain", "a.json", ObjectInputs(('{"inputs": "a"}',), False, {})),
        ('"a"\n\n{"inputs": "b"}\r\n', None, "a.jsonl", ObjectInputs(("a", "b"), True, {})),
        ('"a\u2028b"', "application/x-ndjson", "a", ObjectInputs(("a\u2028b",), True, {})),
    ],
)
def test_an_object_is_read_by_its_type_and_its_name(body, content_type, key, inputs):
    assert read(Content(body.encode(), content_type), key) == inputs


@pytest.mark.parametrize(
    ("body", "content_type", "key", "reason"),
    [
        (b"\x1f\x8b\x08", None, "a.gz", "byte 1 is 0x8b"),
        (b"text", "text/plain; charset=utf-16", "a", "charset is 'utf-16'"),
        (b"{", "application/json", "a", "The object is not JSON"),
        (b"[" * 100_000, "application/json", "a", "nested too deeply"),
        (b"[1]", "application/json", "a", "'inputs.0.' is a number"),
        (b"[]", "application/json", "a", "has 0 texts"),
        (b"NaN", "application/json", "a", "NaN is not a JSON value"),
        (b'"\\ud800"', "application/json", "a", "half of a surrogate pair"),
        (b'{"inputs": {"uri": "s3://other/secret"}}', "application/json", "a", "'inputs' is an object"),
        (b"\n \n", None, "a.jsonl", "no line with an input"),
        (b'"a"\n{', None, "a.ndjson", "Line 2 of the object is not JSON"),
        (b'["a", "b"]', None, "a.jsonl", "Line 1 of the object is not one input"),
        (b'{"inputs": "a", "parameters": {"top_k": 1}}', None, "a.jsonl", "Line 1 of the object is not one input"),
    ],
)
def test_an_object_that_can_not_be_read_is_refused_with_the_reason(body, content_type, key, reason):
    with pytest.raises(Refused, match=reason):
        read(Content(body, content_type), key)


@given(st.binary(max_size=60), st.sampled_from([None, "application/json", "application/jsonl", "text/plain"]))
def test_no_object_is_worse_than_refused(body, content_type):
    try:
        inputs = read(Content(body, content_type), "a")
    except Refused:
        return
    assert all(isinstance(text, str) for text in inputs.texts)


@given(
    st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=6), st.booleans(), st.sampled_from([0, 1])), max_size=8),
    st.integers(1, 8),
    st.integers(60, 300),
    st.integers(1, 300),
)
def test_requests_carry_each_text_once_in_order_and_keep_the_limits(objects, most, body_bytes, merged_bytes):
    asked = [
        merging.Asked(owner, ObjectInputs(tuple(texts), True, {"p": kind} if kind else {}), alone, f"s3://mine/{owner}", "id")
        for owner, (texts, alone, kind) in enumerate(objects)
    ]
    requests = merging.plan(asked, merging.Limits(inputs=most, body_bytes=body_bytes, merged_bytes=merged_bytes))
    for item in asked:
        own = [(request, piece) for request in requests for piece in request.pieces if piece.owner == item.owner]
        assert tuple(text for _, piece in own for text in piece.texts) == item.inputs.texts
        assert all(request.parameters == item.inputs.parameters for request, _ in own)
        assert not item.alone or all(len(request.pieces) == 1 for request, _ in own)
    for request in requests:
        if request.uri is None:
            assert 1 <= request.count <= most
            assert len(request.body()) <= body_bytes
        else:
            assert any(len(json.dumps(text, ensure_ascii=False).encode()) + 13 > body_bytes - 25 for text in request.pieces[0].texts)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_request_parts_until_each_text_is_by_itself(objects):
    request = merging.Request(tuple(merging.Piece(owner, tuple(texts)) for owner, texts in enumerate(objects)), {})
    single, waiting = [], [request]
    while waiting:
        part = waiting.pop(0)
        halves = part.halves()
        waiting = [*halves, *waiting] if halves else waiting
        single += [] if halves else [part]
    assert [part.pieces[0].texts[0] for part in single] == [text for texts in objects for text in texts]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False, width=32) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON, min_size=1, max_size=6))
def test_an_answer_is_split_into_its_outputs_in_the_very_characters(values):
    body = orjson.dumps({"outputs": values})
    assert outputs.split(body, len(values)) == [orjson.dumps(value).decode() for value in values]
    spaced = json.dumps({"outputs": values}, indent=1).encode()
    assert [json.loads(each) for each in outputs.split(spaced, len(values))] == json.loads(body)["outputs"]


NOT_TWO = [b"", b"{}", b'{"outputs":1}', b'{"outputs":[]}', b'{"outputs":[1,]}', b'{"outputs":[1', b'{"outputs":[1 2]}', b'{"outputs":[1]}']


@pytest.mark.parametrize("body", [*NOT_TWO, b'{"outputs":"\xff"}'])
def test_an_answer_that_is_not_one_output_for_each_input_is_the_models_failure(body):
    with pytest.raises(ModelFailed):
        outputs.split(body, 2)
