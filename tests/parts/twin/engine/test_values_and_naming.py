"""Values on the wire, and the names that the provider makes up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin import naming, values
from pilotlight.twin.rows import Name

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_values_survive_the_wire(given_values: dict[str, Any]) -> None:
    assert values.from_struct(values.to_struct(given_values)) == given_values


def test_whole_numbers_come_back_as_int() -> None:
    back = values.from_struct(values.to_struct({"a": 30.0, "b": 0.5, "c": [1.0]}))
    assert [type(back["a"]), type(back["b"]), type(back["c"][0])] == [int, float, int]


def test_unknowns_are_found_left_out_and_named() -> None:
    nested = {"a": [{"b": values.UNKNOWN}, 1], "c": "known", "d": [values.UNKNOWN]}
    assert values.has_unknown(nested)
    assert not values.has_unknown({"a": [1]})
    assert values.known(nested) == {"a": [{}, 1], "c": "known", "d": []}
    assert values.unknown_paths(nested) == {"a", "a.b", "d"}
    assert values.unknown_paths({"a": {"b": values.UNKNOWN}, "c": {}}) == {"a", "a.b"}


def test_secrets_are_marked_and_unmarked() -> None:
    marked = values.with_secrets({"a": "x", "b": None, "c": 1}, {"a", "b"})
    assert marked["a"] == {values.SIGNATURE: values.SECRET, "value": "x"}
    assert (marked["b"], marked["c"]) == (None, 1)
    assert values.without_secrets({"deep": [marked]}) == {"deep": [{"a": "x", "b": None, "c": 1}]}


def test_a_lower_case_name_is_made_lower() -> None:
    inputs, problems = naming.fill_name(Name(field="bucket", max_length=63, lower=True), "urn:pulumi:s::p::t::MyBucket", b"x", {}, {})
    assert problems == []
    assert inputs["bucket"].startswith("mybucket-")


def test_a_generated_name_that_breaks_the_rule_says_what_to_do() -> None:
    _, problems = naming.fill_name(Name(field="name", max_length=64, pattern="[a-z-]+"), "urn:pulumi:s::p::t::a_b", b"x", {}, {})
    assert "set name" in problems[0]


@pytest.mark.parametrize("seeds", [(b"a", b"b"), (b"", b"x")])
def test_two_seeds_make_two_names_and_one_seed_one(seeds: tuple[bytes, bytes]) -> None:
    rule = Name(field="name", max_length=64)
    one, other = (naming.fill_name(rule, "urn:pulumi:s::p::t::a", seed, {}, {})[0]["name"] for seed in seeds)
    assert one != other
    assert naming.fill_name(rule, "urn:pulumi:s::p::t::a", seeds[0], {}, {})[0]["name"] == one
