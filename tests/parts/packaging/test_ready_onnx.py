"""A source that brings its own ONNX file."""

import os
from types import SimpleNamespace

import onnx
import pytest
from onnx import TensorProto, helper

from components.artifact import Shrink
from pilotlight.packaging import PackagingError, needs_torch
from pilotlight.packaging.fp16 import store_fp16
from pilotlight.packaging.int8 import quantize_int8
from pilotlight.packaging.onnx_writer import is_plain
from tests.parts.packaging.tiny_models import bert_folder, bert_tensors, classifier_folder


@pytest.fixture
def graph(tmp_path, packager, members):
    """The files of a packaged graph, as another exporter could have made them."""
    found = members(packager(bert_folder(tmp_path / "origin")))
    return {name: found[name] for name in ("model.onnx", "model.onnx.data")}


def put(folder, graph, place=""):
    (folder / place).mkdir(exist_ok=True)
    for name, content in graph.items():
        (folder / place / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("place", ["", "onnx"])
def test_it_is_used_unchanged_and_compared_with_the_weights(tmp_path, packager, members, manifest, graph, place):
    packaged = packager(put(bert_folder(tmp_path / "model"), graph, place))
    found = members(packaged)
    assert {name: found[name] for name in graph} == graph
    assert manifest(packaged)["parity"]["reference"] == "safetensors, computed in float64 by numpy"
    assert "Writing" not in " ".join(packager.said[-2:])


def test_it_is_refused_when_the_weights_beside_it_say_something_else(tmp_path, packager, graph):
    tensors = bert_tensors()
    tensors["encoder.layer.0.output.dense.bias"][3] += 1
    with pytest.raises(PackagingError, match="remove it to have the graph made from the weights"):
        packager(put(bert_folder(tmp_path / "model", tensors=tensors), graph))


def test_without_weights_to_compare_with_its_hash_is_recorded(tmp_path, packager, members, manifest, graph):
    folder = put(bert_folder(tmp_path / "model", config={"model_type": "distilbert", "architectures": ["DistilBertModel"]}), graph)
    (folder / "model.safetensors").unlink()
    assert not needs_torch(str(folder), "feature-extraction", "onnx", packager.cache, progress=print)
    parity = manifest(packager(folder))["parity"]
    assert parity["max_abs_difference"] is None
    assert parity["reference"].startswith("source file, unchanged, sha256 ")


def half(model):
    """Its first product computed with halves."""
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    to, back = list(product.input), product.output[0]
    product.input[:], product.output[:] = [f"{name}.half" for name in to], [f"{back}.half"]
    for name in to:
        model.graph.node.append(helper.make_node("Cast", [name], [f"{name}.half"], to=TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node("Cast", [f"{back}.half"], [back], to=TensorProto.FLOAT))


def half_weights(model):
    """Halves that no cast stands between."""
    name = next(node for node in model.graph.node if node.op_type == "MatMul").input[1]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.data_type = TensorProto.FLOAT16


def four_bits(model):
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    product.op_type, product.domain = "MatMulNBits", "com.microsoft"


def branch(model):
    model.graph.node.append(helper.make_node("If", ["a"], ["b"], then_branch=helper.make_graph([], "a", [], [])))


def dequantized(model):
    """A weight that becomes fractions on its way."""
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    model.graph.node.append(helper.make_node("DequantizeLinear", ["w8", "s"], [product.input[1]]))


@pytest.mark.parametrize("change", [half, half_weights, four_bits, branch, dequantized])
def test_what_rounds_by_the_way_that_is_taken_is_not_called_plain(tmp_path, graph, change):
    path = put(tmp_path / "graph", graph) / "model.onnx"
    assert is_plain(path)
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    assert not is_plain(path)


@pytest.mark.parametrize("store", [quantize_int8, store_fp16])
def test_what_is_stored_smaller_here_is_plain(tmp_path, graph, store):
    model = onnx.load(put(tmp_path / "graph", graph) / "model.onnx")
    assert store(model)
    (tmp_path / "smaller.onnx").write_bytes(model.SerializeToString())
    assert is_plain(tmp_path / "smaller.onnx")


def test_weights_in_a_file_of_another_name_are_moved_to_the_known_one(tmp_path, packager, members, graph):
    renamed = {
        "model.onnx": graph["model.onnx"].replace(b"model.onnx.data", b"model.onnx_data"),
        "model.onnx_data": graph["model.onnx.data"],
    }
    found = members(packager(put(bert_folder(tmp_path / "model"), renamed)))
    assert found["model.onnx.data"] == graph["model.onnx.data"]
    assert set(found) == {"manifest.json", "model.onnx", "model.onnx.data", "tokenizer.json"}


def as_on_the_hub(folder):
    """The graph and its weights as links to files with other names, which lie beside each other."""
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.glob("model.onnx*"))):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))


