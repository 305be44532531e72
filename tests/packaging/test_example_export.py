"""The example's network, trained and exported by torch: what its README's first block does, into another folder."""

import json

import onnx

from examples.waveform.export import SHAPES, export


def test_the_network_learns_and_its_graph_computes_the_same(tmp_path, export_cache):
    right = export(tmp_path / "files", export_cache)
    assert right >= 0.97
    assert tuple(json.loads((tmp_path / "files/labels.json").read_text())) == SHAPES
    graph = onnx.load(tmp_path / "files/model.onnx").graph
    assert [(node.name, len(node.type.tensor_type.shape.dim)) for node in graph.input] == [("samples", 2)]
    assert str(tmp_path).encode() not in (tmp_path / "files/model.onnx").read_bytes()
