"""Differences between inputs: paths, kinds, what replaces."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.differ import difference
from pilotlight.twin.rows import ALL_BUT_TAGS, Name, Row
from pilotlight.twin.values import ASSET, DEFAULTS, SIGNATURE

PLAIN = Row(token="t", id=lambda p: "x", replaces=frozenset({"name"}), name=Name(field="name", max_length=9))
FIXED = Row(token="t", id=lambda p: "x", replaces=ALL_BUT_TAGS)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": "UPDATE"}),
        ({"a": 1}, {}, {"a": "DELETE"}),
        ({}, {"a": 1}, {"a": "ADD"}),
        ({"a": True}, {"a": 1}, {"a": "UPDATE"}),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}, 4]}, {"a[1].b": "UPDATE", "a[2]": "ADD"}),
        ({"a": [1, 2]}, {"a": [1]}, {"a[1]": "DELETE"}),
        ({"a": {"x.y": 1}}, {"a": {"x.y": 2}}, {'a["x.y"]': "UPDATE"}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "UPDATE"}),
        ({DEFAULTS: ["name"], "name": "x"}, {"name": "x"}, {}),
    ],
)
def test_paths_and_kinds(old: dict[str, Any], new: dict[str, Any], expected: dict[str, str]) -> None:
    assert dict(difference(PLAIN, old, new).paths) == expected


def test_an_asset_differs_by_its_hash_alone() -> None:
    old, new = ({"source": {SIGNATURE: ASSET, "hash": "h", "path": path}} for path in ("a", "elsewhere/a"))
    assert not difference(PLAIN, old, new).any
    new["source"]["hash"] = "other"
    assert dict(difference(PLAIN, old, new).paths) == {"source": "UPDATE"}


def test_only_the_tags_of_an_immutable_type_can_change() -> None:
    assert difference(FIXED, {"a": 1}, {"a": 2}).replaces == {"a"}
    assert difference(FIXED, {"tags": {"a": "1"}}, {"tags": {"a": "2"}}).replaces == set()
    assert difference(FIXED, {}, {}, frozenset({"tagsAll"})).replaces == set()


def test_a_field_that_changed_by_itself_is_one_difference() -> None:
    assert dict(difference(PLAIN, {}, {}, frozenset({"contextHash"})).paths) == {"contextHash": "UPDATE"}


def test_a_fixed_name_has_to_be_free_first() -> None:
    row = Row(token="t", id=lambda p: "x", replaces=frozenset({"path"}), name=Name(field="name", max_length=9))
    generated = {"name": "a-1", DEFAULTS: ["name"]}
    assert difference(row, {"name": "a", "path": "/1"}, {"name": "a", "path": "/2"}).delete_first
    assert not difference(row, {"name": "a", "path": "/1"}, {"name": "b", "path": "/2"}).delete_first
    assert not difference(row, generated | {"path": "/1"}, generated | {"name": "a-2", "path": "/2"}).delete_first
    assert not difference(row, {"name": "a", "tags": {}}, {"name": "a"}).delete_first
    # Google's provider does not look whether the names differ.
    frees = Row(token="t", id=lambda p: "x", replaces=frozenset({"path"}), name=Name(field="name", max_length=9, frees=True))
    assert difference(frees, {"name": "a", "path": "/1"}, {"name": "b", "path": "/2"}).delete_first
    assert not difference(frees, generated | {"path": "/1"}, generated | {"name": "a-2", "path": "/2"}).delete_first


def test_what_does_not_count_is_not_compared() -> None:
    row = Row(token="t", id=lambda p: "x", comparable=lambda inputs: {k: v for k, v in inputs.items() if k != "password"})
    assert not difference(row, {"password": "a"}, {"password": "b"}).any