def as_uv_installs(folder):
    """Files that lie in uv's cache, too."""
    for path in folder.glob("model.onnx*"):
        os.link(path, folder.parent / f"cached-{path.name}")


@pytest.mark.parametrize("change", [as_on_the_hub, as_uv_installs])
@pytest.mark.parametrize("name", ["model.onnx_data", "model.onnx.data"])
@pytest.mark.parametrize("shrink", [None, Shrink(quantize="int8", max_drift=1.0)])
def test_weights_that_are_links_or_have_other_names_too_are_packaged_as_plain_files_are(
    tmp_path, packager, members, graph, change, name, shrink
):
    named = {"model.onnx": graph["model.onnx"].replace(b"model.onnx.data", name.encode()), name: graph["model.onnx.data"]}
    folder = put(bert_folder(tmp_path / "model"), named)
    expected = members(packager(folder, shrink=shrink))
    change(folder)
    found = packager(folder, shrink=shrink, force=True)
    assert members(found) == expected
    assert packager.left_over() == []


def test_weights_behind_a_link_to_elsewhere_are_refused(tmp_path, packager, graph):
    folder = put(bert_folder(tmp_path / "model"), graph)
    (folder / "model.onnx.data").rename(tmp_path / "elsewhere")
    (folder / "model.onnx.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PackagingError, match=r"'model\.onnx\.data', a link to elsewhere: put a copy"):
        packager(folder)


@pytest.mark.parametrize("name", ["model.onnx.data", "model.onnx_data"])
def test_the_space_for_a_graph_and_its_weights_is_asked_for_before_the_work(tmp_path, packager, graph, monkeypatch, name):
    named = {"model.onnx": graph["model.onnx"].replace(b"model.onnx.data", name.encode()), name: graph["model.onnx.data"]}
    folder = put(bert_folder(tmp_path / "model"), named, "onnx")
    size = sum(map(len, named.values()))
    usage = SimpleNamespace(free=2.3 * size)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert packager(folder).built
    (folder / "model.safetensors").unlink()
    usage.free = 2.1 * size
    with pytest.raises(PackagingError, match=r"Packaging needs .* PILOTLIGHT_CACHE=FOLDER"):
        packager(folder)


def test_a_cut_off_weights_file_of_another_name_is_refused(tmp_path, packager, graph):
    cut = {
        "model.onnx": graph["model.onnx"].replace(b"model.onnx.data", b"model.onnx_data"),
        "model.onnx_data": graph["model.onnx.data"][:-100],
    }
    with pytest.raises(PackagingError, match=r"can't be read .*get the whole model"):
        packager(put(bert_folder(tmp_path / "model"), cut))


def test_constants_outside_of_the_graph_come_along_or_are_refused(tmp_path, packager, members, graph):
    model = onnx.load_from_string(graph["model.onnx"])
    place = next(at for at, each in enumerate(model.graph.initializer) if each.data_location == TensorProto.EXTERNAL)
    moved = model.graph.initializer.pop(place)
    model.graph.node.insert(0, helper.make_node("Constant", [], [moved.name], value=moved))
    alone = {"model.onnx": model.SerializeToString(), "model.onnx.data": graph["model.onnx.data"]}
    assert members(packager(put(bert_folder(tmp_path / "model"), alone)))["model.onnx.data"] == graph["model.onnx.data"]
    for entry in model.graph.node[0].attribute[0].t.external_data:
        if entry.key == "location":
            entry.value = "../elsewhere"
    with pytest.raises(PackagingError, match="only files beside the graph are allowed"):
        packager(put(bert_folder(tmp_path / "other"), {**alone, "model.onnx": model.SerializeToString()}))


@pytest.mark.parametrize("name", [b"/etc/passwd_____", b"../model.onnx_d", b"model.onnx_gone"])
def test_weights_outside_or_absent_are_refused(tmp_path, packager, graph, name):
    broken = onnx.load_from_string(graph["model.onnx"])
    for tensor in broken.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name.decode()
    with pytest.raises(PackagingError, match=r"only files beside the graph are allowed|which is not there"):
        packager(put(bert_folder(tmp_path / "model"), {"model.onnx": broken.SerializeToString()}))


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x00" * 100])
def test_a_file_that_is_no_graph_is_refused(tmp_path, packager, content):
    with pytest.raises(PackagingError, match=r"model.onnx"):
        packager(put(bert_folder(tmp_path / "model"), {"model.onnx": content}))


def test_a_cut_off_weights_file_is_refused(tmp_path, packager, graph):
    with pytest.raises(PackagingError, match="does not load"):
        packager(put(bert_folder(tmp_path / "model"), graph | {"model.onnx.data": graph["model.onnx.data"][:-100]}))


def narrow_numbers(model):
    """Of token numbers in 32 bits."""
    for each in model.graph.input:
        each.type.tensor_type.elem_type = TensorProto.INT32
        for node in model.graph.node:
            node.input[:] = [f"{name}.wide" if name == each.name else name for name in node.input]
        model.graph.node.insert(0, helper.make_node("Cast", [each.name], [f"{each.name}.wide"], to=TensorProto.INT64))


def one_length(model):
    """Of texts with 16 tokens."""
    for each in model.graph.input:
        each.type.tensor_type.shape.dim[1].dim_value = 16


def brain_floats(model):
    """With an output that NumPy has no type for."""
    given = model.graph.output[0]
    for node in model.graph.node:
        node.output[:] = [f"{name}.float" if name == given.name else name for name in node.output]
    model.graph.node.append(helper.make_node("Cast", [f"{given.name}.float"], [given.name], to=TensorProto.BFLOAT16))
    given.type.tensor_type.elem_type = TensorProto.BFLOAT16


@pytest.mark.parametrize("change", [narrow_numbers, one_length, brain_floats])
@pytest.mark.parametrize("compared", [True, False])
def test_a_graph_that_does_not_compute_what_it_is_given_is_refused(tmp_path, packager, graph, change, compared):
    model = onnx.load_from_string(graph["model.onnx"])
    change(model)
    folder = put(bert_folder(tmp_path / "model"), graph | {"model.onnx": model.SerializeToString()})
    if not compared:
        (folder / "model.safetensors").unlink()
    with pytest.raises(
        PackagingError, match=r"can't compute 1 x \d tokens: [\s\S]*takes int64, texts of any number and length, and gives float32"
    ):
        packager(folder)


def test_an_encoder_graph_in_a_classifier_folder_is_refused_with_the_wanted_output(tmp_path, packager, graph):
    with pytest.raises(PackagingError, match="needs the output logits with 2 dimensions first"):
        packager(put(classifier_folder(tmp_path / "model"), graph), "text-classification")


def test_a_graph_with_strange_inputs_is_refused(tmp_path, packager):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["a", "b", 4]) for name in ("pixels", "last_hidden_state")]
    node = helper.make_node("Identity", ["pixels"], ["last_hidden_state"])
    model = helper.make_model(
        helper.make_graph([node], "g", value[:1], value[1:]), ir_version=10, opset_imports=[helper.make_opsetid("", 20)]
    )
    with pytest.raises(PackagingError, match="takes pixels: input_ids and attention_mask are needed"):
        packager(put(bert_folder(tmp_path / "model"), {"model.onnx": model.SerializeToString()}))
