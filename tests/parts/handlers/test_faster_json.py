"""The decoder that a server with a model of one's own reads JSON by: whatever it reads, the standard library's reads as well."""

import json
import math

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.functions import requests
from handlers.functions.problems import RequestProblem
from handlers.functions.requests import VALUES, parse

JSON = "application/json"
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=12,
)
PIECES = [
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "\\ud800",
    "\\udc00",
    "\\ud800\\udc00",
    "123456789012345678901234567890",
    "01",
    "1.",
    "-0",
    ",",
    "]",
    "}",
    "{",
    "[",
    '"',
    "\0",
    "\x01",
    "\x7f",
    " ",
    "\ufeff",
    "\\u0000",
    '"a":1,',
    "1E5",
    "/",
    "\\",
]


def read(body, how):
    """What is made of a body, or the problem that is told, with the decoder or without."""
    before = requests._faster[:]
    requests._faster[:] = [msgspec.json.decode] if how else []
    try:
        return parse(body, JSON, max_inputs=64, kind=VALUES, references=True)
    except RequestProblem as problem:
        return type(problem), problem.detail
    finally:
        requests._faster[:] = before


def alike(one, other):
    """Equal, and of the same types: 1 is no 1.0, and 0.0 no -0.0."""
    return repr(one) == repr(other)


@given(VALUE, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), st.sampled_from(PIECES)), max_size=3), st.booleans())
@example({"inputs": "a"}, [], True)
@example([1e308, 2**64, -(2**63) - 1, "\U0001f600", ""], [], True)
def test_it_says_the_same_as_the_other(value, changes, whole):
    text = json.dumps({"inputs": value} if whole else value, ensure_ascii=whole)
    for place, length, piece in changes:
        text = text[:place] + piece + text[place + length :]
    body = text.encode("utf-8", "surrogatepass")
    assert alike(read(body, True), read(body, False))


@given(st.binary(max_size=40))
def test_it_says_the_same_of_any_bytes(body):
    assert alike(read(body, True), read(body, False))
    whole = b'{"inputs": ' + body + b"}"
    assert alike(read(whole, True), read(whole, False))


@pytest.mark.parametrize("depth", [1, 30, 31, 32, 33, 34, 100, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_what_is_nested_too_deeply_is_refused_as_before(depth, begin, end):
    body = ('{"inputs": ' + begin * depth + "1" + end * depth + "}").encode()
    one, other = read(body, True), read(body, False)
    assert alike(one, other)
    # The outermost list is that of the inputs.
    nested = depth * len(begin.replace('"a":', "")) - begin.startswith("[")
    assert isinstance(one, requests.PredictionRequest) == (nested <= 32)


def test_what_has_many_beginnings_is_looked_through():
    body = json.dumps({"inputs": [[0.5]] * 50}).encode()
    assert read(body, True).texts == ([0.5],) * 50


@pytest.mark.parametrize(
    ("number", "taken"), [(2**63, True), (2**64 - 1, True), (-(2**63), True), (2**64, False), (-(2**63) - 1, False), (10**40, False)]
)
def test_no_whole_number_of_more_than_64_bits_comes_through(number, taken):
    for value in (number, [number] * 40, {"a": [1.5, number]}, [True, number]):
        for kept in (read(json.dumps({"inputs": value}).encode(), how) for how in (True, False)):
            if taken:
                assert alike(kept.texts, tuple(value) if isinstance(value, list) else (value,))
            else:
                assert "is a whole number beyond 64 bits: send -9223372036854775808 to 18446744073709551615" in kept[1]


def test_no_infinite_number_comes_through():
    for number in ("1e400", "-1e400", "1" + "0" * 400 + ".0"):
        for kept in (read(f'{{"inputs": {number}}}'.encode(), how) for how in (True, False)):
            assert not isinstance(kept, requests.PredictionRequest)
    assert math.isfinite(read(b'{"inputs": 1.7976931348623157e308}', True).texts[0])
