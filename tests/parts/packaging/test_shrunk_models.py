"""Models that are packaged smaller: what becomes of the graph, what is told, what is refused."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.artifact import Shrink, model_key
from pilotlight.cli.shrunk import shrunk_table
from pilotlight.packaging import PackagingError, is_packaged
from pilotlight.packaging.fp16 import store_fp16
from pilotlight.packaging.int8 import quantize_int8
from pilotlight.packaging.prune import prune
from pilotlight.packaging.samples import read_samples
from pilotlight.packaging.shrink import shrink_graph
from tests.parts.handlers.image_models import image_folder, write_graph
from tests.parts.packaging.tiny_models import bert_folder, classifier_folder

WIDE = 1.0  # random weights move further than trained ones


@pytest.fixture
def source(tmp_path):
    return bert_folder(tmp_path / "source")


def product(weights, bias=None, kind="MatMul", **attributes):
    """A model of one product of `x` (rows, columns)."""
    names = ["x", "weights"] + (["bias"] if bias is not None else [])
    tensors = [numpy_helper.from_array(weights, "weights")] + ([numpy_helper.from_array(bias, "bias")] if bias is not None else [])
    node = helper.make_node(kind, names, ["y"], name="product", **attributes)
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", None]) for name in ("x", "y")]
    graph = helper.make_graph([node], "product", sides[:1], sides[1:], tensors)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def computed(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_int8_is_a_quarter_of_the_weights_and_says_how_far_answers_move(packager, members, manifest, source):
    plain = packager(source, "sentence-embedding")
    small = packager(source, "sentence-embedding", shrink=Shrink(quantize="int8", max_drift=WIDE))
    report = small.record["shrunk"]
    assert small.key != plain.key
    assert report["bytes_before"] == sum(len(content) for name, content in members(plain).items() if name.startswith("model.onnx"))
    assert report["bytes_after"] == sum(len(content) for name, content in members(small).items() if name.startswith("model.onnx"))
    assert report["bytes_after"] < 0.6 * report["bytes_before"]
    assert 0 < report["drift"] <= WIDE
    assert report["ms_after"] > 0
    assert manifest(small)["shrunk"] == {"quantize": "int8", "prune": 0.0, "max_drift": WIDE}
    assert "shrunk" not in manifest(plain)


def test_what_is_beside_a_text_does_not_change_its_answer_in_int8(packager, source):
    report = packager(source, shrink=Shrink(quantize="int8", max_drift=WIDE)).record["shrunk"]
    assert report["beside"] < 1e-6


def test_a_row_has_its_own_scale_whatever_the_others_hold():
    draw = np.random.default_rng(3)
    model = product(draw.normal(0, 1, (64, 64)).astype(np.float32))
    original = onnx.ModelProto.FromString(model.SerializeToString())
    assert quantize_int8(model) == 64 * 64
    quiet, loud = draw.normal(0, 1, (1, 64)).astype(np.float32), draw.normal(0, 1000, (1, 64)).astype(np.float32)
    alone = computed(model, quiet)
    np.testing.assert_array_equal(alone, computed(model, np.concatenate([quiet, loud]))[:1])
    assert np.abs(alone - computed(original, quiet)).max() < 0.5


@pytest.mark.parametrize("turned", [0, 1])
def test_a_product_with_a_bias_is_quantized_as_well(turned):
    draw = np.random.default_rng(4)
    weights, bias = draw.normal(0, 1, (64, 128)).astype(np.float32), draw.normal(0, 1, 128).astype(np.float32)
    x = draw.normal(0, 1, (3, 64)).astype(np.float32)
    model = product(np.ascontiguousarray(weights.T) if turned else weights, bias, "Gemm", transB=turned)
    assert quantize_int8(model)
    assert np.abs(computed(model, x) - (x @ weights + bias)).max() < 0.5


@pytest.mark.parametrize("turned_first", [False, True])
def test_a_matrix_that_is_used_both_ways_is_stored_both_ways(turned_first):
    draw = np.random.default_rng(8)
    weights, x = draw.normal(0, 0.1, (64, 64)).astype(np.float32), draw.normal(0, 1, (3, 64)).astype(np.float32)
    model = product(weights, None, "Gemm", transB=int(turned_first))
    model.graph.node.append(helper.make_node("Gemm", ["y", "weights"], ["z"], name="back", transB=int(not turned_first)))
    model.graph.output[0].name = "z"
    expected = computed(model, x)
    assert quantize_int8(model) == 64 * 64
    assert np.abs(computed(model, x) - expected).max() < 0.05 * np.abs(expected).max()


def branching(weights, table):
    """Two products with a step between them, and a choice by `x`'s sum, whose branches read everything that may be made smaller."""
    first, along, second = weights
    tensors = [
        numpy_helper.from_array(each, name) for each, name in ((first, "first"), (along, "along"), (second, "second"), (table, "table"))
    ]
    tensors += [numpy_helper.from_array(np.array([0]), "row"), numpy_helper.from_array(np.array(0, np.float32), "zero")]
    one, row, other = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("one", "looked up", "other"))
    read = [helper.make_node("MatMul", ["x", "first"], ["into"]), helper.make_node("Add", ["into", "along"], ["moved"])]
    inner = helper.make_graph([*read, helper.make_node("MatMul", ["moved", "second"], ["one"])], "inner", [], [one])
    rows = helper.make_graph([helper.make_node("Gather", ["table", "row"], ["looked up"])], "rows", [], [row])
    outer = [helper.make_node("If", ["positive"], ["one"], then_branch=inner, else_branch=rows)]
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["hidden"]),
        helper.make_node("Add", ["hidden", "along"], ["biased"]),
        helper.make_node("MatMul", ["biased", "second"], ["y"]),
        helper.make_node("Gather", ["table", "row"], ["rows of x"]),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        # One branch holds another, which alone reads what is outside.
        helper.make_node(
            "If",
            ["positive"],
            ["z"],
            then_branch=helper.make_graph(outer, "outer", [], [one]),
            else_branch=helper.make_graph([helper.make_node("Identity", ["table"], ["other"])], "other", [], [other]),
        ),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y", "rows of x", "z")]
    graph = helper.make_graph(nodes, "branching", sides[:1], sides[1:], tensors)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize("way", ["int8", "fp16", "prune"])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_a_branch_reads_is_still_there_and_as_it_was(way, sign):
    draw = np.random.default_rng(11)
    numbers = [draw.normal(0, 0.1, shape).astype(np.float32) for shape in ((64, 128), (128,), (128, 64), (128, 64))]
    model, x = branching(numbers[:3], numbers[3]), sign * np.abs(draw.normal(0, 1, (3, 64))).astype(np.float32)

    def answers():
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"x": x})

    expected = answers()
    changed = {"int8": quantize_int8, "fp16": store_fp16, "prune": lambda model: prune(model, 0.5)}[way](model)
    assert (changed > 0) == (way != "prune")
    for found, wanted in zip(answers(), expected, strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 0.05 * np.abs(wanted).max()


def test_a_row_of_zeros_stays_zeros():
    model = product(np.ones((64, 64), np.float32))
    quantize_int8(model)
    assert not computed(model, np.zeros((2, 64), np.float32)).any()


def test_the_largest_sums_of_two_products_fit_16_bits():
    """Where a processor without VNNI would stop at 32,767: all at their largest, the exact product comes out."""
    model = product(np.ones((64, 64), np.float32))
    quantize_int8(model)
    stored = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8)
    assert 2 * 255 * int(np.abs(stored).max()) <= 2**15 - 1
    np.testing.assert_allclose(computed(model, np.full((1, 64), 5, np.float32)), 320, rtol=1e-5)


