"""What attempts leave in a message, and what a dead letter tells."""

import json
from dataclasses import asdict

import pytest

from handlers.functions.azure.messages import MOST_BYTES, NOTE, Note, Noted

EVENT = {"id": "event-1", "data": {"requestId": "upload-1"}, "subject": "ü"}
BODY = json.dumps(EVENT).encode()


def test_a_note_travels_in_the_message_and_leaves_it_as_it_was():
    first = Noted.read(BODY)
    assert (first.body, first.note, first.request_id) == (BODY, Note(), "upload-1")
    note = Note(spared=2, words=3, since=5.5, last="Not now.", permanent=True)
    again = Noted.read(first.with_note(note))
    assert (json.loads(again.body), again.note, again.told) == (EVENT, note, EVENT)
    assert NOTE not in again.letter("r", message_id="m1", attempts=1, permanent=False).decode()


@pytest.mark.parametrize("note", [None, 1, [], {}, {"spared": "x", "words": 1, "since": 1, "last": "", "permanent": False}])
def test_a_note_that_can_not_be_read_counts_as_none(note):
    found = Noted.read(json.dumps(EVENT | {NOTE: note}).encode())
    assert (found.note, found.told) == (Note(), EVENT)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\x00", b"[" * 100_000], ids=lambda body: str(body[:9]))
def test_what_is_no_object_has_no_note_and_is_text_in_its_letter(body):
    found = Noted.read(body)
    assert (found.body, found.note, found.told, found.with_note(Note(spared=1)), found.request_id) == (body, Note(), None, None, None)
    letter = found.letter("Why.", message_id="m1", attempts=1, permanent=True)
    assert len(letter) <= MOST_BYTES
    told = json.loads(letter)
    assert (told["message"], told["reason"], told["permanent"]) == (body.decode(errors="replace")[:6000], "Why.", True)


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("member", ["data", "id", "requestId"])
def test_what_is_nested_as_deeply_as_can_be_read_is_a_letter_all_the_same(member):
    """Writing is called a little deeper than reading, so that some can be read and not written."""
    unwritten = 0
    for depth in range(800, 1000):
        found = Noted.read(f'{{"{member}":{nested(depth)}}}'.encode())
        unwritten += found.told is not None and found.with_note(Note(spared=1)) is None
        assert json.loads(found.letter("Why.", message_id="m1", attempts=1, permanent=True))["reason"] == "Why."
    assert unwritten


def test_a_note_beside_what_can_not_be_written_again_counts_as_long_as_it_can_be_read():
    note, unwritten = Note(spared=2, words=3, since=5.5, last="Not now."), 0
    for depth in range(800, 1000):
        found = Noted.read(f'{{"{NOTE}":{json.dumps(asdict(note))},"data":{nested(depth)}}}'.encode())
        assert found.note == (Note() if found.told is None else note)
        unwritten += found.told is not None and NOTE.encode() in found.body
    assert unwritten


def test_a_letter_has_room_for_its_own_text_whatever_the_messages_id_is():
    large = Noted.read(json.dumps({"id": "\x01" * 8000}).encode())
    assert len(large.letter("\x01" * 500, message_id="m1", attempts=1, permanent=True)) <= MOST_BYTES


def test_a_letter_tells_the_event_and_why():
    told = json.loads(Noted.read(BODY).letter("x" * 1000, message_id="m1", attempts=3, permanent=False))
    assert told == {
        "reason": "x" * 500,
        "attempts": 3,
        "permanent": False,
        "requestId": "upload-1",
        "messageId": "m1",
        "at": told["at"],
        "event": EVENT,
    }


def test_a_message_without_room_has_no_note_and_a_letter_all_the_same():
    large = Noted.read(json.dumps({"id": "1", "x": "\x01" * ((MOST_BYTES - 30) // 6)}).encode())
    assert len(large.body) <= MOST_BYTES
    assert large.with_note(Note(last="y" * 500)) is None
    letter = large.letter("\x01" * 500, message_id="m1", attempts=1, permanent=True)
    assert len(letter) <= MOST_BYTES
    assert json.loads(letter)["message"].startswith('{"id": "1"')
