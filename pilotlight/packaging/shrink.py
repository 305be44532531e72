"""A packaged graph made smaller: fewer neurons, smaller numbers; then tried against what it was, and refused where answers move too far."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from components.artifact import MOST_PRUNED, QUANTIZED, Shrink
from pilotlight.packaging.drift import Drift, measure
from pilotlight.packaging.errors import PackagingError
from pilotlight.packaging.fp16 import LEAST, store_fp16
from pilotlight.packaging.int8 import LEAST_OPSET, opset_of, quantize_int8
from pilotlight.packaging.onnx_writer import DATA, GRAPH, move_weights_out
from pilotlight.packaging.prune import prune
from pilotlight.packaging.ready_onnx import load_weights
from pilotlight.packaging.samples import Feed, Samples

_QUANTIZE = {"int8": quantize_int8, "fp16": store_fp16}
# Of a graph whose numbers were made smaller before.
_QUANTIZED_ALREADY = {"DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "MatMulNBits", "QAttention"}
_QUANTIZED_ALREADY |= {"QLinearMatMul", "QLinearConv", "QuantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What became of a model: bytes of its graph and weights before and after, how many weights are smaller or gone, and the drift."""

    quantize: str | None
    prune: float
    max_drift: float
    bytes_before: int
    bytes_after: int
    weights_quantized: int
    weights_pruned: int
    samples_of: str
    drift: Drift

    def report(self) -> dict[str, Any]:
        """As JSON values, the drift's beside the others."""
        values = asdict(self)
        return {**values, **values.pop("drift")}


def shrink_problems(shrink: Shrink | None, task: str, engine: str) -> list[str]:
    """Everything that is wrong with what is asked for."""
    if shrink is None:
        return []
    found = []
    if shrink.quantize is not None and shrink.quantize not in QUANTIZED:
        found.append(f"quantize {shrink.quantize!r}: use {' or '.join(QUANTIZED)}.")
    # Written so that NaN is refused as well.
    if not 0 <= shrink.prune <= MOST_PRUNED:
        found.append(f"prune {shrink.prune:g}: use a share above 0, up to {MOST_PRUNED:g}.")
    if not (0 < shrink.max_drift <= 1):
        found.append(f"max drift {shrink.max_drift:g}: use a number above 0, up to 1.")
    if engine == "torch":
        found.append("engine 'torch' serves weights as they are: quantize and prune with engine onnx.")
    if task == "custom":
        found.append("task custom serves files of one's own as they are: leave quantize and prune out, or store them smaller yourself.")
    return found


def shrink_graph(members: Mapping[str, Path], shrink: Shrink, work: Path) -> tuple[dict[str, Path], int, int]:
    """The members with a smaller graph in `work`, and how many weights were quantized and pruned.

    Raises PackagingError for a graph that was quantized before, in which there is nothing to make smaller, or whose weights can't be read.
    """
    model = onnx.load(members[GRAPH], load_external_data=False)
    load_weights(model, members[GRAPH])
    _take_weights_from_inputs(model)
    if there := sorted({node.op_type for node in model.graph.node} & _QUANTIZED_ALREADY):
        raise PackagingError(f"The model is quantized already (its graph has {', '.join(there)}): leave quantize and prune out.")
    if shrink.quantize == "int8" and (opset := opset_of(model)) < LEAST_OPSET:
        raise PackagingError(f"int8 takes operators of opset {LEAST_OPSET}, the graph is of opset {opset}: export it anew, or use fp16.")
    pruned = prune(model, shrink.prune) if shrink.prune else 0
    if shrink.prune and not pruned:
        raise PackagingError(
            f"There is nothing to prune at a ratio of {shrink.prune:g}: no two products with nothing but steps by element between them, "
            "or too few neurons there. Leave prune out."
        )
    quantized = _QUANTIZE[shrink.quantize](model) if shrink.quantize else 0
    if shrink.quantize and not quantized:
        kinds = sorted({onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in model.graph.initializer})
        what = "float32 weights of products or tables" if shrink.quantize == "int8" else "float32 weights"
        raise PackagingError(
            f"There is nothing to quantize to {shrink.quantize}: the graph has no {what} of {LEAST} numbers or more "
            f"(its weights are {', '.join(kinds) or 'none'}). Leave quantize out."
        )
    folder = work / "shrunk"
    folder.mkdir()
    move_weights_out(model, folder / DATA)
    (folder / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    found = {**members, GRAPH: folder / GRAPH}
    found.pop(DATA, None)
    if (folder / DATA).stat().st_size:
        found[DATA] = folder / DATA
    return found, quantized, pruned


def _take_weights_from_inputs(model: onnx.ModelProto) -> None:
    """Old exporters list weights among the inputs as well, with types and sizes that they would no longer have."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if len(inputs) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        # The first version in which a weight need not be an input.
        model.ir_version = max(model.ir_version, 4)


def shrink_members(
    members: Mapping[str, Path], shrink: Shrink, samples: Samples, feeds: Sequence[Feed], task: str, said: Mapping[str, Any], work: Path
) -> tuple[dict[str, Path], Shrunk]:
    """The artifact's members with a smaller graph, and what became of it. Raises PackagingError, above the allowed drift too."""
    found, quantized, pruned = shrink_graph(members, shrink, work)
    before, after = _bytes(members), _bytes(found)
    if after >= before:
        raise PackagingError(f"Shrinking made no smaller graph ({before:,} bytes before, {after:,} after): leave quantize and prune out.")
    drift = measure(members[GRAPH], found[GRAPH], feeds, task, said)
    # Written so that NaN is refused as well.
    if not drift.drift <= shrink.max_drift:
        raise PackagingError(_too_far(shrink, drift, samples))
    outcome = Shrunk(
        quantize=shrink.quantize,
        prune=shrink.prune,
        max_drift=shrink.max_drift,
        bytes_before=before,
        bytes_after=after,
        weights_quantized=quantized,
        weights_pruned=pruned,
        samples_of=samples.shown,
        drift=drift,
    )
    return found, outcome


def _too_far(shrink: Shrink, drift: Drift, samples: Samples) -> str:
    came = "a value that is no number" if math.isnan(drift.drift) else f"{drift.drift:.3g}"
    ways = ["a --max-drift (of a stack: model.maxDrift) that your use allows"]
    ways += [f"a smaller prune ratio than {shrink.prune:g}, or none"] if shrink.prune else []
    ways += ["quantize fp16"] if shrink.quantize == "int8" else []
    return (
        f"The shrunk model drifts by {came} ({drift.measure}; {drift.samples} samples, {samples.shown}), {shrink.max_drift:g} is allowed: "
        f"the artifact was not written. Use {', or '.join(ways)}."
    )


def _bytes(members: Mapping[str, Path]) -> int:
    return sum(members[name].stat().st_size for name in (GRAPH, DATA) if name in members)
