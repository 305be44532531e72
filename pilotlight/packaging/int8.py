"""The weights of a graph as int8, and its products computed with them: every row of what comes in has a scale of its own.

onnxruntime's own dynamic quantization scales all rows of a product by the largest value in them, so that a text's answer follows from
the texts that are computed beside it (docs/decisions/0020-shrunk-models.md has what was measured). Here a row is divided by its own
largest value first, with ONNX's plain operators; the product is ONNX Runtime's `MatMulIntegerToFloat`.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pilotlight.packaging.graph_reads import readers

# Products of two pairs are added in 16 bits on processors without VNNI, and end at its largest number: with 7 bits they don't reach it.
WEIGHT_MOST, ROW_MOST = 63, 127
TABLE_MOST = 127
DOMAIN = "com.microsoft"
# A matrix below this size stays as it is: the scales' extra steps cost more than it brings.
LEAST = 4096
# The first with QuantizeLinear.
LEAST_OPSET = 10

Float = npt.NDArray[np.float32]


def quantize_int8(model: onnx.ModelProto) -> int:
    """Change the loaded model. Returns how many of its weights became int8, 0 for a model without any that can."""
    return _Quantizer(model).run()


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model's are of."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


class _Quantizer:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._users = readers(model.graph)
        self._nodes: list[NodeProto] = []
        self._added: dict[str, TensorProto] = {}
        self._rows: dict[str, tuple[str, str]] = {}
        self._done: dict[str, int] = {}

    def run(self) -> int:
        for node in self._model.graph.node:
            self._nodes += self._replaced(node) or [node]
        if not self._done:
            return 0
        graph = self._model.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        used = {*readers(graph), *(output.name for output in graph.output)}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.initializer[:]
        graph.initializer.extend([*kept, *self._added.values()])
        del graph.value_info[:]  # of values that may be gone
        if all(entry.domain != DOMAIN for entry in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        return sum(self._done.values())

    def _replaced(self, node: NodeProto) -> list[NodeProto] | None:
        """What stands in for a node, None where it stays."""
        if node.op_type == "MatMul" and (matrix := self._matrix(node.input[1])) is not None:
            return self._product(node, matrix, None)
        if node.op_type == "Gemm" and (matrix := self._matrix(node.input[1])) is not None:
            options = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            if options.get("transA", 0) or options.get("alpha", 1.0) != 1.0 or options.get("beta", 1.0) != 1.0:
                return None
            bias = node.input[2] if len(node.input) > 2 else None
            return self._product(node, matrix, bias, turned=bool(options.get("transB", 0)))
        if node.op_type == "Gather" and not any(item.name == "axis" and item.i for item in node.attribute):
            table = self._matrix(node.input[0])
            if table is not None and all(user.op_type == "Gather" for user in self._users[node.input[0]]):
                return self._looked_up(node, table)
        return None

    def _matrix(self, name: str) -> Float | None:
        tensor = self._weights.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2 or np.prod(tensor.dims) < LEAST:
            return None
        return np.asarray(numpy_helper.to_array(tensor))

    def _product(self, node: NodeProto, matrix: Float, bias: str | None, *, turned: bool = False) -> list[NodeProto]:
        nodes, (whole, scale) = self._quantized_rows(node.input[0])
        weight, weight_scale = self._stored(node.input[1], matrix, axis=0, most=WEIGHT_MOST, turned=turned)
        out, name = node.output[0], node.name or node.output[0]
        inputs = [whole, weight, self._constant("one", np.float32(1)), weight_scale, self._constant("middle", np.uint8(128))]
        nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [f"{out}.whole"], name=f"{name}.whole", domain=DOMAIN))
        scaled = f"{out}.scaled" if bias else out
        nodes.append(helper.make_node("Mul", [f"{out}.whole", scale], [scaled], name=f"{name}.scaled"))
        if bias:
            nodes.append(helper.make_node("Add", [scaled, bias], [out], name=f"{name}.biased"))
        return nodes

    def _quantized_rows(self, value: str) -> tuple[list[NodeProto], tuple[str, str]]:
        """The steps from a value to its whole numbers and the scale of each row; none where another product has taken them."""
        if value in self._rows:
            return [], self._rows[value]
        names = [f"{value}.{part}" for part in ("size", "peak", "step", "scale", "even", "uint8")]
        size, peak, step, scale, even, whole = names
        axes, share, least = (
            self._constant("last", np.array([-1], np.int64)),
            self._constant("share", np.float32(1 / ROW_MOST)),
            self._constant("least", np.float32(1e-30)),  # of a row of zeros
        )
        steps = [
            helper.make_node("Abs", [value], [size], name=size),
            helper.make_node("ReduceMax", [size, axes], [peak], name=peak, keepdims=1)
            if opset_of(self._model) >= 18
            else helper.make_node("ReduceMax", [size], [peak], name=peak, keepdims=1, axes=[-1]),
            helper.make_node("Mul", [peak, share], [step], name=step),
            helper.make_node("Max", [step, least], [scale], name=scale),
            helper.make_node("Div", [value, scale], [even], name=even),
            helper.make_node(
                "QuantizeLinear", [even, self._constant("one", np.float32(1)), self._constant("middle", np.uint8(128))], [whole], name=whole
            ),
        ]
        self._rows[value] = (whole, scale)
        return steps, self._rows[value]

    def _looked_up(self, node: NodeProto, table: Float) -> list[NodeProto]:
        weight, scale = self._stored(node.input[0], table, axis=1, most=TABLE_MOST)
        out, index = node.output[0], node.input[1]
        return [
            helper.make_node("Gather", [weight, index], [f"{out}.int8"], name=f"{out}.int8"),
            helper.make_node("Gather", [scale, index], [f"{out}.scale"], name=f"{out}.scale"),
            helper.make_node("Cast", [f"{out}.int8"], [f"{out}.cast"], name=f"{out}.cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}.cast", f"{out}.scale"], [out], name=node.name or out),
        ]

    def _stored(self, name: str, values: Float, *, axis: int, most: int, turned: bool = False) -> tuple[str, str]:
        """The names of a weight's whole numbers and of their scales, one for each column (axis 0) or row (axis 1)."""
        # One matrix may be used both ways, as by an encoder and its decoder.
        values, way = (values.T, f"{name}.turned") if turned else (values, name)
        stored, scales = f"{way}.int8", f"{way}.scales"
        if stored not in self._added:
            peaks = np.abs(values).max(axis=axis, keepdims=axis == 1)
            scale = np.maximum(peaks / np.float32(most), np.float32(1e-30)).astype(np.float32)
            self._done[name] = values.size
            self._constant(stored, np.clip(np.rint(values / scale), -most, most).astype(np.int8))
            self._constant(scales, scale)
        return stored, scales

    def _constant(self, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
        name = name if "." in name else f"int8.{name}"
        if name not in self._added:
            self._added[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        return name
