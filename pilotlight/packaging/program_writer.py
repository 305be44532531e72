"""An exported graph as a program of plain JSON and a table of tensors. Runs in the export environment, for `torch_program.py`.

What is written is what `handlers/engines/program_file.py` reads. Whatever that has no words for is refused here, and transformers serves.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FORMAT = 1
# Of a graph that nothing writes to, these are what they are given, or can be where it lies well already.
_SAME = {"aten.alias.default", "aten.detach.default", "aten.lift_fresh_copy.default", "aten.lift_fresh.default"}
# Of what is left when nothing writes, the public ones: they copy where they have to alone.
_PUBLIC = {
    "aten._to_copy.default": "aten.to.dtype_layout",
    "aten._unsafe_view.default": "aten.reshape.default",
    "aten._local_scalar_dense.default": "aten.item.default",
    "aten.clone.default": "aten.contiguous.default",
}
# Before the names of calls that a program has not, which may stand where nothing needs them.
_STRANGE = "not."


class NotWritable(Exception):
    """Something of a graph that a program has no words for."""


class Written(NamedTuple):
    """A program without its limits, and the tensors that it names."""

    program: dict[str, Any]
    tensors: dict[str, Any]


class _Ref:
    """An earlier value: an input or a weight by its name, a call by its number."""

    def __init__(self, place: str | int) -> None:
        self.place = place


def write_program(exported: Any, inputs: Sequence[str]) -> Written:
    """The program of a `torch.export.ExportedProgram` whose user's inputs have these names. Raises NotWritable."""
    # Without writes, and with the parts for which gradients or a narrower type are switched among the others.
    functional = exported.run_decompositions({})
    writer = _Writer(functional, inputs)
    result = writer.graph(functional.graph)
    if not isinstance(result, list) or len(result) != 1 or not isinstance(result[0], _Ref) or not isinstance(result[0].place, int):
        raise NotWritable("the model gives something else than one computed tensor")
    return writer.written(result[0])


