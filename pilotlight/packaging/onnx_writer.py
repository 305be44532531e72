"""Writes an ONNX graph node by node, its large weights straight to a file of their own that can be memory-mapped."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

GRAPH = "model.onnx"
DATA = "model.onnx.data"
# ONNX asks for offsets at multiples of a page for memory mapping (external data, `offset`).
PAGE = 4096
# Below this a tensor lies in the graph: a mapping of its own costs more than a read.
INLINE_BYTES = 16384
# Opset 20 has LayerNormalization and Gelu as single operators; IR 10 is what that opset came with. Pinned: the bytes may not
# depend on the installed onnx.
OPSET = 20
IR_VERSION = 10
# ONNX Runtime's own operator that int8 graphs have here; of others nothing is known.
_EXACT = "MatMulIntegerToFloat"
# These may read halves that become float32 before anything is computed.
_STORED = {"Cast", "Gather"}
_HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}


class GraphWriter:
    """Collects nodes and initialisers. `data` receives the large weights as they come, so memory holds one tensor at a time."""

    def __init__(self, data: BinaryIO) -> None:
        self._data = data
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Append a node with one output, which carries the node's name. Returns that name."""
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def split(self, value: str, names: list[str], *, axis: int) -> list[str]:
        """Append a Split into equal parts. Returns their names."""
        self._nodes.append(helper.make_node("Split", [value], names, name=f"{names[0]}.split", axis=axis, num_outputs=len(names)))
        return names

    def ints(self, name: str, values: list[int]) -> str:
        """A one-dimensional int64 constant. Returns its name; the same name again is the same constant."""
        return self._add(name, np.array(values, np.int64))

    def scalar(self, name: str, value: float) -> str:
        return self._add(name, np.array(value, np.float32))

    def weight(self, name: str, values: npt.NDArray[np.float32]) -> str:
        """A float32 weight. Returns its name; the same name again is the same weight and is written once."""
        return self._add(name, values)

    def _add(self, name: str, values: npt.NDArray[Any]) -> str:
        if name in self._initializers:
            return name
        if values.nbytes < INLINE_BYTES:
            kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
            self._initializers[name] = helper.make_tensor(name, kind, values.shape, np.ascontiguousarray(values).tobytes(), raw=True)
        else:
            self._initializers[name] = self._external(name, values)
        return name

    def _external(self, name: str, values: npt.NDArray[Any]) -> onnx.TensorProto:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=values.shape)
        _place(tensor, np.ascontiguousarray(values, "<f4").tobytes(), self._data)
        return tensor

    def save(self, path: Path, *, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> None:
        """Check the graph and write it. The data file must be closed or flushed by the caller."""
        graph = helper.make_graph(self._nodes, "model", inputs, outputs, list(self._initializers.values()))
        model = helper.make_model(graph, producer_name="pilotlight", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
        path.write_bytes(model.SerializeToString(deterministic=True))


def move_weights_out(model: onnx.ModelProto, path: Path) -> None:
    """Move the large weights of a loaded model into the data file, in the graph's order. Changes the model, not its meaning."""
    with path.open("wb") as data:
        for tensor in model.graph.initializer:
            if tensor.HasField("raw_data") and len(tensor.raw_data) >= INLINE_BYTES:
                content = tensor.raw_data
                tensor.ClearField("raw_data")
                del tensor.external_data[:]
                _place(tensor, content, data)


def is_plain(graph: Path) -> bool:
    """Whether what a graph gives stays the same, but for the last digits, however ONNX Runtime lays its weights out: halves that are
    computed with, and weights that become fractions on their way, round by the way that is taken; whole numbers are exact."""
    model = onnx.load(graph, load_external_data=False)
    nodes, stored = list(model.graph.node), {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    if model.functions or any(_rounds(node) for node in nodes):
        return False
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output, *model.graph.value_info)}
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type in (attribute.GRAPH, attribute.GRAPHS):
                return False
            if node.op_type == "Cast" and attribute.name == "to":
                kinds.add(attribute.i)
            if attribute.type == attribute.TENSOR:
                kinds.add(attribute.t.data_type)
        if node.op_type not in _STORED:
            kinds |= {stored[name] for name in node.input if name in stored}
    return not kinds & _HALVES


def _rounds(node: onnx.NodeProto) -> bool:
    # Packed, `DequantizeLinear` of a weight and its product become one step that rounds what goes in, too: off by 5e-3.
    return node.op_type == "DequantizeLinear" or (node.domain not in ("", "ai.onnx") and node.op_type != _EXACT)


def _place(tensor: onnx.TensorProto, content: bytes, data: BinaryIO) -> None:
    data.write(b"\0" * (-data.tell() % PAGE))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA), ("offset", data.tell()), ("length", len(content))):
        tensor.external_data.add(key=key, value=str(value))
    data.write(content)