def test_fp16_is_half_of_the_weights_and_computes_in_float32(packager, members, source):
    small = packager(source, shrink=Shrink(quantize="fp16"))
    report = small.record["shrunk"]
    assert report["bytes_after"] < 0.65 * report["bytes_before"]
    assert report["drift"] < 1e-4
    graph = onnx.ModelProto.FromString(members(small)["model.onnx"]).graph
    assert all(output.type.tensor_type.elem_type == TensorProto.FLOAT for output in graph.output)


def test_pruning_takes_the_neurons_that_do_nothing_and_leaves_the_answers():
    draw = np.random.default_rng(5)
    into, out = draw.normal(0, 1, (64, 64)).astype(np.float32), draw.normal(0, 1, (64, 64)).astype(np.float32)
    idle = np.arange(0, 64, 4)
    out[idle] = 0
    model = product(into)
    nodes = [
        helper.make_node("Add", ["y", "bias"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["active"]),
        helper.make_node("MatMul", ["active", "out"], ["z"]),
    ]
    model.graph.node.extend(nodes)
    bias = draw.normal(0, 1, 64).astype(np.float32)
    model.graph.initializer.extend([numpy_helper.from_array(bias, "bias"), numpy_helper.from_array(out, "out")])
    model.graph.output[0].name = "z"
    x = draw.normal(0, 1, (3, 64)).astype(np.float32)
    before = computed(model, x)
    assert prune(model, 0.25) == 16 * (64 + 64 + 1)
    np.testing.assert_allclose(computed(model, x), before, rtol=1e-4, atol=1e-4)
    assert [list(tensor.dims) for tensor in model.graph.initializer] == [[64, 48], [48], [48, 64]]


def test_pruned_and_quantized_is_smaller_than_quantized(packager, source):
    less, more = (packager(source, shrink=Shrink(quantize="int8", prune=share, max_drift=WIDE)).record["shrunk"] for share in (0.0, 0.25))
    assert more["bytes_after"] < less["bytes_after"]
    assert more["weights_pruned"] == 2 * 32 * (64 + 64 + 1)


def test_beyond_the_allowed_drift_nothing_is_left(packager, source):
    shrink = Shrink(quantize="int8", prune=0.25, max_drift=1e-6)
    with pytest.raises(PackagingError, match=r"drifts by 0\.\d+ \(1 - cosine.*, 1e-06 is allowed: .*not written.*--max-drift.*prune ratio"):
        packager(source, shrink=shrink)
    assert packager.left_over() == []
    assert not is_packaged(str(source), "feature-extraction", "onnx", packager.cache, shrink=shrink)


def test_a_classifier_tells_of_its_labels(packager, tmp_path):
    folder = classifier_folder(tmp_path / "classifier")
    report = packager(folder, "text-classification", shrink=Shrink(quantize="int8", max_drift=WIDE)).record["shrunk"]
    assert report["measure"].startswith("difference of scores")
    assert 0 <= report["labels_agree"] <= 1


def test_the_same_request_is_found_again_and_the_bytes_are_the_same(packager, source):
    shrink = Shrink(quantize="int8", max_drift=WIDE)
    first = packager(source, shrink=shrink)
    again, anew = packager(source, shrink=shrink), packager(source, shrink=shrink, force=True)
    assert (first.built, again.built, anew.built) == (True, False, True)
    assert first.index["sha256"] == anew.index["sha256"]


def test_other_samples_are_tried_again(packager, source, tmp_path):
    samples, shrink = tmp_path / "texts.txt", Shrink(quantize="int8", max_drift=WIDE)
    packager(source, shrink=shrink)
    samples.write_text("ab\n\nabc\n")
    tried = packager(source, shrink=shrink, samples=samples)
    assert tried.built
    assert (tried.record["shrunk"]["samples"], tried.record["shrunk"]["samples_of"]) == (2, "texts.txt")
    assert not packager(source, shrink=shrink, samples=samples).built


def test_a_sample_is_a_line_whatever_signs_are_in_it(tmp_path):
    (tmp_path / "texts.txt").write_bytes("\ufeffone\u2028still one\ntwo\x0cstill two\r\nthree\x85still three\rstill three\n".encode())
    texts = ("one\u2028still one", "two\x0cstill two", "three\x85still three\rstill three")
    assert read_samples(tmp_path / "texts.txt", "text-classification").texts == texts


def test_the_report_says_of_a_slower_model_that_it_is_slower(packager, source):
    report = packager(source, shrink=Shrink(quantize="int8", max_drift=WIDE)).record["shrunk"]
    lines = shrunk_table({**report, "bytes_before": 300, "bytes_after": 200, "ms_before": 0.84, "ms_after": 1.0}).splitlines()
    assert lines[1].endswith("1.50x smaller")
    assert lines[2].endswith("0.84x as fast")
    assert lines[3].endswith("x as fast")


def test_what_is_asked_for_is_part_of_the_key(tmp_path):
    asked = [
        None,
        *(Shrink(quantize=kind, prune=share, max_drift=most) for kind in ("int8", "fp16") for share in (0, 0.5) for most in (1, 0.5)),
    ]
    assert len({model_key("pypi:a", "feature-extraction", "onnx", tmp_path, shrink) for shrink in asked}) == len(asked)


def test_every_mistake_is_told_at_once(packager, source, tmp_path):
    with pytest.raises(PackagingError) as refused:
        packager(source, engine="torch", shrink=Shrink(quantize="int4", prune=1.5, max_drift=0), samples=tmp_path / "none")
    told = str(refused.value)
    assert told.startswith("5 mistakes:")
    for part in ("quantize 'int4': use int8 or fp16", "prune 1.5: use", "max drift 0: use", "engine 'torch'", "none can't be read"):
        assert part in told


@pytest.mark.parametrize("share", [-0.1, 0.91, float("nan")])
def test_a_share_out_of_range_is_refused(packager, source, share):
    with pytest.raises(PackagingError, match=r"use a share above 0, up to 0\.9"):
        packager(source, shrink=Shrink(prune=share))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_samples_without_a_text_are_refused(packager, source, tmp_path, content):
    (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(PackagingError, match=r"--samples .*texts\.txt"):
        packager(source, shrink=Shrink(quantize="int8"), samples=tmp_path / "texts.txt")


def test_a_model_that_is_quantized_already_is_refused(packager, members, source, tmp_path):
    found = members(packager(source, shrink=Shrink(quantize="int8", max_drift=WIDE)))
    folder = tmp_path / "again"
    folder.mkdir()
    config = json.loads((source / "config.json").read_text()) | {"model_type": "another"}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("model.onnx", "model.onnx.data", "tokenizer.json"):
        if name in found:
            (folder / name).write_bytes(found[name])
    with pytest.raises(PackagingError, match=r"is quantized already .*MatMulIntegerToFloat"):
        packager(folder, shrink=Shrink(quantize="int8"))


def test_operators_too_old_for_int8_are_refused_by_their_opset(tmp_path):
    model = product(np.ones((64, 64), np.float32))
    model.opset_import[0].version = 9
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(PackagingError, match="opset 10, the graph is of opset 9"):
        shrink_graph({"model.onnx": tmp_path / "model.onnx"}, Shrink(quantize="int8"), tmp_path)


@pytest.mark.parametrize(("shrink", "what"), [(Shrink(quantize="int8"), "nothing to quantize"), (Shrink(prune=0.5), "nothing to prune")])
def test_a_model_with_nothing_to_shrink_is_refused(packager, tmp_path, shrink, what):
    with pytest.raises(PackagingError, match=what):
        packager(image_folder(tmp_path / "image"), "image-classification", shrink=shrink)


def test_an_image_model_is_tried_on_a_folder_of_images(packager, tmp_path, monkeypatch):
    monkeypatch.setattr("pilotlight.packaging.int8.LEAST", 1)
    folder: Path = image_folder(tmp_path / "image")
    write_graph(folder / "model.onnx")
    # So small a graph is not made smaller by it.
    with pytest.raises(PackagingError, match="no smaller graph"):
        packager(folder, "image-classification", shrink=Shrink(quantize="int8"))
    with pytest.raises(PackagingError, match="0 images found"):
        packager(folder, "image-classification", shrink=Shrink(quantize="int8"), samples=tmp_path / "cache")
