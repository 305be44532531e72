"""Requests that are computed together: the answers that each has alone, and nobody's mistakes but one's own."""

import json

import numpy as np
import orjson
import pytest

from handlers.engines.cancellation import Cancellation, Cancelled, Together
from handlers.engines.loading import build, import_engine
from handlers.engines.manifest import read_manifest
from handlers.functions.problems import InputRefused, InternalFault
from handlers.functions.requests import PredictionRequest
from handlers.tasks.feature_extraction import FeatureExtraction
from handlers.tasks.text import TextModel, load_tokenizer
from pilotlight.packaging import package_model
from tests.parts.handlers.alphabet import byte_tokenizer
from tests.parts.handlers.conftest import LABELS, unpacked
from tests.parts.handlers.tiny import HIDDEN, write_source

INFERENCE = {"0": "contradiction", "1": "neutral", "2": "entailment"}
TASKS = {
    "feature-extraction": ({}, {}),
    "sentence-embedding": ({}, {}),
    "text-classification": ({"id2label": LABELS}, {"top_k": None}),
    "token-classification": (
        {"id2label": LABELS, "architectures": ["BertForTokenClassification"]},
        {"ignore_labels": [], "aggregation_strategy": "simple"},
    ),
    "zero-shot-classification": ({"id2label": INFERENCE}, {"candidate_labels": ["warm", "cloud sleep call", "cold"]}),
}
# Of every length that the model has, in lists and alone; in what order they come must not matter.
TEXTS = ["cold", ["start warm", ""], "cloud " * 30, ["call " * 7, "sleeps " * 15, "cold " * 500, "warm"], "Colds call", "cold start " * 20]
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=TASKS)
def served(request, workshop):
    """A task, a model of it and the parameters to ask with."""
    config, parameters = TASKS[request.param]
    source = write_source(workshop / f"together-{request.param}-source", **config)
    archive = package_model(str(source), request.param, "onnx", workshop / "cache", progress=lambda line: None).archive
    folder = unpacked(archive, workshop / f"together-{request.param}")
    manifest = read_manifest(folder)
    import_engine(manifest.engine, manifest.task)
    return folder, build(folder, manifest, threads=1), parameters


def asked(*inputs, **parameters):
    return [
        (PredictionRequest(tuple(each) if isinstance(each, list) else (each,), isinstance(each, list), parameters), Cancellation())
        for each in inputs
    ]


def plain(outputs):
    return json.loads(orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY))


def assert_near(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert_near(list(found.values()), list(expected.values()))
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=TOLERANCE)
    else:
        assert found == expected


def test_answers_are_those_of_each_request_alone(served):
    folder, model, parameters = served
    alone = build(folder, read_manifest(folder), threads=1, most_texts=1)
    expected = [plain(alone.predict(*each)) for each in asked(*TEXTS, **parameters)]
    for order in (TEXTS, TEXTS[::-1]):
        found = dict(model.predict_together(asked(*order, **parameters)))
        assert sorted(found) == list(range(len(TEXTS)))
        for place, each in enumerate(order):
            assert_near(plain(found[place]), expected[TEXTS.index(each)])
    assert alone.counted()["padding"] == 0
    assert 0 < model.counted()["padding"] < model.counted()["text"]


def test_each_request_keeps_its_own_parameters(served):
    _, model, _ = served
    if not hasattr(model, "_function"):
        pytest.skip("labels have parameters")
    requests = [*asked("cold", top_k=1), *asked("cold", top_k=2), *asked("cold"), *asked("cold", function_to_apply="none", top_k=None)]
    found = dict(model.predict_together(requests))
    assert [len(found[place]) for place in range(4)] == [1, 2, 1, 3]
    assert sum(score["score"] for score in found[3]) != pytest.approx(1)


def test_a_label_that_is_too_long_fails_its_own_request_alone(served):
    _, model, parameters = served
    if "candidate_labels" not in parameters:
        pytest.skip("no other task has labels in its requests")
    good, bad = asked("cold", "cold", **parameters)
    bad = (bad[0]._replace(parameters={"candidate_labels": ["warm", "cold " * 80]}), bad[1])
    found = dict(model.predict_together([bad, good]))
    assert isinstance(found[0], InputRefused)
    assert found[1]["sequence"] == "cold"


