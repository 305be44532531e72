"""What token and zero-shot classification make of a model's numbers: packaged tiny models, and numbers that are set by hand.

That the answers are transformers' own is told by `tests/torch`.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import ModelError, read_manifest
from handlers.functions.problems import InputRefused
from handlers.functions.requests import check, from_value
from handlers.tasks import zero_shot
from handlers.tasks.text import TextModel, encode, load_tokenizer
from handlers.tasks.token_classification import TokenClassification
from handlers.tasks.zero_shot import ZeroShotClassification
from pilotlight.packaging import PackagingError, package_model
from tests.parts.handlers.conftest import unpacked
from tests.parts.handlers.tiny import write_source

TAGS = ("O", "B-PER", "I-PER", "B-LOC")
INFERENCE = {"0": "contradiction", "1": "neutral", "2": "entailment"}


def package(workshop, name, task, **config):
    folder = workshop / name
    if not folder.is_dir():
        source = write_source(workshop / f"{name}-source", **config)
        unpacked(package_model(str(source), task, "onnx", workshop / "cache", progress=lambda line: None).archive, folder)
    return folder


def built(folder):
    manifest = read_manifest(folder)
    import_engine(manifest.engine, manifest.task)
    return build(folder, manifest, threads=1)


@pytest.fixture
def tagger(workshop):
    labels = {str(index): tag for index, tag in enumerate(TAGS)}
    return package(workshop, "tagger", "token-classification", id2label=labels, architectures=["BertForTokenClassification"])


@pytest.fixture
def inference(workshop):
    return package(workshop, "inference", "zero-shot-classification", id2label=INFERENCE)


def ask(task, model, inputs, **parameters):
    request = from_value({"inputs": inputs, "parameters": parameters}, max_inputs=8)
    check(task, request)
    return model.predict(request, Cancellation())


class Tags:
    """An engine that gives every token, [CLS] and [SEP] included, the tag at its place, with this score before the softmax."""

    batches = pads = on_gpu = False

    def __init__(self, *tags, height=10.0):
        self.logits = np.zeros((1, len(tags) + 2, len(TAGS)), np.float32)
        for place, tag in enumerate(tags, start=1):
            self.logits[0, place, TAGS.index(tag)] = height

    def run(self, tokens, types, cancellation, mask=None):
        return self.logits[:, : tokens.shape[1]]


def tag(tagger, engine, text, **parameters):
    manifest = SimpleNamespace(labels=TAGS, task="token-classification")
    model = TokenClassification(TextModel(load_tokenizer(tagger / "tokenizer.json", 64), engine), manifest)
    return ask("token-classification", model, text, **parameters)


def test_every_token_has_its_tag_its_word_and_its_place(tagger):
    found = tag(tagger, Tags("B-PER", "I-PER", "O"), "Colds call")
    assert [(item["entity"], item["word"], item["index"], item["start"], item["end"]) for item in found] == [
        ("B-PER", "cold", 1, 0, 4),
        ("I-PER", "##s", 2, 4, 5),
    ]
    assert found[0]["score"] == pytest.approx(np.exp(10) / (np.exp(10) + 3))
    assert len(tag(tagger, Tags("B-PER", "I-PER", "O"), "Colds call", ignore_labels=[])) == 3


@pytest.mark.parametrize(
    ("tags", "strategy", "spans"),
    [
        (("B-PER", "I-PER", "B-PER"), "simple", [("PER", "cold ##s", 0, 5), ("PER", "call", 6, 10)]),
        (("B-PER", "B-LOC", "O"), "simple", [("PER", "cold", 0, 4), ("LOC", "##s", 4, 5)]),
        (("B-PER", "B-LOC", "O"), "first", [("PER", "cold ##s", 0, 5)]),
        (("I-PER", "O", "I-PER"), "first", [("PER", "cold ##s call", 0, 10)]),
        (("O", "B-PER", "B-LOC"), "first", [("LOC", "call", 6, 10)]),
    ],
    ids=str,
)
def test_neighbours_of_one_kind_are_one_span_and_words_are_not_torn(tagger, tags, strategy, spans):
    found = tag(tagger, Tags(*tags), "Colds call", aggregation_strategy=strategy)
    assert [(item["entity_group"], item["word"], item["start"], item["end"]) for item in found] == spans


def test_max_follows_the_surest_token_and_average_the_mean(tagger):
    engine = Tags("B-PER", "B-LOC", "O", height=1.0)
    engine.logits[0, 2, TAGS.index("B-LOC")] = 3.0
    for strategy, kind in (("first", "PER"), ("max", "LOC"), ("average", "LOC")):
        assert tag(tagger, engine, "Colds call", aggregation_strategy=strategy)[0]["entity_group"] == kind


def test_an_unknown_word_keeps_its_letters(tagger):
    assert tag(tagger, Tags("B-PER", "O"), "Zürich call")[0] | {"score": 0} == {
        "entity": "B-PER",
        "score": 0,
        "index": 1,
        "word": "Zürich",
        "start": 0,
        "end": 6,
    }


@pytest.mark.parametrize("unknown", ["[UNK]", "<unk>", "?"])
def test_a_vocabulary_of_pieces_has_an_unknown_token_of_any_name(tmp_path, unknown):
    pieces = [("[PAD]", 0.0), (unknown, 0.0), ("\N{LOWER ONE EIGHTH BLOCK}", -3.0), *((letter, -4.0) for letter in "acl<>")]
    made = Tokenizer(models.Unigram(pieces, 1, False))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    made.save(str(tmp_path / "tokenizer.json"))
    words = [item["word"] for item in tag(tmp_path, Tags(*["B-PER"] * 8), "\u00c4\u00d6 call", ignore_labels=[])]
    assert words == ["\N{LOWER ONE EIGHTH BLOCK}", "\u00c4\u00d6", "\N{LOWER ONE EIGHTH BLOCK}", *"call"]


def test_a_vocabulary_of_pieces_without_an_unknown_token_is_served(tmp_path):
    made = Tokenizer(models.Unigram([(letter, -1.0) for letter in "acl"], None, False))
    made.save(str(tmp_path / "tokenizer.json"))
    assert [item["word"] for item in tag(tmp_path, Tags(*["B-PER"] * 4), "call", ignore_labels=[])] == [*"call"]


def test_a_packaged_tagger_answers_one_and_many(tagger):
    model = built(tagger)
    one = ask("token-classification", model, "cold start", ignore_labels=[])
    assert [item["word"] for item in one] == ["cold", "start"]
    assert ask("token-classification", model, ["cold start"], ignore_labels=[]) == [one]
    assert ask("token-classification", model, "", ignore_labels=[]) == []


def test_a_packaged_model_of_inference_weighs_the_callers_labels(inference):
    model = built(inference)
    found = ask("zero-shot-classification", model, "cold start", candidate_labels=["warm", "cloud", "sleep"])
    assert found["sequence"] == "cold start"
    assert sorted(found["labels"]) == ["cloud", "sleep", "warm"]
    assert list(found["scores"]) == sorted(found["scores"], reverse=True)
    assert sum(found["scores"]) == pytest.approx(1)
    assert ask("zero-shot-classification", model, ["cold start"], candidate_labels=" warm,cloud, sleep ,")[0]["labels"] == found["labels"]
    alone = ask("zero-shot-classification", model, "cold start", candidate_labels=["warm", "cloud"], multi_label=True)
    for label, score in zip(alone["labels"], alone["scores"], strict=True):
        found = ask("zero-shot-classification", model, "cold start", candidate_labels=[label])["scores"][0]
        assert found == pytest.approx(score, abs=1e-6)


def test_the_text_is_cut_and_the_label_is_not(inference):
    tokenizer = load_tokenizer(inference / "tokenizer.json", 64)
    tokenizer.enable_truncation(64, strategy="only_first")
    plain = Tokenizer.from_file(str(inference / "tokenizer.json"))
    plain.enable_truncation(64, strategy="only_first")
    for text in ("cold", "cold " * 100, "sleep cold " * 20_000):
        found = encode(tokenizer, text, "call cloud")
        assert found.ids == plain.encode(text, "call cloud").ids
        assert found.type_ids[-3:] == [1, 1, 1]


def test_a_text_is_looked_through_once_for_all_labels(inference, monkeypatch):
    read = []
    monkeypatch.setattr(zero_shot, "shortened", lambda tokenizer, text: read.append(text) or text)
    ask("zero-shot-classification", built(inference), ["cold", "warm"], candidate_labels=["a", "b", "c"])
    assert read == ["cold", "warm"]


def test_a_label_longer_than_the_model_is_refused(inference):
    with pytest.raises(InputRefused, match="too long for the model"):
        ask("zero-shot-classification", built(inference), "cold", candidate_labels=["cold " * 80])


@pytest.mark.parametrize(
    ("task", "parameters", "told"),
    [
        ("zero-shot-classification", {}, "candidate_labels is missing"),
        ("zero-shot-classification", {"candidate_labels": []}, "a list of 1 to 100 texts"),
        ("zero-shot-classification", {"candidate_labels": ["a"] * 101}, "a list of 1 to 100 texts"),
        ("zero-shot-classification", {"candidate_labels": ["a", 1]}, "a list of 1 to 100 texts"),
        ("zero-shot-classification", {"candidate_labels": ["\ud800"]}, "half of a surrogate pair"),
        ("zero-shot-classification", {"candidate_labels": " , ,"}, "1 to 100 texts"),
        ("zero-shot-classification", {"candidate_labels": ["a", "b" * 501]}, "has a text of 501 characters: 500 are allowed"),
        ("zero-shot-classification", {"candidate_labels": "b" * 501}, "has a text of 501 characters: 500 are allowed"),
        ("zero-shot-classification", {"candidate_labels": "," * 50_101}, "has 50101 characters: 50100 are allowed, 500 a label"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "none"}, "hypothesis_template"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "{0.__class__}"}, "hypothesis_template"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "{:>999999999}"}, "hypothesis_template"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "{} {}"}, "hypothesis_template"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "{"}, "hypothesis_template"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "multi_label": 1}, "true or false"),
        ("token-classification", {"aggregation_strategy": "all"}, "none, simple, first, average, max"),
        ("token-classification", {"aggregation_strategy": ["none"]}, "none, simple, first, average, max"),
        ("token-classification", {"ignore_labels": "O"}, "a list of 0 to 100 texts"),
        ("token-classification", {"ignore_labels": ["O" * 501]}, "500 are allowed"),
        ("token-classification", {"stride": 3}, "allowed are aggregation_strategy, ignore_labels"),
    ],
    ids=str,
)
def test_a_parameter_that_a_task_does_not_take_is_refused(task, parameters, told):
    with pytest.raises(InputRefused, match=told):
        check(task, from_value({"inputs": "a", "parameters": parameters}, max_inputs=8))


def test_models_for_another_task_are_refused_when_packaged_and_when_served(workshop, tmp_path, inference):
    cases = [
        ("zero-shot-classification", {"id2label": {"0": "good", "1": "bad"}}, "a label that begins with 'entail'"),
        ("token-classification", {"id2label": INFERENCE}, "no head for token-classification"),
    ]
    for number, (task, config, told) in enumerate(cases):
        with pytest.raises(PackagingError, match=told):
            package_model(str(write_source(tmp_path / str(number), **config)), task, "onnx", tmp_path / "cache", progress=print)
    with pytest.raises(PackagingError, match=r"engine 'torch' serves .*, not image-classification: use onnx"):
        package_model(str(tmp_path / "0"), "image-classification", "torch", tmp_path / "cache", progress=print)
    manifest = json.loads((inference / "manifest.json").read_text())
    for change, told in (({"labels": {"0": "a"}}, "begins with 'entail'"), ({"labels": None}, "labels are missing")):
        folder = tmp_path / told
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(ModelError, match=told):
            ZeroShotClassification(TextModel(load_tokenizer(inference / "tokenizer.json", 64), Tags()), read_manifest(folder))
