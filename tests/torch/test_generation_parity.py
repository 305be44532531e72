"""Task text-generation against transformers' own `generate`: the same tokens, one by one, alone and beside others."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import LlamaConfig as Theirs
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.llama import LlamaConfig, _frequencies
from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import read_manifest
from handlers.functions.problems import InputRefused
from handlers.functions.requests import check, from_value
from handlers.server.contracts.chats import text_of
from handlers.tasks.text_generation import TextGeneration
from tests.torch.models import CONTEXT, WRITERS
from tests.torch.texts import TEXTS

# Those that leave place for an answer.
PROMPTS = [text for text in TEXTS.values() if text and len(text) < 200]
NEW = 48
# More than is read between two steps, and short enough for an answer.
LONG = " ".join(PROMPTS)[:286]


def served(models: Path, kind: str, places: int = 32) -> TextGeneration:
    folder = models / f"{kind}-text-generation-torch"
    import_engine("torch", "text-generation")
    made: Any = build(folder, read_manifest(folder), threads=1, most_texts=places)
    return made


@cache
def reference(folder: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def expected(folder: Path, text: str, new: int = NEW, *, special: bool = True, **settings: Any) -> tuple[list[int], str]:
    tokenizer, model = reference(folder)
    encoded = tokenizer(text, return_tensors="pt", add_special_tokens=special)
    with torch.inference_mode():
        whole = model.generate(**encoded, max_new_tokens=new, do_sample=False, **settings)[0]
    tokens = whole[encoded["input_ids"].shape[1] :].tolist()
    return tokens, tokenizer.decode(tokens, skip_special_tokens=True)


def asked(inputs: Any, **parameters: Any) -> Any:
    request = from_value({"inputs": inputs, "parameters": {"max_new_tokens": NEW, "details": True, **parameters}}, max_inputs=64)
    check("text-generation", request)
    return request


def tokens(row: Any) -> list[int]:
    return [token["id"] for token in row[0]["tokens"]]


@pytest.mark.parametrize("kind", WRITERS)
def test_every_token_is_the_one_of_generate(models, sources, kind):
    model = served(models, kind)
    seen = set()
    for text in [*PROMPTS, LONG]:
        (row,) = model.predict(asked([text]), Cancellation())
        wanted, written = expected(sources / kind, text)
        assert tokens(row) == wanted
        assert row[0]["generated_text"] == written
        assert row[0]["finish_reason"] == ("stop" if wanted[-1] == 1 else "length")
        seen |= set(wanted)
    assert 256 < row[0]["prompt_tokens"] <= CONTEXT - NEW, "the long one is read in parts"
    assert len(seen) > 2 * len(PROMPTS), "a model that writes one token for ever shows nothing"


@pytest.mark.parametrize("kind", WRITERS)
def test_texts_that_join_and_leave_have_the_tokens_of_each_alone(models, sources, kind):
    """Three places for all: prompts of every length begin while others are in the middle."""
    model = served(models, kind, places=3)
    texts = [LONG, *PROMPTS]
    lengths = [NEW, *(5 + 7 * place % 31 for place in range(len(PROMPTS)))]
    opened, over, steps = {}, {}, 0
    waiting = list(zip(texts, lengths, strict=True))
    while waiting or len(over) < len(opened):
        if waiting and steps % 3 == 0:
            text, new = waiting.pop(0)
            opened[model.begin(asked(text, max_new_tokens=new), Cancellation())] = text, new
        for done in model.step():
            over[done] = done.outputs()
        steps += 1
        assert len(model._batch) <= 3
    for each, (text, new) in opened.items():
        assert tokens(over[each]) == expected(sources / kind, text, new)[0]


@pytest.mark.parametrize("kind", WRITERS)
def test_who_is_given_up_leaves_and_the_others_lose_nothing(models, sources, kind):
    model = served(models, kind)
    leaving = [Cancellation(), Cancellation()]
    opened = [model.begin(asked(PROMPTS[place]), given) for place, given in enumerate([*leaving, Cancellation()])]
    over: dict[Any, Any] = {}
    for step in range(3 * NEW):
        if step == 7:
            leaving[0].cancel()
        if step == 11:
            leaving[1].cancel()
        for done in model.step():
            over[done] = step
        if step in (7, 11):
            assert over[opened[step == 11]] == step, "it leaves at the next step"
    assert tokens(opened[2].outputs()) == expected(sources / kind, PROMPTS[2])[0]
    with pytest.raises(Cancelled):
        opened[0].outputs()
    assert (model.free, model._batch, len(model._opened)) == (32, [], 0)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 10_000.0},
        {"rope_type": "linear", "rope_theta": 50_000.0, "factor": 3.0},
        WRITERS["llama-scaled"]["rope_parameters"],
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_positions_turn_as_transformers_turns_them(rope):
    theirs = Theirs(hidden_size=64, num_attention_heads=4, rope_parameters=dict(rope))
    found = _frequencies(LlamaConfig.from_values(theirs.to_dict()))
    assert torch.equal(found, LlamaRotaryEmbedding(theirs).inv_freq)
    # As checkpoints have it that were saved before transformers 5.
    old = {name: value for name, value in rope.items() if name != "rope_theta"}
    before = {**theirs.to_dict(), "rope_parameters": None, "rope_scaling": old, "rope_theta": rope["rope_theta"]}
    assert torch.equal(_frequencies(LlamaConfig.from_values(before)), found)


def test_the_log_chance_of_a_token_is_the_models(models, sources):
    (row,) = served(models, "llama-plain").predict(asked([PROMPTS[0]]), Cancellation())
    tokenizer, model = reference(sources / "llama-plain")
    ids = tokenizer(PROMPTS[0])["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids + tokens(row)])).logits[0, len(ids) - 1 : -1]
    chances = torch.log_softmax(logits.double(), dim=-1)
    wanted = [float(chances[place, token]) for place, token in enumerate(tokens(row))]
    assert [token["logprob"] for token in row[0]["tokens"]] == pytest.approx(wanted, abs=1e-3)


def test_a_text_ends_before_what_it_is_to_stop_at(models, sources):
    model = served(models, "llama-plain")
    (whole,) = model.predict(asked([PROMPTS[0]]), Cancellation())
    written = whole[0]["generated_text"]
    stop = written[9:14]
    told: list[Any] = []
    opened = model.begin(asked(PROMPTS[0], stop=[stop, "never there"]), Cancellation(), told.append)
    while opened not in model.step():
        pass
    (row,) = opened.outputs()
    assert row["generated_text"] == written[: written.index(stop)]
    assert row["finish_reason"] == "stop"
    assert "".join(piece.text for piece in told) == row["generated_text"], "nothing was told that is no part of it"
    assert [bool(piece.output) for piece in told] == [False] * (len(told) - 1) + [True]


def test_a_prompt_and_its_answer_fit_into_the_context(models, sources):
    model = served(models, "llama-plain")
    (row,) = model.predict(asked([LONG]), Cancellation())
    left = CONTEXT - row[0]["prompt_tokens"]
    with pytest.raises(InputRefused, match=f"{left} are left"):
        model.predict(asked([LONG], max_new_tokens=left + 1), Cancellation())
    (row,) = model.predict(asked([LONG], max_new_tokens=left), Cancellation())
    assert tokens(row) == expected(sources / "llama-plain", LONG, left)[0]
    with pytest.raises(InputRefused, match="shorten it"):
        model.predict(asked([LONG * 2]), Cancellation())
    with pytest.raises(InputRefused, match="shorten it"):
        model.predict(asked([LONG * 4000]), Cancellation())
    assert model.free == 32


def test_what_is_drawn_is_drawn_again_with_the_same_seed(models):
    model = served(models, "llama-plain")
    drawn = [tokens(model.predict(asked(PROMPTS[0], temperature=1.5, seed=seed), Cancellation())) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    greedy = tokens(model.predict(asked(PROMPTS[0]), Cancellation()))
    for parameters in ({"temperature": 0}, {"temperature": 2.0, "top_k": 1}, {"temperature": 2.0, "top_p": 1e-9}, {"do_sample": False}):
        assert tokens(model.predict(asked(PROMPTS[0], **parameters), Cancellation())) == greedy


def test_a_chat_is_written_as_the_tokenizers_own_template_writes_it(models, sources):
    manifest = read_manifest(models / "llama-plain-text-generation-torch")
    messages = [{"role": "system", "content": " be kind "}, {"role": "user", "content": "<b>\n"}]
    tokenizer, _ = reference(sources / "llama-plain")
    assert text_of(messages, manifest) == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("kind", WRITERS)
def test_numbers_that_are_none_fail_their_own_request_alone(models, sources, kind):
    """They are in the table of keys and values too, where a shorter text takes the row that failed, and another one begins."""
    model = served(models, kind)
    engine = model._generator
    step = engine.step
    short, middle, long = sorted(PROMPTS, key=len)[:3]
    good, bad, moved = (model.begin(asked(text), Cancellation()) for text in (LONG, long, short))

    def broken(last):
        logits = step(last)
        if bad.rows[0] in model._batch and moved.rows[0] in model._batch:
            row = model._batch.index(bad.rows[0])
            logits[row] = np.nan
            assert engine._lengths[row] > engine._lengths[-1] + 1
            with torch.inference_mode():
                engine._table[:, :, row, :, engine._lengths[row] - 1] = np.nan
        return logits

    engine.step = broken
    over: list[Any] = []
    while bad not in over:
        over += model.step()
    assert "not a number" in str(bad.failure)
    assert [row.of for row in model._batch] == [good, moved]
    later = model.begin(asked(middle), Cancellation())
    while len(over) < 4:
        over += model.step()
    for each, text in ((good, LONG), (moved, short), (later, middle)):
        assert tokens(each.outputs()) == expected(sources / kind, text)[0]
