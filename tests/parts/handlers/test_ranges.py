"""An object by parts that are fetched side by side: its own bytes in their order, whichever part is slow or fails."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from handlers.engines import ranges
from handlers.engines.ranges import Ranges

CONTENT = bytes(range(256)) * 40
PART = 1000


def everything(parts, size=777):
    pieces = []
    while piece := parts.read(size):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, len(CONTENT)])
def test_every_byte_comes_once_and_in_order(size):
    parts = Ranges(lambda start, end: CONTENT[start:end], size, part=PART)
    assert everything(parts) == CONTENT[:size]


def test_parts_are_fetched_side_by_side_and_never_more_than_so_many_are_held():
    # Four come only together: one after another they would wait for each other for ever.
    together, asked = threading.Barrier(4, timeout=20), []

    def fetch(start, end):
        asked.append(start)
        if start < 4 * PART:
            together.wait()
        return CONTENT[start:end]

    parts = Ranges(fetch, len(CONTENT), part=PART, at_once=4)
    first = parts.read(1)
    # The first one is in use, and four are on their way.
    assert max(asked) <= 4 * PART
    assert first + everything(parts) == CONTENT


def test_a_part_that_stands_still_is_asked_for_again_and_the_first_answer_is_taken(monkeypatch):
    monkeypatch.setattr(ranges, "_LEAST_PATIENCE_S", 0.1)
    stands, asked = threading.Event(), []

    def fetch(start, end):
        asked.append(start)
        if start == 2 * PART and asked.count(start) == 1:
            stands.wait(60)
        return CONTENT[start:end]

    began = time.monotonic()
    try:
        parts = Ranges(fetch, len(CONTENT), part=PART)
        assert everything(parts) == CONTENT
        assert time.monotonic() - began < 30
    finally:
        stands.set()
    assert asked.count(2 * PART) == 2


def test_a_part_that_can_not_be_had_is_the_readers_error_once_what_was_before_it_is_read():
    def fetch(start, end):
        if start == PART:
            raise OSError("gone")
        return CONTENT[start:end]

    parts = Ranges(fetch, len(CONTENT), part=PART)
    assert parts.read(PART) == CONTENT[:PART]
    with pytest.raises(OSError, match="gone"):
        parts.read(1)


def test_of_two_that_were_asked_the_one_that_fails_is_not_heard(monkeypatch):
    monkeypatch.setattr(ranges, "_LEAST_PATIENCE_S", 0.1)
    again, asked = threading.Event(), []

    def fetch(start, end):
        asked.append(start)
        if start == 0:
            if asked.count(0) == 1:
                again.wait(20)
                raise OSError("the slow one")
            again.set()
            time.sleep(0.3)
        return CONTENT[start:end]

    parts = Ranges(fetch, len(CONTENT), part=PART)
    assert everything(parts) == CONTENT


def test_a_part_that_hangs_holds_up_no_exit():
    program = """
import threading
from handlers.engines import ranges
ranges._LEAST_PATIENCE_S = 0.1
hung = []
def fetch(start, end):
    if start == 1 and not hung:
        hung.append(start)
        threading.Event().wait()
    return b"x"
parts = ranges.Ranges(fetch, 3, part=1)
print(parts.read(1) + parts.read(1) + parts.read(1), len(hung))
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "b'xxx' 1\n"), done.stderr
