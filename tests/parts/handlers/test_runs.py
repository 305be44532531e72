"""Which texts are computed at once: all of them, once, within bounds, with little padding."""

from hypothesis import given
from hypothesis import strategies as st

from handlers.tasks.runs import CPU_PLACES, Bounds, runs_of

LENGTHS = st.lists(st.integers(1, 512), max_size=120)


def bounds(texts=32, places=CPU_PLACES, pads=True):
    return Bounds(texts, places, pads)


@given(lengths=LENGTHS, texts=st.integers(1, 64), places=st.integers(1, 4096), pads=st.booleans())
def test_every_text_is_in_one_run_within_the_bounds(lengths, texts, places, pads):
    runs = runs_of(lengths, bounds(texts, places, pads))
    assert sorted(place for run in runs for place in run) == list(range(len(lengths)))
    for run in runs:
        longest, shortest = max(lengths[place] for place in run), min(lengths[place] for place in run)
        assert len(run) <= texts
        # A text that is longer than all of the places is computed alone.
        assert len(run) == 1 or len(run) * longest <= places
        assert longest - shortest <= (max(16, longest // 4) if pads else 0)


@given(lengths=LENGTHS)
def test_of_long_texts_less_than_a_quarter_is_padding(lengths):
    long = [length for length in lengths if length >= 64]
    runs = runs_of(long, bounds())
    places = sum(len(run) * max(long[place] for place in run) for run in runs)
    assert places == 0 or (places - sum(long)) / places <= 0.25


def test_texts_of_one_length_are_computed_at_once_and_others_apart():
    assert runs_of([12] * 32, bounds()) == [list(range(32))]
    assert runs_of([12] * 33, bounds()) == [list(range(32)), [32]]
    assert runs_of([500, 9, 480, 14, 9], bounds()) == [[1, 4, 3], [2, 0]]
    assert runs_of([500, 9, 480, 14, 9], bounds(pads=False)) == [[1, 4], [3], [2], [0]]
    assert runs_of([512] * 8, bounds()) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert runs_of([], bounds()) == []
