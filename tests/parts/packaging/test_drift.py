"""What is compared of a shrunk model: a number that is none shows wherever it comes, and scores are those that are served."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from handlers.tasks.scores import apply
from pilotlight.packaging.drift import _groups, finish_of, measure

LABELS = {"0": "x", "1": "y"}


def root_of(path, bias):
    """A graph of the root of the mean of a picture's two numbers and a bias: none where that is below 0."""
    nodes = [
        helper.make_node("Add", ["pixel_values", "bias"], ["sum"]),
        helper.make_node("Sqrt", ["sum"], ["roots"]),
        helper.make_node("ReduceMean", ["roots", "axes"], ["logits"], keepdims=0),
    ]
    taken = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 1, 2])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])
    held = [numpy_helper.from_array(np.float32(bias), "bias"), numpy_helper.from_array(np.array([1, 2], np.int64), "axes")]
    model = helper.make_model(helper.make_graph(nodes, "root", [taken], [given], held), opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("place", range(4))
def test_a_sample_that_gives_no_number_is_the_worst_wherever_it_comes(tmp_path, place):
    values = [1.0, 0.5, 0.7, 0.9]
    values[place] = 0.0
    feeds = [{"pixel_values": np.full((1, 3, 1, 2), value, np.float32)} for value in values]
    original, shrunk = root_of(tmp_path / "a.onnx", 0.0), root_of(tmp_path / "b.onnx", -1e-3)
    found = measure(original, shrunk, feeds, "image-classification", {"labels": LABELS})
    assert np.isnan(found.drift)
    assert np.isnan(found.max_abs_difference)
    assert not found.drift <= 0.03
    assert measure(original, original, feeds, "image-classification", {"labels": LABELS}).drift == 0


@pytest.mark.parametrize(
    ("labels", "pair"),
    [
        ({"0": "contradiction", "1": "neutral", "2": "entailment"}, [0, 2]),
        ({"0": "ENTAILMENT", "1": "neutral", "2": "contradiction"}, [-1, 0]),
    ],
)
def test_of_zero_shot_it_is_what_is_answered_of_a_label(labels, pair):
    row = np.array([6.0, 9.0, -4.0], np.float32)
    told = finish_of("zero-shot-classification", {"labels": labels, "problem_type": None})(row)
    np.testing.assert_allclose(told, apply("softmax", row[None][:, pair]), atol=1e-6)


def test_tokens_are_scored_as_they_are_served_whatever_the_models_problem():
    row = np.array([[1.0, 3.0]], np.float32)
    told = finish_of("token-classification", {"labels": LABELS, "problem_type": "multi_label_classification"})(row)
    np.testing.assert_allclose(told, apply("softmax", row), atol=1e-6)


def test_times_are_of_each_sample_once():
    feeds = [{"ids": np.zeros((1, length), np.int64)} for length in (3, 40, 7, 500, 8, 8, 9, 9, 10, 11, 300)]
    alike, unlike = _groups(feeds)
    assert sorted(place for group in alike for place in group) == list(range(len(feeds)))
    assert unlike == [[0, 2, 3]]
