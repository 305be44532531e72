"""The weights of a graph as half-precision numbers, which become float32 again: an artifact of half the size that computes as before.

Processors compute float32: ONNX Runtime makes it of the halves once, when the model is loaded, so that neither memory nor time is saved
afterwards. Tables stay halves; their rows are cast as they are looked up.
"""

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pilotlight.packaging.graph_reads import readers

# Below this a weight stays: a step of its own costs more than it brings.
LEAST = 4096
# The largest number that a half can be.
MOST = float(np.finfo(np.float16).max)


def store_fp16(model: onnx.ModelProto) -> int:
    """Change the loaded model. Returns how many of its weights became halves, 0 for a model without any that can."""
    graph = model.graph
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    other = {name for name, nodes in readers(graph).items() if any(node.op_type != "Gather" or name in node.input[1:] for node in nodes)}
    halves = {tensor.name for tensor in graph.initializer if _becomes_half(tensor)} - {output.name for output in graph.output}
    done, casts = 0, []
    for tensor in graph.initializer:
        if tensor.name not in halves:
            continue
        values = numpy_helper.to_array(tensor)
        done += values.size
        if tensor.name in tables - other:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
            continue
        casts.append(_cast(f"{tensor.name}.fp16", tensor.name))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.fp16"))
    nodes = list(casts)
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in halves and node.input[0] in tables - other:
            out = node.output[0]
            node.output[0] = f"{out}.fp16"
            nodes += [node, _cast(f"{out}.fp16", out)]
        else:
            nodes.append(node)
    if done:
        # Copies: clearing the field would take the nodes with it.
        kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
        del graph.value_info[:]
    return done


def _becomes_half(tensor: TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST:
        return False
    return bool(np.abs(numpy_helper.to_array(tensor)).max() <= MOST)


def _cast(value: str, name: str) -> NodeProto:
    return helper.make_node("Cast", [value], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
