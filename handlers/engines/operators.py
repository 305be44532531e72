"""Which operators a packaged program may call: those of ATen that compute new tensors out of others, and sums of sizes.

What an operator may do is read off its schema, which torch knows of each. Refused is what writes to what it is given, what has no result,
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
# By the name of the argument, what it may say.
_TEXTS = {
    "approximate": re.compile("none|tanh"),
    "equation": re.compile("[A-Za-z,. >-]{1,64}"),
    "indexing": re.compile("ij|xy"),
    "mode": re.compile("constant|reflect|replicate|circular"),
    "norm": re.compile("backward|forward|ortho"),
    "rounding_mode": re.compile("floor|trunc"),
}
_PLAIN = {"Tensor", "int", "float", "bool", "number"}
_TAKEN = _PLAIN | {"Device", "List[Optional[Tensor]]"} | {f"List[{kind}]" for kind in _PLAIN}
_GIVEN = _PLAIN | {"List[Tensor]"}

Number = int | float


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
        return function(*given)

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
    return Operator(found, arguments, makes=not tensors)


def _argument(operator_name: str, said: Any) -> Argument:
    # By its real type an argument tells dtypes, layouts and formats of memory apart, which are numbers to all others.
    real, kind = _bare(str(said.real_type)), _bare(str(said.type))
    if kind == "str":
        if said.name not in _TEXTS:
            raise OperatorError(f"{operator_name} takes a text ({said.name}), which no operator of a program may")
        return Argument(said.name, "str", said.kwarg_only, _TEXTS[said.name])
    if kind not in _TAKEN:
        raise OperatorError(f"{operator_name} takes a {kind} ({said.name}), which no operator of a program may")
    return Argument(said.name, real if real in ("ScalarType", "Layout", "MemoryFormat") else kind, said.kwarg_only, None)


def _bare(kind: str) -> str:
    return kind[len("Optional[") : -1] if kind.startswith("Optional[") else kind
