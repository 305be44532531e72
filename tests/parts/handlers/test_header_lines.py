"""Headers that come in several lines."""

import json

import pytest

from handlers.functions.problems import MediaTypeUnsupported
from handlers.functions.requests import parse
from handlers.web.header_lines import headers_of

PLAIN = [(b"host", b"a"), (b"accept", b"text/csv"), (b"x-of", b"\xe4")]


def test_lines_of_different_names_are_read_as_they_are():
    assert headers_of(PLAIN) == {"host": "a", "accept": "text/csv", "x-of": "ä"}


@pytest.mark.parametrize("name", ["accept", "prefer", "content-encoding", "tracestate"])
def test_lines_of_a_list_are_one_in_their_order(name):
    lines = [(name.encode(), value) for value in (b"one, two", b"", b"three;q=0.5")]
    assert headers_of([lines[0], *PLAIN[:1], *lines[1:]])[name] == "one, two, , three;q=0.5"


def test_of_anything_else_the_last_line_counts():
    assert headers_of([(b"x-request-id", b"a"), *PLAIN, (b"x-request-id", b"b")]) == headers_of(PLAIN) | {"x-request-id": "b"}


@pytest.mark.parametrize("first", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json", "image/png"])
@pytest.mark.parametrize("second", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json", "text/csv"])
def test_a_body_of_two_types_is_read_as_neither(first, second):
    told = headers_of([(b"content-type", first.encode()), *PLAIN, (b"content-type", second.encode())])["content-type"]
    with pytest.raises(MediaTypeUnsupported, match="told 2 times"):
        parse(json.dumps({"inputs": "a"}).encode(), told, max_inputs=1, kind=None)
