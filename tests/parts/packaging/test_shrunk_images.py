"""Image classifiers that are packaged smaller: on what they are tried, and what the report then says."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.artifact import Shrink
from pilotlight.packaging import PackagingError
from pilotlight.packaging.samples import BUILT_IN_IMAGES, read_samples
from tests.parts.handlers.image_models import LABELS, SIDE, image_folder, plain

WIDE = 1.0  # random weights move further than trained ones
NEURONS = 128


@pytest.fixture
def source(tmp_path):
    """A classifier of two products of all pixels, wide enough to be quantized."""
    folder = image_folder(tmp_path / "image")
    draw, pixels = np.random.default_rng(6), 3 * SIDE * SIDE
    shapes = {"into": (pixels, NEURONS), "out": (NEURONS, len(LABELS))}
    tensors = [
        numpy_helper.from_array(draw.normal(0, shape[0] ** -0.5, shape).astype(np.float32) * 2, name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "into"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "out"], ["logits"]),
    ]
    taken = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])
    model = helper.make_model(
        helper.make_graph(nodes, "pixels", [taken], [given], tensors), ir_version=10, opset_imports=[helper.make_opsetid("", 20)]
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def rewritten(source, change):
    model = onnx.load(source / "model.onnx")
    change(model)
    (source / "model.onnx").write_bytes(model.SerializeToString())
    return source


def pictures(folder, colours):
    folder.mkdir()
    for number, colour in enumerate(colours):
        kind = ("PNG", "JPEG")[number % 2]
        (folder / f"{number}.{kind.lower()}").write_bytes(plain(colour, size=(20, 10), kind=kind))
    return folder


def test_int8_tells_of_size_scores_and_labels_on_made_images(packager, members, source):
    small = packager(source, "image-classification", shrink=Shrink(quantize="int8", max_drift=WIDE))
    report = small.record["shrunk"]
    assert report["weights_quantized"] == 3 * SIDE * SIDE * NEURONS
    assert report["bytes_after"] < 0.5 * report["bytes_before"]
    assert report["measure"].startswith("difference of scores")
    assert 1e-6 < report["drift"] < 0.1
    assert report["beside"] < 1e-6
    assert 0 < report["labels_agree"] <= 1
    assert (report["samples"], report["samples_of"]) == (BUILT_IN_IMAGES, "built in")
    kinds = {tensor.data_type for tensor in onnx.ModelProto.FromString(members(small)["model.onnx"]).graph.initializer}
    assert TensorProto.INT8 in kinds


def test_the_drift_is_of_the_images_that_were_named(packager, source, tmp_path):
    folder = pictures(tmp_path / "pictures", [(250, 10, 10), (10, 250, 10), (10, 10, 250)])
    (folder / "notes.txt").write_text("no image")
    shrink = Shrink(quantize="int8", max_drift=WIDE)
    built_in = packager(source, "image-classification", shrink=shrink).record["shrunk"]
    named = packager(source, "image-classification", shrink=shrink, samples=folder).record["shrunk"]
    assert (named["samples"], named["samples_of"]) == (3, "pictures")
    assert named["drift"] != built_in["drift"]


def test_beyond_the_allowed_drift_an_image_model_is_refused(packager, source):
    with pytest.raises(PackagingError, match=r"drifts by 0\.\d+ \(difference of scores.*1e-06 is allowed"):
        packager(source, "image-classification", shrink=Shrink(quantize="int8", max_drift=1e-6))
    assert packager.left_over() == []


@pytest.mark.parametrize(
    ("image", "sides"),
    [
        ({"size": [6, 10], "crop": None, "shortest_edge": None}, (6, 10)),
        ({"size": [12, 12], "crop": [6, 10], "shortest_edge": None}, (6, 10)),
        ({"size": None, "crop": [6, 10], "shortest_edge": 12}, (6, 10)),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_images_are_brought_to_the_size_that_the_model_takes(tmp_path, image, sides, named):
    folder = pictures(tmp_path / "pictures", [(255, 0, 0)]) if named else None
    said = {**image, "scale": 1 / 255, "mean": [0.5, 0.5, 0.5], "deviation": [0.5, 0.25, 0.5]}
    feed = read_samples(folder, "image-classification").image_feeds(said, "pixel_values")[0]["pixel_values"]
    assert feed.shape == (1, 3, *sides)
    assert feed.dtype == np.float32
    if named:
        np.testing.assert_allclose(feed[0, :, 0, 0], [1, -2, -1], rtol=1e-5)


def test_a_file_that_is_no_image_is_refused_by_its_name(packager, source, tmp_path):
    folder = pictures(tmp_path / "pictures", [(255, 0, 0)])
    (folder / "broken.png").write_bytes(b"no image")
    with pytest.raises(PackagingError, match=r"broken\.png is no image that can be read"):
        packager(source, "image-classification", shrink=Shrink(quantize="int8"), samples=folder)


def test_a_folder_that_is_called_like_an_image_is_passed_over(packager, source, tmp_path):
    folder = pictures(tmp_path / "pictures", [(255, 0, 0)])
    (folder / "more.png").mkdir()
    small = packager(source, "image-classification", shrink=Shrink(quantize="int8", max_drift=WIDE), samples=folder)
    assert small.record["shrunk"]["samples"] == 1


@pytest.mark.parametrize("version", [3, 8])
@pytest.mark.parametrize("shrink", [Shrink(quantize="int8", max_drift=WIDE), Shrink(quantize="fp16"), Shrink(prune=0.3, max_drift=WIDE)])
def test_weights_that_are_listed_as_inputs_too_are_shrunk(packager, members, source, shrink, version):
    def list_weights(model):
        model.ir_version, model.opset_import[0].version = version, 17
        weights = [helper.make_tensor_value_info(each.name, each.data_type, list(each.dims)) for each in model.graph.initializer]
        model.graph.input.extend(weights)

    small = packager(rewritten(source, list_weights), "image-classification", shrink=shrink)
    assert small.record["shrunk"]["bytes_after"] < small.record["shrunk"]["bytes_before"]
    assert [each.name for each in onnx.load_from_string(members(small)["model.onnx"]).graph.input] == ["pixel_values"]


def test_a_graph_that_gives_one_answer_for_several_images_is_not_shrunk(packager, source):
    def take_the_mean(model):
        model.graph.node[-1].output[0] = "each"
        model.graph.node.append(helper.make_node("ReduceMean", ["each", "rows"], ["logits"], keepdims=1))
        model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "rows"))

    with pytest.raises(PackagingError, match=r"gives 1 answers for \d samples at once"):
        packager(rewritten(source, take_the_mean), "image-classification", shrink=Shrink(quantize="int8", max_drift=WIDE))
