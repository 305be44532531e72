"""Pruning: the weakest neurons between two products are taken out of both, so that the graph is smaller and computes less.

Zeros would bring nothing: ONNX Runtime multiplies by them as by any other number, and the artifact is not compressed.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from pilotlight.packaging.graph_reads import readers

# What is done to each number by itself may stand between the two products.
_BY_ELEMENT = {"Add", "Div", "Elu", "Erf", "Gelu", "Identity", "LeakyRelu", "Mul", "Pow", "Relu", "Sigmoid", "Sub", "Tanh"}
# Rows of a product are computed in blocks: what is left is a multiple of this, and of fewer neurons none is taken.
BLOCK = 16


def prune(model: onnx.ModelProto, ratio: float) -> int:
    """Take this share of the neurons between two products out of the loaded model. Returns how many weights are gone.

    A neuron's weight is the length of what leads to it times the length of what it leads to: the least go.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    users = readers(model.graph)
    outputs = {output.name for output in model.graph.output}
    gone = 0
    for node in model.graph.node:
        if (found := _pair(node, weights, users, outputs)) is not None:
            gone += _cut(weights, *found, ratio)
    if gone:
        del model.graph.value_info[:]  # with sizes that were
    return gone


def _pair(
    first: NodeProto, weights: dict[str, TensorProto], users: dict[str, list[NodeProto]], outputs: set[str]
) -> tuple[str, list[str], str] | None:
    """Names of the matrix into the neurons, of the vectors along them, and of the matrix out of them; None where there is no such pair."""
    if first.op_type != "MatMul" or not _alone(first.input[1], weights, users):
        return None
    width = weights[first.input[1]].dims[1]
    reached, waiting, along, ends = {first.output[0]}, [first.output[0]], [], []
    while waiting:
        value = waiting.pop()
        if value in outputs:
            return None
        for node in users.get(value, []):
            if node.op_type == "MatMul" and node.input[0] == value:
                ends.append(node)
            elif node.op_type in _BY_ELEMENT:
                reached.add(node.output[0])
                waiting.append(node.output[0])
            else:
                return None
    if len(ends) != 1 or not _alone(ends[0].input[1], weights, users) or weights[ends[0].input[1]].dims[0] != width:
        return None
    for node in {id(user): user for value in reached for user in users.get(value, []) if user is not ends[0]}.values():
        for name in node.input:
            if name in reached or not name:
                continue
            if name not in weights or list(weights[name].dims) not in ([], [1], [width]):
                return None
            if list(weights[name].dims) == [width]:
                if len(users[name]) != 1:
                    return None
                along.append(name)
    return first.input[1], along, ends[0].input[1]


def _alone(name: str, weights: dict[str, TensorProto], users: dict[str, list[NodeProto]]) -> bool:
    return name in weights and len(weights[name].dims) == 2 and len(users[name]) == 1


def _cut(weights: dict[str, TensorProto], into: str, along: list[str], out: str, ratio: float) -> int:
    before, after = (numpy_helper.to_array(weights[name]) for name in (into, out))
    width = before.shape[1]
    kept = max(BLOCK, round(width * (1 - ratio) / BLOCK) * BLOCK)
    if kept >= width:
        return 0
    strength = np.linalg.norm(before.astype(np.float64), axis=0) * np.linalg.norm(after.astype(np.float64), axis=1)
    # In their old order; of equal ones the first stay.
    places = np.sort(np.argsort(-strength, kind="stable")[:kept])
    _set(weights[into], before[:, places])
    _set(weights[out], after[places])
    for name in along:
        _set(weights[name], numpy_helper.to_array(weights[name])[places])
    return int((width - kept) * (before.shape[0] + after.shape[1] + len(along)))


def _set(tensor: TensorProto, values: npt.NDArray[np.float32]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
