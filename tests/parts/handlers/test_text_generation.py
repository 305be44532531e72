"""Texts that are written side by side, without torch: what is drawn, what is told, who joins and who leaves."""

import itertools

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.functions.problems import InputRefused, InternalFault
from handlers.functions.requests import PredictionRequest, check
from handlers.tasks import text_generation
from handlers.tasks.continuing import Opened, Row
from handlers.tasks.sampling import Wishes, choose, drawn_from, log_chance, wishes_of
from handlers.tasks.writing import Writing
from tests.parts.handlers.alphabet import CONTEXT, TASK, alphabet_model, byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture
def model():
    return alphabet_model()


def asked(*texts, many=False, **parameters):
    request = PredictionRequest(texts, many, parameters)
    check(TASK, request)
    return request


def test_a_special_token_is_a_text_to_stop_at(model):
    """Its text is left out of what is written."""
    model._ends = frozenset()
    (whole,), (row,) = (model.predict(asked("w", max_new_tokens=9, **more), Cancellation()) for more in ({}, {"stop": ["q", "</s>"]}))
    assert (whole["generated_text"], whole["finish_reason"], whole["generated_tokens"]) == ("xyz", "length", 9)
    assert (row["generated_text"], row["finish_reason"], row["generated_tokens"]) == ("xyz", "stop", 4)


def test_a_text_to_stop_at_in_the_last_token_is_why_the_text_is_over():
    """It ends with the first byte of a character, so that its text is known at the end alone."""
    tokenizer, told = byte_tokenizer(), []
    tokenizer.add_tokens(["STOP\u00f0"])
    row = Row(Opened(False, 1, Cancellation(), told.append), 0, "", [0], Wishes(most=2), Writing(tokenizer, ("STOP",)))
    for token in ("a", "STOP\u00f0"):
        row.take(tokenizer.token_to_id(token), ends=False, details=None)
    assert (row.output()["generated_text"], row.reason, [piece.text for piece in told]) == ("a", "stop", ["a", ""])


def test_a_text_goes_on_until_it_ends_or_is_long_enough(model):
    (row,) = model.predict(asked("tu"), Cancellation())
    assert (row["generated_text"], row["finish_reason"], row["prompt_tokens"], row["generated_tokens"]) == ("vwxyz", "stop", 2, 5)
    assert model.predict(asked("ab", max_new_tokens=3), Cancellation())[0] | {"prompt_tokens": 0} == {
        "generated_text": "cde",
        "finish_reason": "length",
        "prompt_tokens": 0,
        "generated_tokens": 3,
    }
    assert model.counted() == {"text": 4, "generated": 9}


def test_more_texts_than_places_are_all_written_in_their_order(model):
    answers = model.predict(asked("x", "w", "m", "z", "a", many=True, max_new_tokens=9), Cancellation())
    assert [row["generated_text"] for (row,) in answers] == ["yz", "xyz", "nopqrstuv", "", "bcdefghij"]
    assert model.free == 2


def test_who_comes_joins_and_who_is_done_leaves(model):
    long = model.begin(asked("a", max_new_tokens=20), Cancellation())
    for _ in range(3):
        assert model.step() == []
    short = model.begin(asked("x"), Cancellation())
    steps = 0
    while short not in model.step():
        steps += 1
    assert (steps, model.free, short.outputs()[0]["generated_text"]) == (1, 1, "yz")
    while long not in model.step():
        pass
    assert long.outputs()[0]["generated_text"] == "bcdefghijklmnopqrstu"


def test_a_place_is_free_at_the_next_step_of_who_is_given_up(model):
    leaving, staying = Cancellation(), Cancellation()
    gone, kept = model.begin(asked("a", "b", "c", many=True), leaving), model.begin(asked("t"), staying)
    model.step()
    leaving.cancel()
    assert model.step() == [gone]
    with pytest.raises(Cancelled):
        gone.outputs()
    while kept not in model.step():
        pass
    assert (kept.outputs()[0]["generated_text"], model.free) == ("uvwxyz", 2)


def test_numbers_that_are_none_fail_their_own_request_alone(model):
    bad, good = model.begin(asked("?"), Cancellation()), model.begin(asked("w"), Cancellation())
    over = []
    while len(over) < 2:
        over += model.step()
    assert over == [bad, good]
    with pytest.raises(InternalFault, match="not a number"):
        bad.outputs()
    assert good.outputs()[0]["generated_text"] == "xyz"


