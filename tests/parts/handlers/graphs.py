"""Small graphs in files, as a package has them: the weights beside the graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NUMBERS = TensorProto.FLOAT


def write(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str | None]]],
    outputs: Mapping[str, int],
    weights: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """A folder with `model.onnx`, and `model.onnx.data` where there are weights. Inputs and outputs have ONNX's numbers for their types."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx", save_as_external_data=bool(weights), location="model.onnx.data", size_threshold=0)
    return folder


def fused(folder: Path) -> Path:
    """A convolution and a normalization, which ONNX Runtime makes one operator of: other last digits."""
    drawn = np.random.default_rng(7)
    weights = {
        name: drawn.random(shape, dtype=np.float32) for name, shape in {"kernel": (4, 3, 3, 3), "s": (4,), "b": (4,), "m": (4,)}.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["y"]),
        helper.make_node("BatchNormalization", ["y", "s", "b", "m", "v"], ["z"]),
    ]
    return write(
        folder, nodes, {"x": (NUMBERS, ("texts", 3, 8, 8))}, {"z": NUMBERS}, weights | {"v": drawn.random(4, dtype=np.float32) + 0.1}
    )


def one(
    folder: Path, operator: str, kind: int = NUMBERS, given: int | None = None, shape: Sequence[int | str | None] = ("n",), **more: Any
) -> Path:
    """One operator on `x`, which gives `y`, of the type `given` or of the same."""
    return write(folder, [helper.make_node(operator, ["x"], ["y"], **more)], {"x": (kind, shape)}, {"y": given or kind})