class Fussy:
    """An engine that gives the tokens' own numbers; it breaks where 7 is among them, computes no number for 5, and notes its runs."""

    batches = pads = True
    on_gpu = False

    def __init__(self):
        self.runs = []
        self.before = lambda: None

    def run(self, tokens, types, cancellation, mask=None):
        self.before()
        cancellation.check()
        self.runs.append(tokens.shape)
        if (tokens == 7).any():
            raise RuntimeError("index out of bounds")
        output = np.repeat(tokens[..., None], HIDDEN, axis=-1).astype(np.float32)
        output[tokens == 5] = np.nan
        return output


@pytest.fixture
def fussy(tiny):
    engine = Fussy()
    return engine, FeatureExtraction(TextModel(load_tokenizer(tiny / "tokenizer.json", 64), engine, 32), None)


# The number of each word is its place in the vocabulary (`tiny.py`).
GOOD, BROKEN, NO_NUMBER = "start", "warm", "cold"


def test_what_breaks_the_model_breaks_for_its_own_request_alone(fussy):
    engine, model = fussy
    found = dict(model.predict_together(asked(GOOD, BROKEN, [GOOD, GOOD], NO_NUMBER, [GOOD, NO_NUMBER])))
    assert isinstance(found[1], RuntimeError)
    assert isinstance(found[3], InternalFault)
    assert isinstance(found[4], InternalFault)
    assert [np.shape(found[0]), len(found[2])] == [(1, 3, HIDDEN), 2]
    assert engine.runs == [(7, 3), (1, 3), (1, 3), (2, 3), (1, 3), (2, 3)]


def test_who_is_given_up_is_not_computed_and_nobody_else_loses_by_it(fussy):
    engine, model = fussy
    requests = asked(GOOD, GOOD, [GOOD, "call " * 40])
    requests[1][1].cancel()
    engine.before = lambda: len(engine.runs) == 1 and requests[2][1].cancel()
    found = dict(model.predict_together(requests))
    assert np.shape(found[0]) == (1, 3, HIDDEN)
    assert isinstance(found[1], Cancelled)
    assert isinstance(found[2], Cancelled)
    assert engine.runs == [(2, 3)], "the second run was nobody's any more"


def test_short_requests_are_answered_before_the_long_ones_are_computed(fussy):
    engine, model = fussy
    answers = model.predict_together(asked("call " * 60, GOOD))
    assert next(answers)[0] == 1
    assert engine.runs == [(1, 3)]
    assert [place for place, _ in answers] == [0]


def test_many_more_texts_than_are_read_ahead_are_all_answered_in_order(fussy):
    _, model = fussy
    words = [GOOD if place % 3 else "call cloud" for place in range(2500)]
    found = model.predict(*asked(words)[0])
    assert [array.shape[1] for array in found] == [3 if place % 3 else 4 for place in range(2500)]


def test_a_graph_that_takes_one_text_at_a_time_is_given_one(fussy):
    engine, _ = fussy
    engine.batches = False
    model = FeatureExtraction(TextModel(fussy[1]._model.tokenizer, engine, 32), None)
    assert len(model.predict(*asked([GOOD] * 3)[0])) == 3
    assert engine.runs == [(1, 3)] * 3


def test_what_is_computed_together_is_stopped_by_the_last_who_leaves():
    first, second = Cancellation(), Cancellation()
    stopped = []
    both = Together([first, second])
    with both.stopping(lambda: stopped.append(True)):
        first.cancel()
        assert (stopped, both.cancelled) == ([], False)
        second.cancel()
        assert stopped
    with pytest.raises(Cancelled):
        both.check()
    with pytest.raises(Cancelled), both.stopping(lambda: None):
        raise AssertionError("nobody is left")


def test_who_left_before_does_not_keep_the_others_from_being_computed():
    first, second = Cancellation(), Cancellation()
    first.cancel()
    stopped = []
    with Together([first, second]).stopping(lambda: stopped.append(True)):
        assert stopped == []
        second.cancel()
    assert stopped


def test_a_text_without_a_token_is_refused_and_the_others_are_computed():
    """Where a tokenizer adds none by itself."""
    model = FeatureExtraction(TextModel(byte_tokenizer(), Fussy(), 32), None)
    found = dict(model.predict_together(asked("", "a")))
    assert isinstance(found[0], InputRefused)
    assert np.shape(found[1]) == (1, 1, HIDDEN)