def test_a_long_prompt_is_read_in_parts(model):
    model._context = 600
    model._tokenizer.enable_truncation(601)
    model.predict(asked("a" * 590, max_new_tokens=2), Cancellation())
    assert model._generator.read_at_once == [256, 256, 78]


def test_large_texts_become_tokens_one_after_another_while_others_are_written(model, monkeypatch):
    seen, encode = [], text_generation.encode
    monkeypatch.setattr(
        text_generation, "encode", lambda tokenizer, text, **more: seen.append(len(text)) or encode(tokenizer, text, **more)
    )
    # Blanks are tokens as well, but a text is long enough by its letters.
    monkeypatch.setattr(text_generation, "_CHARACTERS", 30)
    other = model.begin(asked("a", max_new_tokens=20), Cancellation())
    model.step()
    del seen[:]
    large = model.begin(asked(*["b" * 20] * 7, many=True, max_new_tokens=1), Cancellation())
    told = [(len(seen), len(model._coming), model.free)]
    for _ in range(4):
        model.step()
        told.append((len(seen), len(model._coming), model.free))
    assert [each for each, _, _ in told] == [2, 4, 6, 7, 7]
    assert [coming for _, coming, _ in told[:3]] == [0, 0, 0], "a request is refused as a whole, so none of it is computed before"
    assert [free for _, _, free in told[:3]] == [-6] * 3
    assert len(other.rows[0].output()["generated_text"]) == 6
    over = set()
    while len(over) < 2:
        over |= set(model.step())
    assert [row["generated_text"] for (row,) in large.outputs()] == ["c"] * 7
    assert model.free == 2


def test_a_request_fails_as_a_whole_by_a_text_that_becomes_tokens_later(model, monkeypatch):
    monkeypatch.setattr(text_generation, "_CHARACTERS", 1)
    told = []
    refused = model.begin(asked("a", "b", "c" * CONTEXT, many=True), Cancellation(), told.append)
    other, left = model.begin(asked("x"), Cancellation()), Cancellation()
    leaving = model.begin(asked("a", "b", "c", many=True), left)
    left.cancel()
    over = set()
    while len(over) < 3:
        over |= set(model.step())
    with pytest.raises(InputRefused, match=r"inputs\[2\] has"):
        refused.outputs()
    with pytest.raises(Cancelled):
        leaving.outputs()
    assert (told, other.outputs()[0]["generated_text"], model.free) == ([], "yz", 2)
    model.begin(asked("a", "b", many=True), Cancellation())
    model.reset()
    assert (model.free, model.step()) == (2, [])


def test_what_does_not_fit_is_refused_and_a_default_gives_way(model):
    (row,) = model.predict(asked("b" * (CONTEXT - 2)), Cancellation())
    assert (row["generated_text"], row["finish_reason"]) == ("cd", "length")
    for text, parameters, said in [
        ("b" * (CONTEXT - 2), {"max_new_tokens": 3}, "2 are left"),
        ("b" * CONTEXT, {}, "shorten it"),
        ("b" * 100_000, {}, "shorten it"),
        ("", {}, "no token"),
    ]:
        with pytest.raises(InputRefused, match=said):
            model.predict(asked("a", text, many=True, **parameters), Cancellation())
    assert model.free == 2, "a request is refused as a whole"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_new_tokens", value) for value in (0, -1, True, 1.5, "3", None, 10**9)),
        *(("temperature", value) for value in (-0.1, 101, True, "1", None)),
        *(("top_p", value) for value in (0, 1.1, None)),
        *(("top_k", value) for value in (0, 1.5)),
        *(("seed", value) for value in (-1, 2**64, 1.0)),
        *(("stop", value) for value in ("x", [""], [1], ["x"] * 5, ["x" * 101])),
        *((name, 1) for name in ("do_sample", "details", "return_full_text", "add_special_tokens")),
        ("repetition_penalty", 1.1),
    ],
)
def test_what_a_parameter_can_not_be_is_refused_by_its_name(name, value):
    with pytest.raises(InputRefused, match=rf"parameters\.{name}"):
        asked("a", **{name: value})