class _Writer:
    def __init__(self, exported: Any, inputs: Sequence[str]) -> None:
        self._inputs = list(inputs)
        self._specs = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}
        self._state = {**exported.constants, **exported.state_dict}
        self._tensors: dict[str, Any] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._calls: list[tuple[str, list[Any], dict[str, Any]]] = []

    def _placeholder(self, node: Any) -> _Ref:
        spec = self._specs[node.name]
        if spec.kind.name == "USER_INPUT":
            if node.name not in self._inputs:
                raise NotWritable(f"the model takes {node.name}")
            return _Ref(node.name)
        if spec.kind.name not in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            raise NotWritable(f"the model needs a {spec.kind.name.lower()}, {spec.target}")
        return _Ref(self._weight(spec.target))

    def _weight(self, target: str) -> str:
        """The name of a tensor, the first one of those that are the same."""
        tensor = self._state[target].detach()
        own = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        # Empty ones all lie nowhere.
        name = self._known.setdefault(own if tensor.numel() else (target,), target.removeprefix("model."))
        if tensor.is_sparse or tensor.is_quantized:
            raise NotWritable(f"{target} is no plain tensor")
        self._tensors[name] = tensor
        return name

    def graph(self, graph: Any) -> Any:
        """What it gives, its calls written."""
        known: dict[Any, Any] = {}
        for node in graph.nodes:
            if node.op == "output":
                return self._encoded(node.args[0], known)
            if node.op == "placeholder":
                known[node] = self._placeholder(node)
            elif node.op == "call_function":
                known[node] = self._call(node, known)
        raise NotWritable("a graph without an output")

    def _call(self, node: Any, known: Mapping[Any, Any]) -> Any:
        name = _name(node.target)
        given = [self._encoded(each, known) for each in node.args]
        if name in _SAME or (name == "aten.clone.default" and "memory_format" not in node.kwargs):
            return given[0]
        if name == "aten.dropout.default" and given[2] is False:
            return given[0]
        if name == "operator.getitem" and isinstance(given[0], list):
            return given[0][given[1]]
        named = {key: self._encoded(value, known) for key, value in node.kwargs.items() if _is_said(key, value)}
        self._calls.append((_PUBLIC.get(name, name), given, named))
        return _Ref(len(self._calls) - 1)

    def _encoded(self, said: Any, known: Mapping[Any, Any]) -> Any:
        import torch

        if isinstance(said, torch.fx.Node):
            return known.get(said)
        if isinstance(said, list | tuple):
            return [self._encoded(each, known) for each in said]
        if said is None or isinstance(said, bool | int | str):
            return said
        if isinstance(said, float):
            return _float(said)
        if isinstance(said, torch.device):
            return {"device": None}
        for kind, key in ((torch.dtype, "dtype"), (torch.memory_format, "memory_format")):
            if isinstance(said, kind):
                return {key: str(said).removeprefix("torch.")}
        raise NotWritable(f"an argument is a {type(said).__name__}")

    def written(self, result: _Ref) -> Written:
        """The calls that the result needs, numbered, with the weights that those need."""
        needed: set[str | int] = set()
        wanted: list[str | int] = [result.place]
        while wanted:
            place = wanted.pop()
            if place not in needed:
                needed.add(place)
                wanted += [ref.place for ref in _refs(self._calls[place][1:])] if isinstance(place, int) else []
        names = {self._calls[place][0] for place in needed if isinstance(place, int)}
        if strange := sorted(name.removeprefix(_STRANGE) for name in names if name.startswith(_STRANGE)):
            raise NotWritable(f"the model calls {', '.join(strange)}")
        weights = sorted(name for name in self._tensors if name in needed)
        numbers: dict[str | int, int] = {}
        ordered: list[str | int] = [*self._inputs, *weights, *(index for index in range(len(self._calls)) if index in needed)]
        for place in ordered:
            numbers[place] = len(numbers)
        calls = [_numbered(self._calls[index], numbers) for index in range(len(self._calls)) if index in needed]
        program = {"format": FORMAT, "inputs": self._inputs, "weights": weights, "calls": calls, "output": numbers[result.place]}
        return Written(program, {name: self._tensors[name].contiguous().clone() for name in weights})


def _name(target: Any) -> str:
    import torch

    if isinstance(target, torch._ops.OpOverload):
        name = str(target)
        if name.startswith("aten."):
            return name
    numbers = {
        operator.add: "add",
        operator.sub: "sub",
        operator.mul: "mul",
        operator.floordiv: "floordiv",
        operator.mod: "mod",
        operator.neg: "neg",
        operator.getitem: "getitem",
        torch.sym_min: "min",
        torch.sym_max: "max",
    }
    if isinstance(target, torch._ops.OpOverload) or target not in numbers:
        # No address of a function, which is another one each time.
        return f"{_STRANGE}{getattr(target, '__name__', type(target).__name__)}"
    return f"operator.{numbers[target]}"


def _is_said(key: str, value: Any) -> bool:
    """Whether an argument by name is worth saying: nothing lies in pinned memory or otherwise than in strides."""
    return value is not None and not (key in ("pin_memory", "layout") and (value is False or str(value) == "torch.strided"))


def _float(value: float) -> Any:
    if value != value:
        raise NotWritable("an argument is no number")
    if value in (float("inf"), float("-inf")):
        return {"number": "inf" if value > 0 else "-inf"}
    return value


def _refs(said: Any) -> list[_Ref]:
    if isinstance(said, _Ref):
        return [said]
    if isinstance(said, dict):
        said = list(said.values())
    return [ref for each in said for ref in _refs(each)] if isinstance(said, list | tuple) else []


def _numbered(said: Any, numbers: Mapping[str | int, int]) -> Any:
    if isinstance(said, _Ref):
        return {"value": numbers[said.place]}
    if isinstance(said, list | tuple):
        return [_numbered(each, numbers) for each in said]
    return {key: _numbered(each, numbers) for key, each in said.items()} if isinstance(said, dict) else said
