"""Entities as JSON, and what the service would refuse of them."""

import random

import pytest

from handlers.functions.azure import entities
from handlers.functions.azure.entities import MOST_BINARY, MOST_KEY, MOST_PROPERTIES, MOST_TEXT, Entity, EntityError
from handlers.functions.rows import INLINE_BYTES

NAMES = [
    "a",
    "in/a b.txt",
    "in=2Fa b.txt",
    "ü/服/🙂",
    "%2F",
    "=2F",
    "a\x00\x7f\x85b",
    "'",
    "#?\\",
    "a" * 1024,
    "a" * 1023 + "b",
    "服" * 300,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_any_text_is_one_that_the_service_takes(name):
    made = entities.key(name)
    entities.encoded(Entity(made, made))
    assert len(made.encode()) <= 100
    assert made == entities.key(name)


def test_keys_of_other_texts_are_others_and_readable():
    assert len({entities.key(name) for name in NAMES}) == len(NAMES)
    assert entities.key("in/a b.txt") == "in=2Fa b.txt"
    assert entities.key("a" * 100) == "a" * 100
    assert entities.key("a" * 101).startswith("a" * 34 + "=~")
    some = random.Random(6)
    made = {"".join(some.choices("a/=~2F%服", k=some.randint(1, 12))) for _ in range(5000)}
    assert len({entities.key(text) for text in made}) == len(made) > 4000


@pytest.mark.parametrize("length", [0, 1, MOST_TEXT // 2, MOST_TEXT // 2 + 1, INLINE_BYTES])
@pytest.mark.parametrize("letter", ["a", "🙂"])
def test_a_text_of_any_length_fits_in_parts(length, letter):
    text = letter * (length // len(letter.encode()))
    parts = entities.in_parts("result", text)
    entities.encoded(Entity("p", "r", parts))
    assert entities.of_parts("result", parts) == text
    assert entities.of_parts("resultUri", parts) is None


def test_values_come_back_as_they_are_and_none_is_not_stored():
    properties = {"s": "é", "i": -(2**31), "n": 2**31, "f": 5.0, "b": False, "d": b"\x00\xff"}
    told = entities.encoded(Entity("p", "r", {**properties, "none": None}))
    assert {name: kind for name, kind in told.items() if "@" in name} == {
        "n@odata.type": "Edm.Int64",
        "f@odata.type": "Edm.Double",
        "d@odata.type": "Edm.Binary",
    }
    assert entities.decoded({**told, "Timestamp": "now", "odata.etag": "e"}, "e") == Entity("p", "r", properties, "e")


REFUSED = {
    "The partition key has 513 UTF-16 units: 512 are allowed": Entity("a" * (MOST_KEY + 1), "r"),
    "The row key has 514 UTF-16 units": Entity("p", "🙂" * 257),
    "The row key has '/'": Entity("p", "a/b"),
    "The row key has '\\\\x7f'": Entity("p", "a\x7f"),
    "The entity has 253 properties: 252 are allowed": Entity("p", "r", {f"n{number}": 1 for number in range(MOST_PROPERTIES + 1)}),
    "A property is called 'a-b'": Entity("p", "r", {"a-b": 1}),
    "A property is called 'Timestamp'": Entity("p", "r", {"Timestamp": 1}),
    f"A property is called '{'n' * 256}'": Entity("p", "r", {"n" * 256: 1}),
    "The property s has 32769 UTF-16 units: 32768 are allowed": Entity("p", "r", {"s": "a" * (MOST_TEXT + 1)}),
    "The property d has 65537 bytes: 65536 are allowed": Entity("p", "r", {"d": b"a" * (MOST_BINARY + 1)}),
    "The property i is 9223372036854775808: 64 bits are allowed": Entity("p", "r", {"i": 2**63}),
    r"The entity has 104\d{4} bytes: 1048576 are allowed": Entity("p", "r", {f"t{number:02}": "a" * MOST_TEXT for number in range(16)}),
}


@pytest.mark.parametrize("detail", REFUSED)
def test_what_the_service_would_refuse_is_told_with_what_is_allowed(detail):
    with pytest.raises(EntityError, match=f"^{detail}"):
        entities.encoded(REFUSED[detail])


def test_what_is_just_allowed_is():
    entities.encoded(Entity("a" * MOST_KEY, "🙂" * (MOST_KEY // 2), {"n" * 255: "🙂" * (MOST_TEXT // 2), "d": b"a" * MOST_BINARY}))
    entities.encoded(Entity("p", "r", {f"n{number}": 2**63 - 1 for number in range(MOST_PROPERTIES)}))