def test_what_is_drawn_is_cut_as_asked():
    logits = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))

    def drawn(**wishes):
        random = np.random.default_rng(0)
        found = [choose(logits, Wishes(1, temperature=1.0)._replace(**wishes), random) for _ in range(2000)]
        return [round(found.count(token) / len(found), 1) for token in range(4)]

    assert drawn() == [0.1, 0.4, 0.2, 0.3]
    assert drawn(temperature=0.0) == drawn(temperature=1e-9) == drawn(top_k=1) == drawn(top_p=0.4) == [0, 1, 0, 0]
    assert drawn(top_k=2) == drawn(top_p=0.6) == [0, 0.6, 0, 0.4]
    assert log_chance(logits, 1) == pytest.approx(np.log(0.4), abs=1e-6)


def test_words_as_likely_as_the_last_of_top_k_are_drawn_too():
    logits, random = np.array([1, 3, 2, 2, 0], np.float32), np.random.default_rng(0)
    assert {choose(logits, Wishes(1, temperature=9.0, top_k=2), random) for _ in range(500)} == {1, 2, 3}
    assert {choose(logits, Wishes(1, temperature=9.0, top_k=9), random) for _ in range(500)} == {0, 1, 2, 3, 4}


def test_no_word_without_a_chance_is_drawn():
    class Last:
        def random(self):
            return np.nextafter(1.0, 0.0)

    logits = np.array([0, 0, -1e6, -1e6], np.float32)
    assert [choose(logits, Wishes(1, temperature=1.0, top_p=top_p), Last()) for top_p in (1.0, 0.99)] == [1, 1]


def test_the_vocabulary_is_not_sorted_for_a_word(monkeypatch):
    logits, random = np.random.default_rng(1).normal(scale=3, size=128_000).astype(np.float32), np.random.default_rng(0)
    sort, sorted_ = np.argsort, []

    def counted(values, **settings):
        sorted_.append(len(values))
        return sort(values, **settings)

    monkeypatch.setattr(np, "argsort", counted)
    for wishes in (Wishes(1, temperature=1.0), Wishes(1, temperature=1.0, top_k=50), Wishes(1, temperature=1.0, top_k=50, top_p=0.9)):
        choose(logits, wishes, random)
    assert sum(sorted_) <= 50
    choose(logits, Wishes(1, temperature=0.7, top_p=0.9), random)
    assert sum(sorted_) < len(logits) / 4


@pytest.mark.parametrize("seed", range(20))
def test_top_p_keeps_the_words_that_a_sort_of_all_of_them_keeps(seed):
    random = np.random.default_rng(seed)
    logits = (random.normal(size=500) * random.choice([0.1, 1, 5])).astype(np.float32)
    for top_k, top_p in itertools.product((None, 7, 400), (0.01, 0.5, 0.9, 0.9999)):
        order = np.argsort(-logits, kind="stable")[:top_k]
        chances = np.exp(logits[order].astype(np.float64) - logits.max())
        kept = int(np.searchsorted((chances / chances.sum()).cumsum(), top_p)) + 1
        tokens, found = drawn_from(logits, Wishes(1, temperature=1.0, top_k=top_k, top_p=top_p))
        assert tokens.tolist() == order[:kept].tolist()
        assert found / found.sum() == pytest.approx(chances[:kept] / chances[:kept].sum())


def test_something_is_drawn_where_it_is_asked_for():
    given = ({}, {"temperature": 0.5}, {"top_p": 0.5}, {"do_sample": True}, {"do_sample": False, "temperature": 2}, {"temperature": 0})
    assert [wishes_of(parameters, 5).temperature for parameters in given] == [0, 0.5, 1, 1, 0, 0]


def write(tokenizer, text, *stop):
    writing = Writing(tokenizer, stop)
    pieces = []
    for token in tokenizer.encode(text, add_special_tokens=False).ids:
        pieces.append(writing.add(token))
        if writing.stopped:
            break
    return [piece for piece in [*pieces, writing.finish()] if piece], writing


def test_characters_of_several_tokens_come_whole(tokenizer):
    assert write(tokenizer, "a€ü")[0] == ["a", "€", "ü"]
    writing = Writing(tokenizer, ())
    assert [writing.add(token) for token in tokenizer.encode("€").ids[:2]] == ["", ""]
    assert writing.finish(), "half a character is told as one that is none"


