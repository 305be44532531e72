"""Which operators a packaged program may call: those named here, of ATen's that compute new tensors out of others, and sums of sizes.

What an operator may do is read off its schema as well. Refused is what writes to what it is given, what has no result,
what draws numbers, what takes free text, as the name of a file, and memory that nobody has written to.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch._ops import OpOverload, OpOverloadPacket

_NAME = re.compile(r"aten\.(_{0,2}[a-z][a-z0-9_]*)\.([A-Za-z][A-Za-z0-9_]*)")
# What begins with an underscore is torch's own, often without a look at bounds. These are what `softmax` and `&` become.
_PRIVATE = frozenset({"_softmax", "_log_softmax", "__and__", "__or__", "__xor__"})
# Memory as it is found, and views of it that follow no shape.
_MEMORY = re.compile(r"(new_)?empty.*|as_strided.*")
# Draws where it is told to drop out, which nothing that is served is.
_DRAWS = "scaled_dot_product_attention"
# Schemas do not tell which operators look at bounds: some that nobody means to be called by hand write where an index of theirs says. So
# those that programs need are named: what the architectures of docs/decisions/0028 are made of, and their like.
# fmt: off
_ALLOWED = frozenset({
    # Of numbers one by one.
    "__and__", "__or__", "__xor__", "abs", "acos", "add", "addcdiv", "addcmul", "atan", "bitwise_and", "bitwise_not", "bitwise_or",
    "bitwise_xor", "ceil", "clamp", "clamp_max", "clamp_min", "cos", "div", "elu", "eq", "erf", "erfc", "exp", "exp2", "expm1", "floor",
    "floor_divide", "fmod", "ge", "gelu", "gt", "hardsigmoid", "hardswish", "hardtanh", "isfinite", "isinf", "isnan", "le",
    "leaky_relu", "lerp", "log", "log10", "log1p", "log2", "logical_and", "logical_not", "logical_or", "logical_xor", "lt",
    "masked_fill", "maximum", "minimum", "mish", "mul", "multiply", "nan_to_num", "ne", "neg", "pow", "reciprocal", "relu", "relu6",
    "remainder", "round", "rsqrt", "rsub", "sigmoid", "sign", "silu", "sin", "softplus", "sqrt", "square", "sub", "tan", "tanh",
    "true_divide", "trunc", "where",
    # Of many.
    "_log_softmax", "_softmax", "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "cumprod", "cumsum", "linalg_vector_norm",
    "log_softmax", "logsumexp", "max", "mean", "min", "prod", "softmax", "sort", "std", "sum", "topk", "var", "var_mean",
    # Products, layers.
    "addmm", "baddbmm", "bmm", "conv1d", "conv2d", "dot", "einsum", "embedding", "fft_fft", "fft_fft2", "fft_fftn", "glu", "group_norm",
    "im2col", "layer_norm", "linear", "matmul", "mm", "mv", "native_layer_norm", "rms_norm", "scaled_dot_product_attention",
    "view_as_real",
    # Shapes and places.
    "broadcast_to", "cat", "chunk", "constant_pad_nd", "contiguous", "diagonal", "expand", "expand_as", "flatten", "flip", "gather",
    "index", "index_put", "index_select", "movedim", "narrow", "pad", "permute", "real", "repeat", "repeat_interleave", "reshape",
    "roll", "select", "select_scatter", "slice", "slice_scatter", "split", "split_with_sizes", "squeeze", "stack", "swapaxes", "t",
    "transpose", "tril", "triu", "unbind", "unflatten", "unsqueeze", "view", "view_as",
    # Made, turned into others, sizes.
    "arange", "full", "full_like", "item", "new_full", "new_ones", "new_zeros", "one_hot", "ones", "ones_like", "scalar_tensor",
    "sym_numel", "sym_size", "to", "type_as", "zeros", "zeros_like",
})
# fmt: on
# By the name of the argument, what it may say.
_TEXTS = {
    "approximate": re.compile("none|tanh"),
    "equation": re.compile("[A-Za-z,. >-]{1,64}"),
    "indexing": re.compile("ij|xy"),
    "mode": re.compile("constant|reflect|replicate|circular"),
    "norm": re.compile("backward|forward|ortho"),
    # The least whole number by -1, cut off, ends a process.
    "rounding_mode": re.compile("floor"),
}
_PLAIN = {"Tensor", "int", "float", "bool", "number"}
_TAKEN = _PLAIN | {"Device", "List[Optional[Tensor]]"} | {f"List[{kind}]" for kind in _PLAIN}
_GIVEN = _PLAIN | {"List[Tensor]"}

Number = int | float
LARGEST = 2**63 - 1


class OperatorError(ValueError):
    """An operator that a program may not call, or an argument that it does not take: which one, and why."""


class Argument(NamedTuple):
    """One that an operator takes; `texts` is what it may say where it is a text."""

    name: str
    kind: str
    keyword: bool
    texts: re.Pattern[str] | None


class Operator(NamedTuple):
    """What is called, and what it takes; `makes` is whether it makes tensors out of none, somewhere."""

    call: Callable[..., Any]
    arguments: tuple[Argument, ...]
    makes: bool


def _numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    def computed(*given: Any) -> Any:
        if not all(isinstance(each, Number) for each in given):
            raise TypeError(f"sizes are numbers, not {', '.join(type(each).__name__ for each in given)}")
        found = function(*given)
        # Python's whole numbers have no end, and nothing else runs while it multiplies two.
        if isinstance(found, int) and abs(found) > LARGEST:
            raise OverflowError("a size is larger than any there can be")
        return found

    return computed


def _part(values: Any, index: int) -> Any:
    if not isinstance(values, list | tuple):
        raise TypeError(f"parts are of a list, not of {type(values).__name__}")
    return values[index]


_SIZES: Mapping[str, tuple[Callable[..., Any], int]] = {
    "operator.add": (_numbers(operator.add), 2),
    "operator.sub": (_numbers(operator.sub), 2),
    "operator.mul": (_numbers(operator.mul), 2),
    "operator.floordiv": (_numbers(operator.floordiv), 2),
    "operator.mod": (_numbers(operator.mod), 2),
    "operator.neg": (_numbers(operator.neg), 1),
    "operator.min": (_numbers(min), 2),
    "operator.max": (_numbers(max), 2),
    "operator.getitem": (_part, 2),
}


def resolve(name: str) -> Operator:
    """The operator `aten.<name>.<overload>`, or `operator.<name>` for sizes. Raises OperatorError for one that may not be called."""
    if name in _SIZES:
        call, count = _SIZES[name]
        return Operator(call, tuple(Argument(f"{place}", "number", False, None) for place in range(count)), makes=False)
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise OperatorError(f"{name!r} is no operator of a program: they are aten.<name>.<overload> and {', '.join(_SIZES)}")
    packet = getattr(torch.ops.aten, parts[1], None) if not parts[1].startswith("_") or parts[1] in _PRIVATE else None
    found = getattr(packet, parts[2], None) if isinstance(packet, OpOverloadPacket) else None
    if not isinstance(found, OpOverload):
        raise OperatorError(f"{name} is none that this torch ({torch.__version__}) has for programs: package the model again, or for onnx")
    schema = found._schema
    arguments = tuple(_argument(name, each) for each in schema.arguments)
    gives = [str(each.type) for each in schema.returns]
    tensors = any("Tensor" in each.kind for each in arguments)
    if schema.is_mutable:
        raise OperatorError(f"{name} writes to what it is given, which no operator of a program may")
    if not gives or not set(gives) <= _GIVEN or not (tensors or "Tensor" in gives):
        raise OperatorError(f"{name} computes no tensor, as operators of a program do")
    if torch.Tag.nondeterministic_seeded in found.tags and parts[1] != _DRAWS:
        raise OperatorError(f"{name} draws numbers, which no operator of a program may")
    if _MEMORY.fullmatch(parts[1]):
        raise OperatorError(f"{name} gives memory that nobody has written to, which no operator of a program may")
    if parts[1] not in _ALLOWED:
        raise OperatorError(f"{name} is none of those that programs are made of: package the model for engine onnx")
    return Operator(found, arguments, makes=not tensors)


def _argument(operator_name: str, said: Any) -> Argument:
    # By its real type an argument tells dtypes, layouts and formats of memory apart, which are numbers to all others.
    real, kind = _bare(str(said.real_type)), _bare(str(said.type))
    if kind == "str":
        if said.name not in _TEXTS:
            raise OperatorError(f"{operator_name} takes a text ({said.name}), which no operator of a program may")
        return Argument(said.name, "str", said.kwarg_only, _TEXTS[said.name])
    # Of a number that is no dtype torch reads what it is beyond the end of a table.
    if kind not in _TAKEN or (said.name == "dtype" and real != "ScalarType"):
        raise OperatorError(f"{operator_name} takes a {kind} ({said.name}), which no operator of a program may")
    return Argument(said.name, real if real in ("ScalarType", "Layout", "MemoryFormat") else kind, said.kwarg_only, None)


def _bare(kind: str) -> str:
    return kind[len("Optional[") : -1] if kind.startswith("Optional[") else kind