@pytest.fixture(scope="module")
def sentencepiece():
    """A tokenizer as Llama 2 has one: blanks before words, of which the text's first is dropped, and bytes where there is no word."""
    words = [
        "<unk>",
        *(f"<0x{number:02X}>" for number in range(256)),
        "\N{LOWER ONE EIGHTH BLOCK}is",
        "\N{LOWER ONE EIGHTH BLOCK}Paris",
        ".",
    ]
    made = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True))
    steps = [decoders.Replace("\N{LOWER ONE EIGHTH BLOCK}", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(steps)
    return made


def test_the_blank_of_the_first_word_is_written_behind_a_prompt(sentencepiece):
    is_, paris, dot = (sentencepiece.token_to_id(word) for word in ("\N{LOWER ONE EIGHTH BLOCK}is", "\N{LOWER ONE EIGHTH BLOCK}Paris", "."))
    writing = Writing(sentencepiece, (), [is_])
    assert [writing.add(paris), writing.add(dot), writing.finish()] == [" Paris", ".", ""]
    assert (writing.text, writing.tokens) == (" Paris.", 2)
    # At the beginning of a text there is none.
    assert Writing(sentencepiece, ()).add(paris) == "Paris"


def test_bytes_that_change_what_is_before_them_end_no_text(sentencepiece):
    line, first, paris = (sentencepiece.token_to_id(word) for word in ("<0x0A>", "<0xF0>", "\N{LOWER ONE EIGHTH BLOCK}Paris"))
    writing = Writing(sentencepiece, (), [paris])
    pieces = [writing.add(token) for token in (line, first, paris, paris)]
    assert pieces[:2] == ["\n", ""]
    assert "".join(pieces).count("Paris") == 2
    euro = [sentencepiece.token_to_id(f"<0x{byte:02X}>") for byte in "\N{EURO SIGN}".encode()]
    assert [writing.add(token) for token in euro] == ["", "", "\N{EURO SIGN}"]


def test_a_prompt_of_characters_that_are_bytes_leaves_the_next_one_whole(sentencepiece):
    """Wherever the last tokens of it begin."""

    def tokens(text):
        return [sentencepiece.token_to_id(f"<0x{byte:02X}>") for byte in text.encode()]

    for prompt in ("\u1230" * 5, "a\u1230\u1230\u1230", "\u1230\u1230\u1230a", "\U0001f600" * 4):
        writing = Writing(sentencepiece, (), tokens(prompt))
        assert "".join([*(writing.add(token) for token in tokens("\u1230!")), writing.finish()]) == "\u1230!"


def test_bytes_that_never_become_a_character_are_told_and_forgotten(sentencepiece):
    writing, broken = Writing(sentencepiece, ()), sentencepiece.token_to_id("<0xF0>")
    pieces = [writing.add(broken) for _ in range(100)]
    assert len(writing._last) < 40
    assert "".join(pieces)[:17] == "\N{REPLACEMENT CHARACTER}" * 17


def test_who_can_not_be_told_fails_alone(model):
    def deaf(piece):
        raise OSError("nobody listens")

    lost = model.begin(asked("a"), Cancellation(), deaf)
    other = model.begin(asked("x"), Cancellation())
    done = set()
    while len(done) < 2:
        done |= set(model.step())
    assert other.outputs()[0]["generated_text"] == "yz"
    with pytest.raises(OSError, match="nobody listens"):
        lost.outputs()


def test_who_gives_up_in_the_middle_of_a_step_is_told_of_by_one_of_them(model, monkeypatch):
    opened, looks = model.begin(asked("a"), Cancellation()), []

    def done(_):
        looks.append(True)
        return len(looks) > 1

    monkeypatch.setattr(Opened, "done", property(done))
    assert [each for _ in range(3) for each in model.step()] == [opened]


def test_a_request_of_many_texts_whose_client_left_is_not_read_to_its_end(model):
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        model.begin(asked("a", "b", many=True), cancellation)


def test_what_may_be_the_end_is_held_until_it_is_not(tokenizer):
    pieces, writing = write(tokenizer, "abXabYc", "abY")
    assert (pieces, writing.text, writing.stopped) == (["abX"], "abX", True)
    assert write(tokenizer, "abXab", "abY")[0] == ["abX", "ab"]
    assert write(tokenizer, "aab", "ab", "b")[1].text == "a"
